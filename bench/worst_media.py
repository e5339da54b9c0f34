"""The costliest media that the limits allow, some beyond them, and the costliest cache entries."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench import worst_files as files
from bench.worst_case import Case
from configs.schema import MediaConfig
from datamodules.media import MediaError, decode
from datamodules.sample import Media, Modality

BUDGET = MediaConfig(image_max_pixels=401_408, video_max_frames=32, audio_max_seconds=30.0)
"""Of `data=manifest`, where nothing else is asked for."""

SIDE = 7071
"""Of the largest square picture."""

FOUR = 6123
"""Of the largest of four channels."""

NAME = "medium"


def _read(folder: Path, modality: Modality, **segment: float) -> str:
    """Decode a medium; say what came of it."""
    try:
        found = decode(folder, Media(modality=modality, path=NAME, **segment), BUDGET)
    except MediaError as error:
        return f"refused: {error.kind}"
    parts = (found.image, found.frames, found.audio)
    return "read " + " and ".join(str(part.shape) for part in parts if part is not None)


def _case(modality: Modality, name: str, write: Callable[..., object], **how: Any) -> Case:
    """Let a writer make the medium; `start` and `end` are of the segment that is read."""
    segment = {name: how.pop(name) for name in ("start", "end") if name in how}
    return Case(
        room=modality,
        name=name,
        prepare=lambda folder: write(folder / NAME, **how) and None,
        run=partial(_read, modality=modality, **segment),
    )


_sound = partial(_case, "audio")
_picture = partial(_case, "image")
_film = partial(_case, "video")

SOUNDS = (
    _sound("64 channels of 48 kHz", files.sound, channels=64, rate=48_000),
    _sound("65 channels of 48 kHz", files.sound, channels=65, rate=48_000),
    _sound("1,000 channels of 16 kHz", files.sound, channels=1000, rate=16_000, seconds=1.0),
    _sound("1,000 channels of 3 kHz", files.sound, channels=1000, rate=3_000),
    _sound("1 MHz", files.sound, channels=3, rate=1_000_000),
    _sound("1 Hz", files.sound, channels=64, rate=1),
    _sound("FLAC", files.sound, channels=8, rate=192_000, container="FLAC", subtype="PCM_24"),
    _sound("double", files.sound, channels=16, rate=192_000, subtype="DOUBLE"),
    _sound("Vorbis", files.sound, channels=8, rate=192_000, container="OGG", subtype="VORBIS"),
    _sound("denormals", files.sound, channels=16, rate=192_000, subtype="FLOAT", level=1e-42),
    _sound("1e18", files.sound, channels=16, rate=192_000, subtype="FLOAT", level=1e18),
    _sound("a second of ten hours", files.sound, channels=1, rate=8_000, seconds=36_000.0,
           start=35_990.0, end=35_991.0),
    _sound("200,000 packets", files.track, size=1, container="matroska", count=200_000),
    _sound("a million packets", files.track, size=1, container="matroska", count=1_000_001,
           start=0.5),
    _sound("200 tracks", files.streams, count=200),
)  # fmt: skip

PICTURES = (
    *(
        _picture(name, files.picture, mode=mode, container=container, side=side, **how)
        for name, mode, container, side, how in (
            ("PNG", "RGB", "PNG", SIDE, {"compress_level": 1}),
            ("PNG with alpha", "RGBA", "PNG", FOUR, {"compress_level": 1}),
            ("PNG of colors with alpha", "P", "PNG", FOUR, {"transparency": bytes(256)}),
            ("JPEG", "RGB", "JPEG", SIDE, {"quality": 15}),
            ("JPEG, progressive", "RGB", "JPEG", SIDE, {"quality": 15, "progressive": True}),
            ("JPEG of too many bytes", "RGB", "JPEG", SIDE, {"quality": 90}),
            ("JPEG of four inks", "CMYK", "JPEG", FOUR, {"quality": 15}),
            ("WebP", "RGB", "WEBP", SIDE, {"quality": 0, "method": 0}),
            ("WebP with alpha", "RGBA", "WEBP", FOUR, {"quality": 0, "method": 0}),
            ("WebP of too many bytes", "RGBA", "WEBP", 4000, {"lossless": True, "method": 0}),
            ("TIFF with alpha", "RGBA", "TIFF", FOUR, {"compression": "tiff_adobe_deflate"}),
            ("TIFF of four inks", "CMYK", "TIFF", FOUR, {"compression": "tiff_lzw"}),
            ("TIFF as it is", "RGBA", "TIFF", FOUR, {}),
            ("GIF", "P", "GIF", SIDE, {}),
            ("BMP", "RGB", "BMP", SIDE, {}),
            ("a pixel too many", "L", "PNG", SIDE + 1, {}),
        )
    ),
    _picture("JPEG of 10 scans", files.scans, side=SIDE, count=0),
    _picture("JPEG of 1,000 scans", files.scans, side=SIDE, count=1000),
    _picture("BMP in runs", files.runs, side=1414),
    _picture("BMP in more runs", files.runs, side=4000),
    _picture("TIFF of a large tile", files.tiles, side=100, tile=30_000),
    _picture("GIF of gaps", files.gaps, count=100_000_000),
)

FILMS = (
    *(
        _film(f"{container} of 400 Mpx", files.animation, container=container, side=1000, count=400)
        for container in ("GIF", "PNG", "WEBP")
    ),
    _film("30 s of 720p", files.film, sizes=((750, 1280, 720),)),
    _film("30 s of 4K", files.film, sizes=((750, 3840, 2160),)),
    _film("8K", files.film, sizes=((8, 7680, 4320),)),
    _film("8K, 10 bits", files.film, sizes=((3, 7680, 4320),), pixels="yuv420p10le"),
    _film("frames that grow", files.film, sizes=((9, 64, 64), (9, 8192, 8192))),
    _film("100,000 frames a second", files.film, sizes=((300_000, 16, 16),), rate=100_000,
          codec="mpeg4"),
    _film("empty elements", files.voids, count=50_000_000),
    _film("a second of an hour", files.film, sizes=((90_000, 64, 64),), container="mpegts",
          start=3590.0, end=3591.0),
)  # fmt: skip
