"""Write files aside until they are whole, and clear away what a killed process left.

What is being written ends in `.tmp` and is locked by whoever writes it; the kernel lets go of the
lock, whatever ends that. So what nobody holds is a leftover, on whichever machine it was begun. The
directory is locked for the moments in which one is begun and in which leftovers are looked for:
between its making and its lock, it would look like one.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ENDING = ".tmp"


@contextmanager
def partial_of(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Name a new file, or a folder, that is to be written and then renamed to `path`.

    It is held until this is left, and then goes unless it was renamed.
    """
    made = path.with_name(f"{path.name[:100]}.{uuid.uuid4().hex}{ENDING}")
    with holding(path.parent):
        if folder:
            made.mkdir()
        else:
            made.touch(exist_ok=False)
        lock = os.open(made, os.O_RDONLY)
        _locked(lock, fcntl.LOCK_EX)
    try:
        yield made
    finally:
        _remove(made)
        os.close(lock)


def sweep(directory: Path, pattern: str = f"*{ENDING}") -> int:
    """Remove what killed processes left half-written, and say how much that was.

    A directory that cannot be written is left as it is.
    """
    swept = 0
    with suppress(OSError):
        for found in directory.glob(pattern):
            if found.name.endswith(ENDING) and not found.is_symlink():
                with holding(found.parent):
                    swept += _is_left(found)
    return swept


def _is_left(found: Path) -> bool:
    """Remove a file or folder unless somebody holds it."""
    if not (found.is_file() or found.is_dir()):  # a pipe would not even open
        return False
    lock = os.open(found, os.O_RDONLY)
    try:
        left = _locked(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if left:
            _remove(found)
    finally:
        os.close(lock)
    return left


def _locked(file: int, how: int) -> bool:
    """Lock a file; False where another has, or where its file system knows no locks.

    There nothing is ever swept, as nobody can tell what is left from what is written.
    """
    try:
        fcntl.flock(file, how)
    except OSError:
        return False
    return True


def _remove(made: Path) -> None:
    if made.is_dir():
        shutil.rmtree(made, ignore_errors=True)
    else:
        made.unlink(missing_ok=True)


@contextmanager
def holding(directory: Path) -> Iterator[None]:
    """Hold a directory against others that begin something in it, or sweep it."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _locked(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
