"""Identify a file by its bytes, whatever its name, and refuse incomplete ones.

Decoders report what they could read; how much there should be is read from the container, which
counts its parts: the two must agree, or the file is refused. This costs a few reads, or one pass
over the headers of frames where only they tell a length.
"""

import functools
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from datamodules.media.containers import boxes, chunks, frames, streams
from datamodules.media.containers.faults import BoundedReader, read_at
from datamodules.media.decoders import MediaError

SEARCHED = 1 << 16
"""Bytes before the first frame of MPEG audio that may be something else."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """The format of a file, and how it is read."""

    name: str
    """In words, for errors."""

    demuxer: str = ""
    """FFmpeg's name for it; empty where FFmpeg is not used."""

    picture: bool = False
    """Whether Pillow reads it."""

    samples: bool = False
    """Whether libsndfile reads it."""

    moves: bool = True
    """Whether it may hold a video."""

    streamed: bool = False
    """Whether its header was written before its length was known."""

    seconds: float | None = None
    """Of audio, where its frames were counted."""

    head: Callable[[bytes, int], frames.Head | None] | None = None
    """Parses the header of such a frame."""

    lasting: tuple[float, ...] = ()
    """Duration of each frame of an animation, in seconds."""


Check = Callable[[BinaryIO, int], None]
FilmCheck = Callable[[BinaryIO, int], bool | None]

_IFF: dict[bytes, tuple[str, str, str, bytes]] = {
    b"WAVE": ("a WAV sound", "wav", "<", b"data"),
    b"AIFF": ("an AIFF sound", "aiff", ">", b"SSND"),
    b"AIFC": ("an AIFF sound", "aiff", ">", b"SSND"),
    b"8SVX": ("an 8SVX sound", "", ">", b"BODY"),
    b"16SV": ("an 8SVX sound", "", ">", b"BODY"),
}
_SOUNDS: tuple[tuple[bytes, str, str, Check], ...] = (
    (b"riff\x2e\x91\xcf\x11", "a W64 sound", "w64", chunks.check_w64),
    (b"caff", "a CAF sound", "caf", chunks.check_caf),
    (b".snd", "an AU sound", "au", chunks.check_au),
    (b"dns.", "an AU sound", "", chunks.check_au),
    (b"NIST_1A\n", "a SPHERE sound", "", chunks.check_nist),
    (b"Creative Voice File\x1a", "a VOC sound", "voc", chunks.check_voc),
)
_FILMS: tuple[tuple[bytes, str, str, FilmCheck], ...] = (
    (b"RIFFAVI ", "an AVI film", "avi", boxes.check_avi),
    (b"\x1a\x45\xdf\xa3", "a Matroska film", "matroska", boxes.check_matroska),
    (boxes.ASF_HEADER, "a Windows Media film", "asf", boxes.check_asf),
    (b"FLV\x01", "a Flash film", "flv", streams.check_flv),
    (b"\0\0\1\xba", "an MPEG film", "mpeg", streams.check_program),
)
_PICTURES: tuple[tuple[bytes, str, Callable[[BinaryIO, int], tuple[float, ...]] | None], ...] = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture", chunks.check_png),
    (b"WEBP", "a WebP picture", chunks.check_webp),
    (b"GIF8", "a GIF picture", chunks.check_gif),
    (b"\xff\xd8\xff", "a JPEG picture", chunks.check_jpeg),
    (b"BM", "a BMP picture", None),  # their decoders miss what is cut off
    (b"II*\0", "a TIFF picture", None),
    (b"MM\0*", "a TIFF picture", None),
)
_FRAMES: tuple[tuple[str, str, bytes, Callable[[bytes, int], frames.Head | None]], ...] = (
    ("an MP3 sound", "mp3", b"", frames.mpeg),
    ("an AAC sound", "aac", b"", frames.adts),
    ("an AC-3 sound", "ac3", b"", frames.ac3),
    ("an AMR sound", "amr", b"#!AMR\n", frames.amr),
    ("an AMR sound", "amr", b"#!AMR-WB\n", frames.amr_wide),
)
_STILL = (b"avif", b"heic", b"heix", b"mif1")
"""Brands of images in MP4-like boxes, which are not supported."""

_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")


def identify(path: Path) -> Container:
    """Identify a file, once for each state of it, or raise a `MediaError` where it is
    incomplete."""
    status = path.stat()
    state = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
    return _told(path, status.st_size, state)


@functools.lru_cache(maxsize=1 << 12)
def _told(path: Path, size: int, state: tuple[int, ...]) -> Container:
    with BoundedReader(io.FileIO(path)) as file:
        head = read_at(file, 0, 400)
        found = (
            _picture(file, size, head)
            or _sound(file, size, head)
            or _film(file, size, head)
            or _framed(file, size, head)
        )
    if found is None:
        raise MediaError(
            f"begins with {_shown(head)} and is not audio, video or an image of any format that is "
            "read, whatever its name says: fetch it again, or convert it to FLAC, MP4 or PNG."
        )
    return found


def _shown(head: bytes) -> str:
    """Quote recognizable content: a page of HTML, an error in JSON, a pointer of LFS."""
    text = re.match(rb"[\t\n\r -~]+", head[:40])
    return repr((text[0] if text and len(text[0]) > 3 else head[:12]).decode("latin-1"))


def _picture(file: BinaryIO, size: int, head: bytes) -> Container | None:
    for magic, name, check in _PICTURES:
        found = head[8:12] == magic if magic == b"WEBP" else head.startswith(magic)
        if found and (magic != b"BM" or head[6:10] == bytes(4)):
            lasting = check(file, size) if check is not None else ()
            moves = len(lasting) > 1 or magic == b"GIF8"  # one that stands still is a short video
            return Container(name=name, picture=True, moves=moves, lasting=lasting)
    return None


def _sound(file: BinaryIO, size: int, head: bytes) -> Container | None:
    """Identify the audio formats that libsndfile reads."""
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM") and head[8:12] in _IFF:
        name, demuxer, order, chunk = _IFF[head[8:12]]
        order = ">" if head[:4] == b"RIFX" else order
        zero = chunks.check_iff(file, size, order, (chunk,))  # of which libsndfile reads nothing
        return Container(name=name, demuxer=demuxer, samples=not zero, moves=False)
    for magic, name, demuxer, check in _SOUNDS:
        if head.startswith(magic):
            check(file, size)
            # Of damaged CAF files libsndfile dies; of ALAC in them FFmpeg leaves out the end.
            samples = magic != b"caff" or head[28:32] == b"alac"
            return Container(name=name, demuxer=demuxer, samples=samples, moves=False)
    begin = _after_tags(file, head)
    if read_at(file, begin, 4) == b"fLaC":
        counts = chunks.check_flac(file, size, begin)
        demuxer = "" if counts else "flac"
        return Container(name="a FLAC sound", demuxer=demuxer, samples=counts, moves=False)
    return None


def _film(file: BinaryIO, size: int, head: bytes) -> Container | None:
    for magic, name, demuxer, check in _FILMS:
        if magic in (head[: len(magic)], head[:4] + head[8:12]):
            streamed = check(file, size) or False
            return Container(name=name, demuxer=demuxer, streamed=streamed)
    if head[4:8] in _BOXES and head[8:12] not in _STILL:
        boxes.check_mp4(file, size)
        return Container(name="an MP4 film", demuxer="mov")
    if head[:4] == b"OggS":
        codecs = streams.check_ogg(file, size)
        samples = len(codecs) == 1 and codecs <= {b"\x01vorbis\0"[:8], b"OpusHead"}
        return Container(name="an Ogg file", demuxer="ogg", samples=samples)
    for packet, first in ((188, 0), (192, 4), (204, 0)):
        if all(head[place : place + 1] == b"G" for place in (first, first + packet)):
            streams.check_transport(file, size, packet)
            return Container(name="an MPEG transport stream", demuxer="mpegts")
    return None


def _framed(file: BinaryIO, size: int, head: bytes) -> Container | None:
    """Identify audio in frames by three of them in a row, or by all there are."""
    begin = _after_tags(file, head)
    data = read_at(file, begin, 2 * SEARCHED)
    for name, demuxer, magic, read in _FRAMES:
        if magic and not head.startswith(magic):
            continue
        first = _first_frame(data, read, len(magic), 0 if magic else min(SEARCHED, len(data)))
        if first is None:
            continue
        place = begin + first
        if read is frames.mpeg:
            seconds = frames.check_mpeg(file, size, place)
        else:
            seconds = frames.check_frames(file, size, place, read).seconds
        if demuxer == "ac3" and data[first + 5] >> 3 > 10:
            demuxer = "eac3"
        return Container(name=name, demuxer=demuxer, moves=False, seconds=seconds, head=read)
    return None


def _first_frame(
    data: bytes, read: Callable[[bytes, int], frames.Head | None], begin: int, far: int
) -> int | None:
    for first in range(begin, max(far, begin + 1)):
        place, count = first, 0
        while count < 3 and (frame := read(data, place)) is not None:
            place, count = place + frame[0], count + 1
        if count == 3 or (count and place >= len(data) and first == begin):
            return first
    return None


def _after_tags(file: BinaryIO, head: bytes) -> int:
    """Return what follows the tags before the audio."""
    place = 0
    while head[:3] == b"ID3" and len(head) >= 10:
        place += frames.tag_size(head)
        head = read_at(file, place, 10)
    return place
