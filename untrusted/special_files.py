"""Refuse to open pipes, sockets and devices, which may block for ever or have no end.

An audit hook of Python sees every file before it is opened by its path, by libraries too, so no
reader or writer can forget to check. What libraries in C open by themselves is checked before they
are called: media in `datamodules/media/paths.py`, weights in `pretrained/finding.py`.
"""

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

OWN = ("/dev/", "/proc/")
"""Directories of pipes and devices, which are opened when they are named."""

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def refuse_endless() -> None:
    """Install the hook: this process opens only files and directories from now on."""
    sys.addaudithook(_look)


def kind_of(path: str | Path) -> str | None:
    """Name the kind of a special file; None for files, directories and what is not there."""
    with suppress(OSError, ValueError):  # not there, or no path: opening it raises
        return KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
    return None


def _look(event: str, arguments: tuple[object, ...]) -> None:
    if event != "open":
        return
    path = arguments[0]
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if isinstance(path, str) and not path.startswith(OWN) and (kind := kind_of(path)):
        raise OSError(errno.EINVAL, f"it is {kind}, which may never end", path)
