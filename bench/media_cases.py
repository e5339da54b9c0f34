"""The containers and codecs that are read: one small file of each, see `bench/media_files.py`."""

import functools
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import av

from bench.media_files import animated, by_av, by_libsndfile, still
from datamodules.sample import Modality


@dataclass(frozen=True, kw_only=True)
class Case:
    """One container with one codec."""

    name: str
    ending: str
    modality: Modality
    write: Callable[[Path], None]
    stream: Callable[[Path], None] | None = None
    """Writes the same without lengths, where the container allows that."""

    exact: bool = False
    """Whether every sample is there and no more; codecs that work in frames pad."""

    sound: bool = True

    shift: int = 0
    """Bytes by which the file is cut later than at half, where half leaves whole frames: such a
    file without a length is like a shorter one that is whole."""


@functools.lru_cache
def contents(case: Case, *, streamed: bool) -> bytes:
    """Give the bytes of a case, which is written once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{case.ending}"
        (case.stream if streamed and case.stream else case.write)(path)
        return path.read_bytes()


def _libsndfile(ending: str, container: str, codec: str, *, exact: bool = True) -> Case:
    return Case(
        name=f"{ending} {codec.lower()}",
        ending=ending,
        modality="audio",
        write=partial(by_libsndfile, container=container, codec=codec),
        exact=exact,
    )


def _sound(
    name: str,
    container: str,
    codec: str | None,
    *,
    pictures: str | None = None,
    pipe: bool = False,
    shift: int = 0,
    **how: Any,  # whatever `by_av` takes
) -> Case:
    write = partial(by_av, container=container, pictures=pictures, codec=codec, **how)
    return Case(
        name=name,
        ending=name.split()[0],
        modality="video" if pictures else "audio",
        write=write,
        stream=partial(write, piped=True) if pipe else None,
        sound=codec is not None,
        shift=shift,
    )


def _film(name: str, container: str, pictures: str, codec: str | None, **how: Any) -> Case:
    return _sound(name, container, codec, pictures=pictures, **how)


AMR = "libopencore_amrnb"
FRONT = {"movflags": "faststart"}
PARTS = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}
FAST = {"preset": "ultrafast", "bf": "2", "b-adapt": "0"}
NO_B = {"preset": "ultrafast", "bf": "0"}
SVT = {"preset": "12", "svtav1-params": "lp=1"}
QUIET = {"preset": "ultrafast", "x265-params": "log-level=none"}

SOUNDS = (
    *(_libsndfile("wav", "WAV", f"PCM_{kind}") for kind in ("U8", "16", "24", "32")),
    *(_libsndfile("wav", "WAV", kind) for kind in ("FLOAT", "DOUBLE", "ALAW", "ULAW")),
    *(_libsndfile("wav", "WAV", kind, exact=False) for kind in ("IMA_ADPCM", "MS_ADPCM")),
    replace(_libsndfile("wav", "WAVEX", "PCM_16"), name="wav extensible"),
    _libsndfile("rf64", "RF64", "PCM_24"),
    _libsndfile("w64", "W64", "PCM_16"),
    *(_libsndfile("aiff", "AIFF", kind) for kind in ("PCM_16", "PCM_24", "FLOAT", "ULAW")),
    *(_libsndfile("au", "AU", kind) for kind in ("PCM_16", "ULAW", "FLOAT")),
    *(_libsndfile("caf", "CAF", kind) for kind in ("PCM_16", "FLOAT", "ALAC_16")),
    *(_libsndfile("sph", "NIST", kind) for kind in ("PCM_16", "ULAW")),
    _libsndfile("voc", "VOC", "PCM_16"),
    _libsndfile("8svx", "SVX", "PCM_16"),
    *(_libsndfile("flac", "FLAC", kind) for kind in ("PCM_16", "PCM_24")),
    *(_libsndfile("ogg", "OGG", kind, exact=False) for kind in ("VORBIS", "OPUS")),
    _libsndfile("mp3", "MP3", "MPEG_LAYER_III", exact=False),
    _sound("wav ffmpeg", "wav", "pcm_s16le", pipe=True),
    _sound("w64 ffmpeg", "w64", "pcm_s16le"),
    _sound("au ffmpeg", "au", "pcm_s16be", pipe=True, shift=1),
    _sound("caf ffmpeg", "caf", "pcm_s16be"),
    _sound("flac ffmpeg", "flac", "flac", pipe=True),
    _sound("ogg flac", "ogg", "flac", pipe=True),
    _sound("ogg opus ffmpeg", "ogg", "libopus", rate=48_000, pipe=True),
    _sound("mp3 constant", "mp3", "libmp3lame", settings={"b": "64000"}),
    _sound(
        "mp3 constant, no Xing", "mp3", "libmp3lame", settings={"b": "64000"},
        muxing={"write_xing": "0"}, pipe=True,
    ),
    _sound("mp3 variable", "mp3", "libmp3lame", settings={"q": "5", "flags": "+qscale"}),
    _sound(
        "mp3 variable, no Xing", "mp3", "libmp3lame", settings={"q": "5", "flags": "+qscale"},
        muxing={"write_xing": "0", "id3v2_version": "0"}, pipe=True,
    ),
    _sound("mp2", "mp2", "mp2", shift=100),
    _sound("aac", "adts", "aac", pipe=True),
    _sound("ac3", "ac3", "ac3", rate=48_000, pipe=True),
    _sound("eac3", "eac3", "eac3", rate=48_000, pipe=True),
    *(  # which av 19, of Python 3.12, reads and cannot write
        [_sound("amr", "amr", AMR, rate=8_000, pipe=True)] if AMR in av.codecs_available else []
    ),
    _sound("m4a", "ipod", "aac"),
    _sound("m4a in front", "ipod", "aac", muxing=FRONT),
    _sound("m4a in parts", "mp4", "aac", muxing=PARTS, pipe=True),
    _sound("m4a alac", "ipod", "alac", muxing=FRONT),
    _sound("mka aac", "matroska", "aac", pipe=True),
    _sound("mka flac", "matroska", "flac", pipe=True),
    _sound("webm opus", "webm", "libopus", rate=48_000, pipe=True),
    _sound("wma", "asf", "wmav2", rate=44_100, pipe=True),
)  # fmt: skip

FILMS = (
    _film("mp4 h264, B-frames", "mp4", "libx264", "aac", settings=FAST),
    _film("mp4 h264 in front", "mp4", "libx264", "aac", settings=NO_B, muxing=FRONT),
    _film("mp4 in parts", "mp4", "libx264", "aac", settings=FAST, muxing=PARTS, pipe=True),
    _film("mp4 mpeg4", "mp4", "mpeg4", "aac", muxing=FRONT),
    _film("mp4 hevc", "mp4", "libx265", None, settings=QUIET, muxing=FRONT),
    _film("mp4 av1", "mp4", "libsvtav1", None, settings=SVT, muxing=FRONT),
    _film("mov h264", "mov", "libx264", "aac", settings=FAST),
    _film("mkv h264", "matroska", "libx264", "aac", settings=FAST, pipe=True),
    _film("webm vp8", "webm", "libvpx", "libopus", rate=48_000, pipe=True),
    _film("webm vp9", "webm", "libvpx-vp9", "libopus", rate=48_000, pipe=True),
    _film("avi mpeg4", "avi", "mpeg4", "pcm_s16le", pipe=True),
    _film("avi mpeg4, B-frames", "avi", "mpeg4", "pcm_s16le", settings={"bf": "2"}),
    _film("avi h264", "avi", "libx264", "pcm_s16le", settings=NO_B),
    _film("avi h264, B-frames", "avi", "libx264", "pcm_s16le", settings=FAST),
    _film("ts h264", "mpegts", "libx264", "aac", settings=FAST, pipe=True),
    _film("ts mpeg2", "mpegts", "mpeg2video", "mp2", settings={"bf": "2"}),
    _film("mpg mpeg2", "mpeg", "mpeg2video", "mp2", settings={"bf": "2"}, pipe=True),
    _film("flv h264", "flv", "libx264", "aac", settings=FAST, pipe=True),
    _film("ogv vp8", "ogg", "libvpx", "libopus", rate=48_000, pipe=True),
    _film("wmv", "asf", "wmv2", "wmav2", rate=44_100, pipe=True),
    Case(name="gif", ending="gif", modality="video", write=partial(animated, container="GIF"),
         sound=False),
    Case(name="apng", ending="png", modality="video", write=partial(animated, container="PNG"),
         sound=False),
    Case(name="webp", ending="webp", modality="video", write=partial(animated, container="WEBP"),
         sound=False),
)  # fmt: skip

STILLS: dict[str, dict[str, Any]] = {
    "jpg": {"container": "JPEG", "quality": 95},
    "jpg progressive": {"container": "JPEG", "quality": 95, "progressive": True},
    "png": {"container": "PNG"},
    "webp still": {"container": "WEBP", "quality": 95},
    "webp lossless": {"container": "WEBP", "lossless": True},
    "gif still": {"container": "GIF"},
    "bmp": {"container": "BMP"},
    "tiff": {"container": "TIFF"},
    "tiff deflated": {"container": "TIFF", "compression": "tiff_adobe_deflate"},
}
PICTURES = tuple(
    Case(name=name, ending=name.split()[0], modality="image", write=partial(still, **how))
    for name, how in STILLS.items()
)
MOVING_PICTURES = tuple(
    Case(name=f"{case.name} as picture", ending=case.ending, modality="image", write=case.write)
    for case in FILMS
    if case.ending in ("gif", "png", "webp")
)
CASES = (*SOUNDS, *FILMS, *PICTURES, *MOVING_PICTURES)
