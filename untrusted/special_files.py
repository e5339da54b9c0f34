"""Refuse to open what is no file: a pipe waits until somebody writes, a device may have no end.

Python tells a hook of every file that is about to be opened by its path, by libraries too. So no
reader can forget to look, and no writer either. What libraries in C open by themselves is looked at
before they are called: media in `datamodules/media/paths.py`, weights in `pretrained/finding.py`.
"""

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

OWN = ("/dev/", "/proc/")
"""Where pipes and devices have their names; who names one of those wants it."""

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def refuse_endless() -> None:
    """Let this process open files and directories only, from now on."""
    sys.addaudithook(_look)


def kind_of(path: str | Path) -> str | None:
    """Say what a path leads to that is neither a file nor a directory; None where it is one."""
    with suppress(OSError, ValueError):  # not there, or no path: who opens it will say so
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
