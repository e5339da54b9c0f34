"""Write files and directories atomically, with errors that name the path and the free space.

A file or directory is written under another name, flushed and renamed; an appended line that does
not fit is truncated again. A full disk, a quota, a kill or a power cut costs what was being
written, never what was there before.
"""

import errno
import fcntl
import os
import re
import resource
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk, a quota or a limit on file size."""

ASIDE = r"\.[0-9]+-[0-9a-f]{8}\.tmp"
"""End of the names of unfinished files; others have files that end in .tmp, too."""

UNFLUSHED = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
"""Errors of flushing a directory that some file systems, or missing rights, cause."""

BY_RUST = re.compile(r"\(os error (\d+)\)")
"""Error number of the system in messages of safetensors and tokenizers."""


@contextmanager
def whole(path: Path, *, needed: int = 0, durable: bool = True) -> Iterator[IO[bytes]]:
    """Write a file atomically, even if the power is cut.

    Args:
        needed: bytes that it will have, where that is known.
        durable: wait until it is on the disk; not needed for what can be made again.
    """
    aside = _aside(path)
    with path_in_errors(path, aside=aside, needed=needed):
        try:
            with _begun(aside) as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
                aside.replace(path)  # while it is locked, or another process may sweep it
        except BaseException:  # a signal, too
            with suppress(OSError):
                aside.unlink()
            raise
        if durable:
            flush_directory(path.parent)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write all of a file."""
    with whole(path, needed=len(data), durable=durable) as file:
        file.write(data)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write all of a file of text."""
    write_bytes(path, text.encode(), durable=durable)


def append(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Add to a file in one write, so that a kill tears at most its last line.

    A part that a full disk still took is truncated, unless another process has appended since.
    """
    done = 0
    with path_in_errors(path, needed=len(data)), path.open("ab", buffering=0) as file:
        try:
            while done < len(data):
                done += file.write(data[done:])
            if durable:
                os.fsync(file.fileno())
        except BaseException:  # a signal, too
            with suppress(OSError):
                if done and file.tell() == os.fstat(file.fileno()).st_size:
                    file.truncate(file.tell() - done)
            raise


@contextmanager
def whole_directory(
    path: Path,
    *,
    needed: int = 0,
    replaces: bool = True,
    keeps: Sequence[str] = (),
    durable: bool = True,
) -> Iterator[Path]:
    """Write a directory atomically; yield where its files go.

    Args:
        replaces: take the place of one that is there, which else is an error.
        keeps: files of that one that move over.
        needed: bytes that its files will have, about, where that is known.
        durable: wait until it is on the disk; not needed for what can be made again.
    """
    aside, former, held = _aside(path), _aside(path), None
    with path_in_errors(path, aside=aside, needed=needed):
        try:
            held = _begun_directory(aside)
            yield aside
            if durable:
                _settle(aside)
            _move(keeps, path, aside)
            if replaces and path.exists():
                path.rename(former)
            aside.rename(path)
            flush_directory(path.parent)
        finally:
            if former.exists() and not path.exists():
                former.rename(path)
            if aside.exists():
                _move(keeps, aside, path)
            for left in (aside, former):
                shutil.rmtree(left, ignore_errors=True)
            if held is not None:
                os.close(held)


@contextmanager
def path_in_errors(path: Path, *, aside: Path | None = None, needed: int = 0) -> Iterator[None]:
    """Add the path to errors of the system, and on a full disk the free space.

    Errors on an open file carry no path, and libraries write in their own ways.

    Args:
        aside: under which name it is written until it is whole.
        needed: bytes that are to be written, where that is known.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError):
            number, name = error.errno, str(error.filename or path)
        else:
            by_rust = BY_RUST.search(str(error))
            number, name = by_rust and int(by_rust[1]), str(path)
        if number is None:
            raise
        why = str(getattr(error, "strerror", None) or os.strerror(number))
        if number in FULL and ";" not in why:
            why = f"{os.strerror(number)}; {_room(path, number, needed)}"
        place = name if aside is None else name.replace(str(aside), str(path))
        raise OSError(number, why, place) from error


def sweep(directory: Path, *, of: str = "") -> None:
    """Delete what killed processes left half-written; files still being written are locked.

    Args:
        of: the final name, in directories that hold files of others.
    """
    named = re.compile((re.escape(of[:200]) or ".*") + ASIDE, re.DOTALL)
    for left in filter(lambda path: named.fullmatch(path.name), directory.glob("*.tmp")):
        if left.is_symlink() or not (left.is_file() or left.is_dir()):
            continue  # none of ours
        with suppress(OSError):
            found = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            finally:
                os.close(found)


@contextmanager
def holding(directory: Path) -> Iterator[None]:
    """Lock a directory while its contents are checked or completed."""
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _hold(lock)
        yield
    finally:
        os.close(lock)


def _begun(aside: Path) -> IO[bytes]:
    """Create and lock a file; again if another process swept it in between."""
    while True:
        file = aside.open("xb")
        _hold(file.fileno())
        if aside.exists():
            return file
        file.close()


def _begun_directory(aside: Path) -> int:
    """Create and lock a directory likewise; return the descriptor of the lock."""
    while True:
        aside.mkdir()
        try:
            held = os.open(aside, os.O_RDONLY)
        except FileNotFoundError:
            continue
        _hold(held)
        if aside.exists():
            return held
        os.close(held)


def _settle(aside: Path) -> None:
    """Flush all files of a directory, with the rights of the directory."""
    mode = aside.stat().st_mode
    for one in (*aside.rglob("*"), aside):
        if one.is_dir():
            flush_directory(one)
        else:
            one.chmod(mode & 0o666)  # safetensors leaves out the group, whatever the umask
            with one.open("rb") as written:
                os.fsync(written.fileno())


def _move(names: Sequence[str], source: Path, target: Path) -> None:
    """Move those of some files that exist to another directory."""
    for name in names:
        with suppress(FileNotFoundError):
            (source / name).rename(target / name)


def _hold(descriptor: int) -> None:
    """Lock against `sweep`, where the file system has locks."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _aside(path: Path) -> Path:
    """Make a unique name in the same directory, where a rename is atomic."""
    # A part of a long name, so that this one is not too long.
    return path.with_name(f"{path.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")


def _room(path: Path, number: int, needed: int) -> str:
    """Say how many bytes were to be written, and how many are free or allowed."""
    wanted = f"{needed:,} bytes were to be written, " if needed else ""
    if number == errno.EFBIG:
        most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
        return f"{wanted}and a file may have {most:,} (`ulimit -f`)"
    try:
        disk = os.statvfs(path.parent)
    except OSError:  # it has gone
        return f"{wanted}and its directory is gone"
    if disk.f_files and not disk.f_favail:
        return f"{wanted}and no further files (inodes) are free"
    quota = " on the disk, but not to this user" if number == errno.EDQUOT else ""
    return f"{wanted}{disk.f_bavail * disk.f_frsize:,} are free{quota}"


def flush_directory(directory: Path) -> None:
    """Wait until the names in a directory are on the disk, where the file system can do that."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in UNFLUSHED:
            raise
