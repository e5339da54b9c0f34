"""Know files of our own that were changed since they were written, before anything is read of them.

A checksum tells damage from what was meant, not friend from foe: who can write beside it can write
it too.
"""

import hashlib
import stat
from pathlib import Path

from runtime.writing import write_text

SEAL = "checksums"


def seal(directory: Path) -> None:
    """Write down the checksum of every file of a directory, last of all."""
    lines = [f"{_digest(file)}  {file.name}\n" for file in sorted(directory.iterdir())]
    write_text(directory / SEAL, "".join(lines))


def broken(directory: Path) -> str | None:
    """Say what is not as it was sealed; None where everything is.

    Files that were added later are not looked at.
    """
    try:
        if not _is_plain(directory / SEAL):
            return f"it has no file {SEAL}"
        lines = (directory / SEAL).read_text(encoding="utf-8").splitlines()
        for digest, name in (line.split("  ", 1) for line in lines):
            file = directory / name
            if file.parent != directory or not _is_plain(file):
                return f"{name[:80]!r} is no file of it"
            if _digest(file) != digest:
                return f"{name} is not what was written"
    except (OSError, ValueError) as error:
        return str(error)
    return None if lines else f"{SEAL} is empty"


def sealed(text: str) -> str:
    """Put the checksum of a text before it, on a line of its own."""
    return f"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}\n{text}"


def read_sealed(file: Path) -> str:
    """Read what `sealed` wrote, or raise a `ValueError`."""
    if not _is_plain(file):
        raise ValueError(f"{file} is no file")
    digest, _, text = file.read_text(encoding="utf-8").partition("\n")
    if sealed(text) != f"{digest}\n{text}":
        raise ValueError(f"{file} is not what was written")
    return text


def _is_plain(file: Path) -> bool:
    """Tell a file from a link, a pipe, which would never end, and what is not there."""
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except FileNotFoundError:
        return False


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
