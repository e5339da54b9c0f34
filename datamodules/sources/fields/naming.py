"""Recognize values that name or hold image, audio or video files, or refer to media elsewhere."""

import base64
import re
from collections.abc import Iterator, Mapping

from datamodules.sample import Modality
from datamodules.sources.fields.printed import held_in

FILES: Mapping[Modality, str] = {
    "audio": "wav flac ogg oga opus mp3 mp2 mpga m4a m4b aac ac3 eac3 aif aiff aifc au snd caf w64 "
    "wma amr sph voc 8svx spx mka weba wv ape",
    "image": "png apng jpg jpeg jpe jfif webp bmp gif tif tiff",
    "video": "mp4 m4v mkv webm avi mov qt mpg mpeg mpe vob ts mts m2ts flv f4v wmv ogv 3gp 3g2 asf",
}
ENDINGS: Mapping[str, Modality] = {
    ending: kind for kind, endings in FILES.items() for ending in endings.split()
}
NAMED = re.compile(rf"\.({'|'.join(ENDINGS)})(?:[?#]\S*)?$", re.IGNORECASE)
SENTENCE = re.compile(r"[.!?;:]\s")
SENTENCE_WORDS = 8
LONGEST_NAME = 1_000

UNSEEN = re.compile(
    r"\S+\.(?:npy|npz|pth?|pkl|h5|hdf5|pdf|docx?|pptx?|midi?|svg|hei[cf]|avif|jp2|psd|tar|zip)"
    r"|(?:https?://)?(?:\w{1,10}\.)?(?:youtube\.com|youtu\.be|bilibili\.com|vimeo\.com|tiktok\.com"
    r"|dailymotion\.com|soundcloud\.com|freesound\.org)/\S+"
    r"|(?!https?:)[a-z][a-z0-9+.-]{1,9}://\S+"
    r"|(?:~|\.{0,2})/[\w.-]+/[\w./-]+",
    re.IGNORECASE,
)
"""Unsupported files, addresses of media on the web, and places on a disk."""

SIGNAL = 32
"""Lists of at least so many numbers hold samples, pixels or features."""

HEADS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"OggS", b"fLaC", b"ID3", b"\x1aE\xdf\xa3")
"""First bytes of image, audio and video files; MP4 has its name at the fifth byte."""

SHORTEST_INSIDE = 64
"""Characters of a text that may be a file itself."""


def ending_of(text: str) -> Modality | None:
    """Return the kind of a file by its ending; None for a text that names no medium.

    Prose that ends in the name of a file names none: it has lines, or sentences and many words.
    """
    text = text.strip()
    found = NAMED.search(text) if len(text) <= LONGEST_NAME and "\n" not in text else None
    if found is None:
        return None
    if SENTENCE.search(text) and len(text.split()) >= SENTENCE_WORDS:
        return None
    return ENDINGS[found[1].lower()]


def stem_of(path: str) -> str:
    """Name a file without its folder and ending."""
    name = path.split("?")[0].replace("\\", "/").rstrip("/").rpartition("/")[2]
    return name.rpartition(".")[0] or name


def media_in(value: object) -> Iterator[str]:
    """List the media files that a value names, however nested; `""` is one that it holds itself, as
    bytes or in base64."""
    if isinstance(value, bytes | bytearray) and value:
        yield ""
    elif isinstance(value, str):
        if ending_of(value) is not None:
            yield value.strip()
        elif _is_file(value):
            yield ""
        elif isinstance(held := held_in(value), list | dict):
            yield from media_in(held)
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from media_in(item)


def _is_file(text: str) -> bool:
    """Tell whether a text is an image, audio or video in base64."""
    if text.startswith(("data:image/", "data:audio/", "data:video/")):
        return True
    if len(text) < SHORTEST_INSIDE:
        return False
    try:
        head = base64.b64decode(text[:24], validate=True)
    except ValueError:
        return False
    return head.startswith(HEADS) or head[4:8] == b"ftyp"


def speaks_of_another(value: object) -> bool:
    """Tell whether a value refers to a medium elsewhere, or is its numbers.

    Beside a medium of the row this is its origin.
    """
    if isinstance(value, str):
        return UNSEEN.fullmatch(value.strip()) is not None
    if isinstance(value, Mapping):
        return any(map(speaks_of_another, value.values()))
    if not isinstance(value, list | tuple):
        return False
    return _numbers(value) >= SIGNAL or any(
        speaks_of_another(item) for item in value if not isinstance(item, int | float)
    )


def _numbers(value: list[object] | tuple[object, ...]) -> int:
    """Return the length of a list of numbers; 0 for others."""
    count = 0
    for item in value:
        if isinstance(item, list | tuple):
            count += _numbers(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            count += 1
        else:
            return 0
    return count
