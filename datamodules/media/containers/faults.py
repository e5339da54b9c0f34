"""Errors about incomplete files, and bounded reading of their bytes."""

import io
from typing import BinaryIO, final

from datamodules.media.decoders import MediaError

MOST_PARTS = 600_000
"""Parts of a file that are visited one by one; a video of hours has fewer."""


@final
class BoundedReader(io.BufferedReader):
    """A file with a limit on seeks: hostile files could have parts without end."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self._left = MOST_PARTS

    def seek(self, place: int, whence: int = 0) -> int:
        """Seek, as often as any usual file needs."""
        self._left -= 1
        if self._left < 0:
            raise MediaError(
                f"more than {MOST_PARTS:,} parts, but no more are followed: convert it to FLAC, "
                "PNG or MP4.",
                kind="too_large",
            )
        return super().seek(place, whence)


def read_at(file: BinaryIO, place: int, count: int) -> bytes:
    """Read some bytes of a file, fewer at its end."""
    file.seek(place)
    return file.read(count)


def truncated(part: str, end: int, size: int) -> MediaError:
    """Make the error for a file that ends within one of its parts."""
    return MediaError(
        f"{size:,} bytes, but its {part} goes on to byte {end:,} and none may be missing: the file "
        "is truncated; fetch it again."
    )


def unfinished(mark: str, size: int) -> MediaError:
    """Make the error for a file that lacks a mark which its format requires, most often its end."""
    return MediaError(
        f"{size:,} bytes without {mark}, which every whole file of its format has: the file is "
        "truncated; fetch it again, or copy what there is of it with `ffmpeg -c copy`."
    )


def doubled(what: str, place: int) -> MediaError:
    """Make the error for a file that holds two recordings, of which players show one."""
    return MediaError(
        f"a second {what} begins at byte {place:,}, but a file holds one recording and the rest of "
        "it would go unheard or unseen: split the file, or join its parts with `ffmpeg -f concat`."
    )


def damaged(what: str, place: int) -> MediaError:
    """Make the error for a file with something else in place of one of its parts."""
    return MediaError(
        f"{what} at byte {place:,}, but a file is whole from its beginning to its end: it is "
        "damaged; fetch or convert it again."
    )
