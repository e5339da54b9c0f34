"""The sound of a film between its frames, as Qwen's omni-modal models take it.

Tokens are dealt out by where they stand in time, counted in positions: a token of sound is one
position long, and those of a picture share theirs.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Literal

import torch
from torch import Tensor

from datamodules.prompts.renderers.base import Medium, Place
from datamodules.prompts.renderers.features import Features, Processor

Piece = tuple[Literal["video", "audio"], int]
"""Tokens of one kind that stand side by side, and how many they are."""


def with_sound(medium: Medium) -> bool:
    """Tell whether a medium is a film with its sound, neither of them withheld."""
    return [one.kind for one in medium] == ["video", "audio"]


def times_of(film: Features, positions_per_second: float) -> list[float]:
    """Say where each token of a film's pictures stands in time, as processors reckon it."""
    steps = int(film.grid[0])
    tokens = film.tokens // steps
    return [
        step * film.seconds_per_grid * positions_per_second
        for step in range(steps)
        for _ in range(tokens)
    ]


def in_chunks(times: Sequence[float], sounds: int, *, length: int) -> list[Piece]:
    """Deal out chunks of equal time, the pictures of each before its sound: Qwen2.5-Omni's way.

    Args:
        times: where each token of the pictures stands in time, in order and from 0.
        sounds: tokens of the sound.
        length: positions of a chunk.
    """
    pieces: list[Piece] = []
    both = zip_longest(_chunks(times, length), _chunks(range(sounds), length), fillvalue=0)
    for seen, heard in both:
        pieces += [("video", seen), ("audio", heard)]
    return [piece for piece in pieces if piece[1]]


def _chunks(times: Sequence[float], length: int) -> list[int]:
    """Count the tokens of each chunk.

    A token that passes several ends of chunks closes one only, and the next token another: where
    pictures are further apart than chunks, they are cut. So the model was trained.
    """
    counts: list[int] = []
    begun = 0
    for place, time in enumerate(times):
        if time >= (len(counts) + 1) * length:
            counts.append(place - begun)
            begun = place
    return [*counts, len(times) - begun]


def in_time(times: Sequence[float], sounds: int) -> list[Piece]:
    """Put each picture before the first sound that begins no earlier: Qwen3-Omni's way.

    Args:
        times, sounds: see `in_chunks`.
    """
    seen = [(time, 0) for time in times]
    heard = [(float(number), 1) for number in range(sounds)]
    kinds: tuple[Literal["video"], Literal["audio"]] = ("video", "audio")
    runs = groupby(sorted(seen + heard), key=lambda token: token[1])
    return [(kinds[kind], len([*run])) for kind, run in runs]


def woven(pieces: Sequence[Piece], pictures: Tensor, sounds: int) -> Tensor:
    """Put the positions of pictures and sound in the order of their tokens.

    Shapes: pictures (3, V) -> (3, V + sounds)
    """
    blocks = {"video": pictures, "audio": torch.arange(sounds, dtype=pictures.dtype).expand(3, -1)}
    left = {
        kind: iter(block.split([count for one, count in pieces if one == kind], dim=1))
        for kind, block in blocks.items()
    }
    return torch.cat([next(left[kind]) for kind, _ in pieces], dim=1)


def place_of(pieces: Sequence[Piece], processor: Processor, tokens: Mapping[str, str]) -> Place:
    """Write a film and its sound in the place that a template leaves for the film.

    Args:
        tokens: the placeholder of each kind of media.
    """
    written = "".join(tokens[kind] * count for kind, count in pieces)
    return Place(
        kind="video",
        placeholder=tokens["video"],
        text=processor.audio_bos_token + written + processor.audio_eos_token,
    )
