"""Keep decoded media on disk: what one run has decoded, no other decodes again.

An entry is named by all that its arrays depend on, the bytes of the file among it, so none is ever
out of date. It is written aside and renamed, so any number of processes may share a directory.
"""

import hashlib
import json
import logging
import os
import secrets
from contextlib import suppress
from dataclasses import replace
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
from datamodules.media import Decoded, decode, file_digest, resolve
from datamodules.sample import Media, Modality

log = logging.getLogger(__name__)

DECODERS = (
    2,  # of what reads media here: raise it when that makes something else of a file
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
"""What of a budget changes what is decoded; lengths that are refused are not kept."""

GIGABYTE = 10**9


@final
class MediaCache:
    """A directory of decoded media, which stops growing at a size."""

    def __init__(self, directory: Path, *, gigabytes: float) -> None:
        self.directory = directory
        self.most = gigabytes * GIGABYTE
        self._size: int | None = None  # of all entries; not counted yet
        self._full = False

    def decode(
        self,
        root: Path,
        media: Media,
        budget: MediaConfig,
        *,
        outside_root: bool = False,
        sound: bool = True,
    ) -> Decoded:
        """Read a medium from here, or decode it and keep it."""
        path = resolve(root, media.path, outside_root=outside_root)
        entry = self._entry(media, file_digest(path), budget, sound)
        if (found := _read(entry)) is not None:
            return _decoded(found, media)
        item = decode(root, media, budget, outside_root=outside_root, sound=sound)
        if not self._full:
            self._write(entry, _arrays(item))
        return item

    def _entry(self, media: Media, digest: str, budget: MediaConfig, sound: bool) -> Path:
        settings = [vars(budget)[name] for name in SETTINGS[media.modality]]
        facts = [DECODERS, digest, media.modality, media.start, media.end, *settings, sound]
        name = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()
        return self.directory / name[:2] / f"{name}.safetensors"

    def _write(self, entry: Path, arrays: dict[str, NDArray[np.generic]]) -> None:
        body = safetensors.numpy.save(arrays)
        data = _checksum(body) + body
        if self._size is None:
            self._size = sum(file.stat().st_size for file in self.directory.glob("*/*.safetensors"))
        if self._size + len(data) > self.most:
            self._stop(f"it has reached data.media_cache_gigabytes={self.most / GIGABYTE:g}")
            return
        aside = entry.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.tmp")
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            aside.write_bytes(data)
            os.replace(aside, entry)
        except OSError as error:  # a full disk costs time, not the run
            with suppress(OSError):
                aside.unlink()
            self._stop(str(error))
            return
        self._size += len(data)

    def _stop(self, reason: str) -> None:
        self._full = True
        log.warning("the cache of decoded media %s grows no further: %s", self.directory, reason)


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _read(entry: Path) -> dict[str, NDArray[np.generic]] | None:
    """Read an entry, or return None where there is none or it is damaged."""
    try:
        data = entry.read_bytes()
        if _checksum(data[16:]) == data[:16]:
            return safetensors.numpy.load(data[16:])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, safetensors.SafetensorError) as error:
        log.warning("%s cannot be read and is decoded again: %s", entry, error)
        return None
    log.warning("%s is damaged and is decoded again", entry)
    return None


def _arrays(item: Decoded) -> dict[str, NDArray[np.generic]]:
    """Name the arrays of a medium; a number is an array of one."""
    fps = None if item.fps is None else np.array([item.fps])
    parts = {"image": item.image, "frames": item.frames, "fps": fps, "audio": item.audio}
    return {name: np.ascontiguousarray(part) for name, part in parts.items() if part is not None}


def _decoded(arrays: dict[str, NDArray[np.generic]], media: Media) -> Decoded:
    fps = arrays.pop("fps", None)
    item = Decoded(modality=media.modality, role=media.role, **arrays)  # type: ignore[arg-type] # as _arrays names them
    return item if fps is None else replace(item, fps=float(fps[0]))
