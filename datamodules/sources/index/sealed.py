"""Detect changes of our own files since they were written, before they are read.

Checksums detect damage, not attackers: who can change a file can change its checksum.
"""

import hashlib
from pathlib import Path

from runtime.caching import is_regular
from runtime.writing import write_text

SEAL = "checksums"


def seal(directory: Path) -> None:
    """Write the checksum of every file of a directory, last of all."""
    lines = [f"{_digest(file)}  {file.name}\n" for file in sorted(directory.iterdir())]
    write_text(directory / SEAL, "".join(lines))


def broken(directory: Path) -> str | None:
    """Return what differs from the checksums; None where nothing does.

    Files that were added later are ignored.
    """
    try:
        if not is_regular(directory / SEAL):
            return f"it has no file {SEAL}"
        lines = (directory / SEAL).read_text(encoding="utf-8").splitlines()
        for digest, name in (line.split("  ", 1) for line in lines):
            file = directory / name
            if file.parent != directory or not is_regular(file):
                return f"{name[:80]!r} is no file of it"
            if _digest(file) != digest:
                return f"{name} is not what was written"
    except (OSError, ValueError) as error:
        return str(error)
    return None if lines else f"{SEAL} is empty"


def sealed(text: str) -> str:
    """Prefix a text with its checksum on a line of its own."""
    return f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}\n{text}"


def read_sealed(file: Path) -> str:
    """Read what `sealed` made, or raise a `ValueError`."""
    if not is_regular(file):
        raise ValueError(f"{file} is no file")
    digest, _, text = file.read_text(encoding="utf-8").partition("\n")
    if sealed(text) != f"{digest}\n{text}":
        raise ValueError(f"{file} is not what was written")
    return text


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
