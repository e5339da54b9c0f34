"""Keep what frozen towers make of media: each is seen and heard once in all runs.

A file for each medium, named by everything that what it holds depends on: the towers' weights and
numbers, the release of transformers, the precision of products, and the medium as the towers take
it. Any number of processes may read and write at once.
"""

import json
import logging
import os
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import final

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

log = logging.getLogger(__name__)

Sense = Callable[[Sequence[int]], Sequence[Tensor]]
"""Run a tower over some of the media, by number -> (tokens, W) of each."""

IDLE = ("_name_or_path", "transformers_version", "dtype", "initializer_range")
"""Entries of a configuration that change nothing once weights are there."""


@final
class TowerCache:
    """A directory of what one set of towers has made of media.

    A medium that comes out of it is what the towers made of it in the company in which it was first
    met: other company moves a tower's output by rounding errors, as it does without a cache.
    """

    def __init__(self, directory: Path, towers: Sequence[nn.Module], *, gigabytes: float) -> None:
        """Open the directory for towers that are frozen, and are still where they were loaded.

        Args:
            gigabytes: beyond which nothing is added; counted now, and by what this process adds.
        """
        self.directory = directory / towers_digest(towers)
        self.room = int(gigabytes * 1e9) - sum(
            file.stat().st_size for file in directory.glob("*/*/*.safetensors")
        )

    def states(
        self, kind: str, media: Sequence[Tensor], sizes: Tensor, sense: Sense
    ) -> list[Tensor]:
        """Look up media of one kind, and run the tower once over all that are lacking.

        Shapes: sizes (media, ...) -> (tokens, W) of each
        """
        named = zip(media, sizes.tolist(), strict=True)
        files = [self._file(kind, values, size) for values, size in named]
        found = [_read(file, values.device) for file, values in zip(files, media, strict=True)]
        missing = [number for number, states in enumerate(found) if states is None]
        for number, states in zip(missing, sense(missing) if missing else (), strict=True):
            found[number] = states
            self._write(files[number], states)
        return [states for states in found if states is not None]

    def _file(self, kind: str, values: Tensor, size: object) -> Path:
        """Name a medium by what a tower is given of it."""
        device = values.device.type
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        facts = json.dumps([kind, size, str(values.dtype), str(precision)])
        name = blake2b(facts.encode(), digest_size=16)
        name.update(_bytes(values))
        digest = name.hexdigest()
        return self.directory / digest[:2] / f"{digest}.safetensors"

    def _write(self, file: Path, states: Tensor) -> None:
        """Add an entry, whole or not at all, while there is room."""
        size = states.nbytes
        if self.room < size:
            if self.room >= 0:
                log.warning(
                    "the tower cache %s is full: what else is seen and heard is not kept. Raise "
                    "model.tower_cache_gigabytes, or remove what other towers left there.",
                    self.directory.parent,
                )
            self.room = -1
            return
        self.room -= size
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}.tmp")
        save_file({"states": states.detach().cpu().contiguous()}, partial)
        os.replace(partial, file)


def towers_digest(towers: Sequence[nn.Module]) -> str:
    """Name towers by their weights and by the numbers of their configuration."""
    digest = blake2b(transformers.__version__.encode(), digest_size=16)
    for tower in towers:
        # A projector has none; transformers' classes share no typed base for it.
        config = getattr(tower, "config", None)
        facts = {} if config is None else config.to_dict()
        told = {key: value for key, value in facts.items() if key not in IDLE}
        digest.update(json.dumps(told, sort_keys=True, default=str).encode())
        for name, value in tower.state_dict().items():
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(_bytes(value))
    return digest.hexdigest()


def _read(file: Path, device: torch.device) -> Tensor | None:
    """Read an entry; None where there is none, or a damaged one, which is made anew."""
    try:
        return load_file(file, device=str(device))["states"]
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, OSError) as error:
        log.warning("%s is damaged (%s) and is made anew", file, error)
        return None


def _bytes(values: Tensor) -> memoryview:
    """Look at the bytes of a tensor, whatever its precision."""
    flat = values.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data
