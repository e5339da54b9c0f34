"""Cache the outputs of frozen towers on disk: each medium is encoded once in all runs.

A file for each medium, named by everything that its content depends on: the towers' weights and
configuration, the release of transformers, the precision of products, and the input of the tower.
Any number of processes may read and write at once.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import final

import torch
import transformers
from safetensors.torch import load, save
from torch import Tensor, nn

from runtime.caching import Cache

FORMAT = 2
"""Version of the entries; raise it when they change."""

EncodeMedia = Callable[[Sequence[int]], Sequence[Tensor]]
"""Encodes some of the media, by number -> (tokens, D_in) of each."""

IGNORED_CONFIG = ("_name_or_path", "transformers_version", "dtype", "initializer_range")
"""Entries of a configuration that change nothing once weights are there."""


@final
class TowerCache:
    """A directory of outputs of one set of towers.

    An entry is the output in the batch in which the medium was first encoded: other batches change
    a tower's output by rounding errors, as they do without a cache.
    """

    def __init__(self, directory: Path, towers: Sequence[nn.Module], *, gigabytes: float) -> None:
        """Open the directory for frozen towers, on the device where they were loaded.

        Args:
            gigabytes: beyond which nothing is added; counted once, and by what this process adds.
        """
        self._towers = towers_digest(towers)
        self._cache = Cache(
            directory,
            gigabytes=gigabytes,
            holds="what towers made of media",
            setting="model.tower_cache_gigabytes",
        )

    def states(
        self,
        kind: str,
        media: Sequence[Tensor],
        sizes: Tensor,
        encode: EncodeMedia,
        *,
        tokens: Sequence[int],
        width: int,
    ) -> list[Tensor]:
        """Look up media of one kind, and run the tower once over all missing ones.

        Shapes: sizes (media, ...) -> (tokens, D_in) of each

        Args:
            tokens, width: of the output for each; entries of another shape are ignored.
        """
        named = zip(media, sizes.tolist(), strict=True)
        names = [self._name(kind, values, size) for values, size in named]
        found = [
            self._read(name, (count, width), values.device)
            for name, count, values in zip(names, tokens, media, strict=True)
        ]
        missing = [number for number, states in enumerate(found) if states is None]
        for number, states in zip(missing, encode(missing) if missing else (), strict=True):
            found[number] = states
            if bool(states.isfinite().all()):  # else the loss will name its question
                kept = {"states": states.detach().cpu().contiguous()}
                self._cache.keep(names[number], save(kept))
        return [states for states in found if states is not None]

    def _name(self, kind: str, values: Tensor, size: object) -> str:
        """Name a medium by the input of the tower."""
        device = values.device.type
        precision = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        facts = json.dumps([FORMAT, kind, size, str(values.dtype), str(precision)])
        name = blake2b(facts.encode(), digest_size=16)
        name.update(_bytes(values))
        digest = name.hexdigest()
        return f"{self._towers}/{digest[:2]}/{digest}.safetensors"

    def _read(self, name: str, shape: tuple[int, int], device: torch.device) -> Tensor | None:
        parse = partial(_states, shape=shape)
        states = self._cache.find(name, parse, numbers=8 * shape[0] * shape[1])
        return None if states is None else states.to(device)


def _states(content: bytes, shape: tuple[int, int]) -> Tensor:
    """Parse an entry, which holds states of one medium and nothing else."""
    states = load(content)["states"]
    if tuple(states.shape) != shape or not states.is_floating_point():
        raise ValueError(f"it holds {states.dtype} of {tuple(states.shape)}, not states of {shape}")
    if not bool(states.isfinite().all()):
        raise ValueError("it holds infinite or NaN states")
    return states


def towers_digest(towers: Sequence[nn.Module]) -> str:
    """Hash the weights of towers and their configuration."""
    digest = blake2b(transformers.__version__.encode(), digest_size=16)
    for tower in towers:
        # A projector has none; transformers' classes share no typed base for it.
        config = getattr(tower, "config", None)
        facts = {} if config is None else config.to_dict()
        hashed = {key: value for key, value in facts.items() if key not in IGNORED_CONFIG}
        digest.update(json.dumps(hashed, sort_keys=True, default=str).encode())
        for name, value in tower.state_dict().items():
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(_bytes(value))
    return digest.hexdigest()


def _bytes(values: Tensor) -> memoryview:
    """View the bytes of a tensor, whatever its precision."""
    flat = values.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data
