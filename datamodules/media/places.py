"""Find media files below the data root, and write there, and nowhere else."""

import errno
import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urlsplit

from datamodules.media.decoders import MediaError

OF_MACHINE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE, errno.ETIMEDOUT)


def of_machine(error: BaseException) -> bool:
    """Tell whether an error is about the machine and not about a file: it ends the run, for another
    time the file can be read, and the same questions are to be asked."""
    return isinstance(error, OSError) and error.errno in OF_MACHINE


def resolve(root: Path, path: str, *, outside_root: bool = False) -> Path:
    """Find a media file inside the data root, and nowhere else unless that is allowed."""
    local = _local(path, outside_root)
    try:
        root, found = root.resolve(), (root / local).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # missing, looping link, NUL in the name
        if of_machine(error):
            raise
        raise MediaError(
            f"{path!r} is not in {root} ({type(error).__name__}), but every medium of a question "
            "must be: fetch the file, or set data.root to the directory that holds it.",
            kind="missing",
            path=path,
        ) from error
    if not outside_root and not found.is_relative_to(root):
        raise MediaError(
            f"{path!r} leads to {found}, outside {root}, but media stay inside data.root even "
            "through links: copy the file there, set data.root to a directory that holds both, or "
            "allow it with data.outside_root=true.",
            kind="unsafe",
            path=path,
        )
    if not found.is_file():
        raise MediaError(
            f"{path!r} is not a regular file, but media are read as files: name the file itself.",
            kind="missing",
            path=path,
        )
    return found


def own(root: Path, place: Path) -> Path:
    """Let a file of ours be written below the data root, but not where a link leads out of it."""
    found = os.path.realpath(place)
    if not Path(found).is_relative_to(root.resolve()):
        raise PermissionError(
            errno.EACCES, f"it leads to {found}, outside data.root: take the link away", str(place)
        )
    return place


def _local(path: str, outside_root: bool) -> str:
    """Take `file://` from a path, and refuse what is not named relative to the root."""
    scheme, found, _ = path.partition("://")
    if found and (scheme != "file" or not outside_root):
        allow = ", or allow file:// with data.outside_root=true" if scheme == "file" else ""
        raise MediaError(
            f"{path!r} is a URL, but media are files below data.root, so that the same bytes are "
            f"shown each time: fetch it, and name the file with forward slashes{allow}.",
            kind="unsafe",
            path=path,
        )
    absolute = PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()
    if absolute and not outside_root:
        raise MediaError(
            f"{path!r} is an absolute path, but media are named relative to data.root: copy the "
            "file there and name it with forward slashes, or allow it with data.outside_root=true.",
            kind="unsafe",
            path=path,
        )
    return unquote(urlsplit(path).path) if found else path
