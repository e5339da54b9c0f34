"""A cache of checksummed files: entries are checked before use, and disk errors never stop a run.

An entry is a checksum of its name and its content, and the content. It is written aside and
renamed, so any number of processes may share a directory. What is damaged, forged, of another name
or no regular file is reported once and made anew; a directory that cannot be read or written costs
time and one warning.
"""

import logging
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from errno import EISDIR, ELOOP, ENXIO
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar, final

from safetensors import SafetensorError

from runtime.writing import sweep, write_bytes

log = logging.getLogger(__name__)

CHECKSUM = 16
"""Bytes before the content of an entry."""

GIGABYTE = 10**9

HEADER = 1 << 16
"""Bytes that an entry may hold besides its numbers."""

NO_FILE = (ELOOP, ENXIO, EISDIR)
"""Errors of opening a link, a socket or a directory where an entry should be."""

Content = TypeVar("Content")


@final
class Cache:
    """A directory of entries, which stops growing at a size."""

    def __init__(self, directory: Path, *, gigabytes: float, holds: str, setting: str) -> None:
        """Open a directory, which need not be there.

        Args:
            holds: what is in it, for warnings.
            setting: what bounds its size.
        """
        self.directory = directory
        self.holds, self.setting = holds, setting
        self._most = gigabytes * GIGABYTE
        self._size: int | None = None  # of all that is there; not counted yet
        self._stopped = False
        self._told: set[str] = set()

    def find(self, name: str, parse: Callable[[bytes], Content], *, numbers: int) -> Content | None:
        """Read an entry; None where there is none that can be used, so that it is made anew.

        Args:
            name: a path below the directory, made of all that the content depends on.
            parse: reads the content, and raises a ValueError where it is not what its name says.
            numbers: bytes of them that the entry may hold at most.
        """
        path = self.directory / name
        try:
            data = read_regular(path, CHECKSUM + numbers + HEADER)
            found, content = data[:CHECKSUM], data[CHECKSUM:]
            del data  # entries may be large
            if found != _checksum(name, content):
                raise ValueError("its checksum is that of something else")
            return parse(content)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            self._tell("%s cannot be read and is made anew (%s)", self.directory, error)
        except (ValueError, KeyError, TypeError, SafetensorError) as error:
            self._tell("%s is damaged and is made anew (%s)", path, error)
            _remove(path)
        return None

    def keep(self, name: str, content: bytes) -> None:
        """Add an entry, whole or not at all, while there is room and the disk allows it."""
        if self._stopped:
            return
        path = self.directory / name
        try:
            if self._size is None:
                self._size = self._count()
            self._size += CHECKSUM + len(content)
            if self._size > self._most:
                self._stop(f"it has reached {self.setting}={self._most / GIGABYTE:g}")
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(path, _checksum(name, content) + content, durable=False)
        except OSError as error:
            self._stop(str(error))

    def _count(self) -> int:
        """Sum the sizes of all entries, and delete what killed processes left half-written."""
        size = 0
        for folder, _, files in os.walk(self.directory):
            sweep(Path(folder))
            for file in files:
                with suppress(FileNotFoundError):  # which others remove meanwhile
                    size += Path(folder, file).lstat().st_size
        return size

    def _stop(self, reason: str) -> None:
        self._stopped = True
        log.warning(
            "the cache of %s in %s grows no further (%s): what else is made is not kept. Free "
            "space, or raise %s.",
            *(self.holds, self.directory, reason, self.setting),
        )

    def _tell(self, message: str, place: Path, error: Exception) -> None:
        """Warn once about a place."""
        if str(place) not in self._told:
            self._told.add(str(place))
            log.warning(message, place, error)


def read_regular(path: Path, most: int, *, linked: bool = False) -> bytes:
    """Read a regular file of bounded size without blocking; raise a `ValueError` for anything else.

    Args:
        linked: whether it may be found through a link.
    """
    try:
        with open(path, "rb", opener=_at_once if linked else _unfollowed) as file:
            status = os.fstat(file.fileno())
            if stat.S_ISREG(status.st_mode) and status.st_size <= most:
                return file.read(most)
    except OSError as error:
        if error.errno not in NO_FILE:
            raise
    raise ValueError(
        f"{path} is no regular file of at most {most:,} bytes, but nothing else is read in its "
        "place: take it away."
    )


def is_regular(path: Path) -> bool:
    """Tell a regular file from a link, a pipe, and what is not there."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _unfollowed(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _remove(path: Path) -> None:
    """Delete what is no entry, but no directory with contents."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()


def _checksum(name: str, content: bytes) -> bytes:
    """Hash an entry with its name, so that none passes for another."""
    digest = blake2b(name.encode() + b"\0", digest_size=CHECKSUM)
    digest.update(content)
    return digest.digest()
