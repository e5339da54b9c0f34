"""The costliest media that the limits allow, some beyond them, and the costliest cache entries."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench import worst_files as files
from bench.worst_case import Case
from configs.schema import MediaConfig
from datamodules.media.cache import MediaCache
from datamodules.media.files import MediaError, decode
from datamodules.sample import Media, Modality
from modules.backbones.tower_cache import TowerCache

BUDGET = MediaConfig(image_max_pixels=401_408, video_max_frames=32, audio_max_seconds=30.0)
"""Of `data=manifest`, where nothing else is asked for."""

SIDE = 7071
"""Of the largest square picture."""

FOUR, ALPHA = 6123, 5477
"""Of the largest of four channels, and where one of them is alpha."""

NAME = "medium"


def _read(folder: Path, modality: Modality, segment: tuple[float | None, float | None]) -> str:
    """Decode a medium; say what came of it."""
    try:
        media = Media(modality=modality, path=NAME, start=segment[0], end=segment[1])
        found = decode(folder, media, BUDGET)
    except MediaError as error:
        return f"refused: {error.kind}"
    parts = (found.image, found.frames, found.audio)
    return "read " + " and ".join(str(part.shape) for part in parts if part is not None)


def _case(modality: Modality, name: str, write: Callable[..., object], **how: Any) -> Case:
    """Let a writer make the medium; `start` and `end` are of the segment that is read."""
    segment = how.pop("start", None), how.pop("end", None)

    def prepare(folder: Path) -> None:
        write(folder / NAME, **how)

    return Case(
        room=modality,
        name=name,
        prepare=prepare,
        run=partial(_read, modality=modality, segment=segment),
    )


_sound = partial(_case, "audio")
_picture = partial(_case, "image")
_film = partial(_case, "video")

SOUNDS = (
    _sound("64 channels of 48 kHz", files.sound, channels=64, rate=48_000),
    _sound("65 channels of 48 kHz", files.sound, channels=65, rate=48_000),
    _sound("1,000 channels of 16 kHz", files.sound, channels=1000, rate=16_000, seconds=1.0),
    _sound("1,000 channels of 3 kHz", files.sound, channels=1000, rate=3_000),
    _sound("768 kHz", files.sound, channels=4, rate=768_000),
    _sound("1 Hz", files.sound, channels=64, rate=1),
    _sound("FLAC", files.sound, channels=8, rate=192_000, container="FLAC", subtype="PCM_24"),
    _sound("double", files.sound, channels=16, rate=192_000, subtype="DOUBLE"),
    _sound("Vorbis", files.sound, channels=8, rate=192_000, container="OGG", subtype="VORBIS"),
    _sound("denormals", files.sound, channels=16, rate=192_000, subtype="FLOAT", level=1e-42),
    _sound("1e18", files.sound, channels=16, rate=192_000, subtype="FLOAT", level=1e18),
    _sound("a second of ten hours", files.sound, channels=1, rate=8_000, seconds=36_000.0,
           start=35_990.0, end=35_991.0),
    _sound("500 packets a second", files.track, size=32, container="matroska", count=14_900),
    _sound("100,000 packets", files.track, size=1, container="matroska", count=100_000,
           start=0.5),
    _sound("200 tracks", files.streams, count=200),
)  # fmt: skip

PICTURES = (
    *(
        _picture(name, files.picture, mode=mode, container=container, side=side, **how)
        for name, mode, container, side, how in (
            ("PNG", "RGB", "PNG", SIDE, {"compress_level": 1}),
            ("PNG with alpha", "RGBA", "PNG", ALPHA, {"compress_level": 1}),
            ("PNG of colors with alpha", "P", "PNG", ALPHA, {"transparency": bytes(256)}),
            ("JPEG", "RGB", "JPEG", SIDE, {"quality": 15}),
            ("JPEG, progressive", "RGB", "JPEG", SIDE, {"quality": 15, "progressive": True}),
            ("JPEG of too many bytes", "RGB", "JPEG", SIDE, {"quality": 90}),
            ("JPEG of four inks", "CMYK", "JPEG", FOUR, {"quality": 15}),
            ("WebP", "RGB", "WEBP", 5773, {"quality": 0, "method": 0}),
            ("WebP with alpha", "RGBA", "WEBP", 4472, {"quality": 0, "method": 0}),
            ("WebP of too many bytes", "RGBA", "WEBP", 4000, {"lossless": True, "method": 0}),
            ("TIFF with alpha", "RGBA", "TIFF", ALPHA, {"compression": "tiff_adobe_deflate"}),
            ("TIFF of four inks", "CMYK", "TIFF", FOUR, {"compression": "tiff_lzw"}),
            ("TIFF as it is", "RGBA", "TIFF", ALPHA, {}),
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
    _picture("GIF of gaps", files.gaps, count=10_000_000),
)

FILMS = (
    *(
        _film(container, files.animation, container=container, side=1000, count=count)
        for container, count in (("GIF", 50), ("PNG", 50), ("WEBP", 30))
    ),
    _film("12 s of 720p", files.film, sizes=((300, 1280, 720),)),
    _film("4 s of 4K", files.film, sizes=((100, 3840, 2160),)),
    _film("8K", files.film, sizes=((8, 7680, 4320),)),
    _film("8K, 10 bits", files.film, sizes=((3, 7680, 4320),), pixels="yuv420p10le"),
    _film("frames that grow", files.film, sizes=((9, 64, 64), (9, 8192, 8192))),
    _film("100,000 frames a second", files.film, sizes=((100_000, 16, 16),), rate=100_000),
    _film("empty elements", files.voids, count=5_000_000),
    _film("a second of twenty minutes", files.film, sizes=((30_000, 64, 64),), container="mpegts",
          start=1190.0, end=1191.0),
)  # fmt: skip


def _tower_cache(folder: Path) -> TowerCache:
    torch.manual_seed(0)
    return TowerCache(folder, [nn.Linear(2, 2)], gigabytes=100.0)


def _states(folder: Path, *, tokens: int, width: int) -> str:
    """Look up a film in the tower cache; it is made anew where there is none that is good."""
    made: list[int] = []

    def sense(missing: Sequence[int]) -> list[torch.Tensor]:
        made.extend(missing)
        return [torch.ones(tokens, width)]

    [found] = _tower_cache(folder).states(
        "video",
        [torch.zeros(4, 1176)],
        torch.tensor([[16, 32, 64]]),
        sense,
        tokens=[tokens],
        width=width,
    )
    return f"{'made' if made else 'read'} {tuple(found.shape)}"


_small, _large = partial(_states, tokens=8, width=8), partial(_states, tokens=8192, width=3584)


def _decoded(folder: Path) -> str:
    """Look up a film in the cache of decoded media."""
    media = Media(modality="video", path=NAME)
    found = MediaCache(folder / "cache", gigabytes=100.0).decode(folder, media, BUDGET)
    assert found.frames is not None
    return f"read {found.frames.shape}"


def _kept_film(folder: Path) -> None:
    files.film(folder / NAME, sizes=((33, 736, 544),))
    _decoded(folder)


def _swollen(folder: Path) -> None:
    """Put a terabyte of nothing in the place of an entry."""
    _small(folder)
    [entry] = [path for path in folder.rglob("*") if path.is_file()]
    os.truncate(entry, 1 << 40)


CACHES = (
    Case(room="tower cache", name="32 frames, 8,192 tokens", prepare=_large, run=_large),
    Case(room="tower cache", name="a terabyte of nothing", prepare=_swollen, run=_small),
    Case(room="media cache", name="32 frames", prepare=_kept_film, run=_decoded),
)
CASES: tuple[Case, ...] = (*SOUNDS, *PICTURES, *FILMS, *CACHES)
