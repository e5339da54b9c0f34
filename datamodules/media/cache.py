"""Cache decoded media on disk, for all runs.

An entry is named by everything that its arrays depend on, the bytes of the file included, so it is
never stale. What is read from it is checked like the output of a decoder.
"""

import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import final

import av
import numpy as np
import PIL
import safetensors
import safetensors.numpy
import soundfile
import soxr
from numpy.typing import NDArray

from configs.schema import MediaConfig
from datamodules.media.decoders import SAMPLE_RATE
from datamodules.media.files import Decoded, decode, file_digest, resolve
from datamodules.sample import Media, Modality
from runtime.caching import Cache

DECODERS = (
    3,  # of what reads media here: raise it when that makes something else of a file
    av.library_versions,
    soundfile.__libsndfile_version__,
    soxr.__version__,
    PIL.__version__,
)

SETTINGS: dict[Modality, tuple[str, ...]] = {
    "audio": ("audio_max_seconds",),
    "image": ("image_max_pixels",),
    "video": ("image_max_pixels", "video_max_frames", "video_fps", "audio_max_seconds"),
}
"""The fields of a budget that change what is decoded; media that are refused for their length are
not cached."""

PARTS: dict[Modality, tuple[frozenset[str], ...]] = {
    "audio": (frozenset({"audio"}),),
    "image": (frozenset({"image"}),),
    "video": (frozenset({"frames", "fps"}), frozenset({"frames", "fps", "audio"})),
}
"""The sets of arrays that an entry may hold."""


@final
class MediaCache:
    """A directory of decoded media with a maximal size."""

    def __init__(self, directory: Path, *, gigabytes: float) -> None:
        self.cache = Cache(
            directory,
            gigabytes=gigabytes,
            holds="decoded media",
            setting="data.media_cache_gigabytes",
        )

    def decode(
        self,
        root: Path,
        media: Media,
        budget: MediaConfig,
        *,
        outside_root: bool = False,
        sound: bool = True,
    ) -> Decoded:
        """Read a medium from the cache, or decode it and add it."""
        path = resolve(root, media.path, outside_root=outside_root)
        name = _name(media, file_digest(path), budget, sound)
        found = self.cache.find(name, partial(_decoded, media=media), numbers=_bytes(budget))
        if found is not None:
            return found
        item = decode(root, media, budget, outside_root=outside_root, sound=sound)
        self.cache.keep(name, safetensors.numpy.save(_arrays(item)))
        return item


def _name(media: Media, digest: str, budget: MediaConfig, sound: bool) -> str:
    settings = [vars(budget)[name] for name in SETTINGS[media.modality]]
    facts = [DECODERS, digest, media.modality, media.start, media.end, *settings, sound]
    name = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()
    return f"{name[:2]}/{name}.safetensors"


def _bytes(budget: MediaConfig) -> int:
    """Return the size of the largest medium that a budget allows."""
    pixels = 3 * budget.image_max_pixels * max(2, budget.video_max_frames)
    return pixels + 4 * round(SAMPLE_RATE * (min(budget.audio_max_seconds, 1e9) + 1))


def _arrays(item: Decoded) -> dict[str, NDArray[np.generic]]:
    """Name the arrays of a medium; a number is an array of one."""
    fps = None if item.fps is None else np.array([item.fps])
    parts = {"image": item.image, "frames": item.frames, "fps": fps, "audio": item.audio}
    return {name: np.ascontiguousarray(part) for name, part in parts.items() if part is not None}


def _decoded(content: bytes, media: Media) -> Decoded:
    """Read what `_arrays` named, and nothing else."""
    arrays = safetensors.numpy.load(content)
    if frozenset(arrays) not in PARTS[media.modality]:
        raise ValueError(f"it holds {', '.join(sorted(arrays))}, which is no {media.modality}")
    fps = arrays.pop("fps", None)
    item = Decoded(modality=media.modality, role=media.role, **arrays)  # type: ignore[arg-type] # as _arrays names them
    return item if fps is None else replace(item, fps=fps.astype(float).item())
