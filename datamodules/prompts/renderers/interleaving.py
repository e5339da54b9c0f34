"""Interleave the audio of a video with its frames, as Qwen's omni-modal models do.

Tokens are ordered by time, counted in positions: a token of audio is one position long, and all
tokens of a frame have the same time.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby, zip_longest
from typing import Literal

import torch
from torch import Tensor

from datamodules.prompts.renderers.base import Medium, Place
from datamodules.prompts.renderers.features import Features, Processor

Piece = tuple[Literal["video", "audio"], int]
"""A run of tokens of one kind, and its length."""


def is_video_with_audio(medium: Medium) -> bool:
    """Tell whether a medium is a video with its audio, neither of them withheld."""
    return [one.kind for one in medium] == ["video", "audio"]


def token_times(video: Features, positions_per_second: float) -> list[float]:
    """List the time of each token of a video's frames, as processors compute it."""
    steps = int(video.grid[0])
    tokens = video.tokens // steps
    return [
        step * video.seconds_per_grid * positions_per_second
        for step in range(steps)
        for _ in range(tokens)
    ]


def interleave_chunks(times: Sequence[float], sounds: int, *, length: int) -> list[Piece]:
    """Interleave chunks of equal time, the frames of each before its audio, as Qwen2.5-Omni does.

    Args:
        times: of each token of the frames, ascending from 0.
        sounds: number of audio tokens.
        length: positions of a chunk.
    """
    pieces: list[Piece] = []
    both = zip_longest(_chunks(times, length), _chunks(range(sounds), length), fillvalue=0)
    for seen, heard in both:
        pieces += [("video", seen), ("audio", heard)]
    return [piece for piece in pieces if piece[1]]


def _chunks(times: Sequence[float], length: int) -> list[int]:
    """Count the tokens of each chunk.

    A token that passes several ends of chunks closes only one, and the next token another; where
    frames are further apart than chunks, a frame is split. The model was trained so.
    """
    counts: list[int] = []
    begun = 0
    for place, time in enumerate(times):
        if time >= (len(counts) + 1) * length:
            counts.append(place - begun)
            begun = place
    return [*counts, len(times) - begun]


def interleave_by_time(times: Sequence[float], sounds: int) -> list[Piece]:
    """Put each frame before the first audio token that begins no earlier, as Qwen3-Omni does.

    Args:
        times, sounds: see `interleave_chunks`.
    """
    seen = [(time, 0) for time in times]
    heard = [(float(number), 1) for number in range(sounds)]
    kinds: tuple[Literal["video"], Literal["audio"]] = ("video", "audio")
    runs = groupby(sorted(seen + heard), key=lambda token: token[1])
    return [(kinds[kind], len([*run])) for kind, run in runs]


def interleave_positions(pieces: Sequence[Piece], pictures: Tensor, sounds: int) -> Tensor:
    """Put the positions of frames and audio in the order of their tokens.

    Shapes: pictures (3, V) -> (3, V + sounds)
    """
    blocks = {"video": pictures, "audio": torch.arange(sounds, dtype=pictures.dtype).expand(3, -1)}
    left = {
        kind: iter(block.split([count for one, count in pieces if one == kind], dim=1))
        for kind, block in blocks.items()
    }
    return torch.cat([next(left[kind]) for kind, _ in pieces], dim=1)


def interleaved_place(
    pieces: Sequence[Piece], processor: Processor, tokens: Mapping[str, str]
) -> Place:
    """Write a video and its audio in the place that a template leaves for the video.

    Args:
        tokens: the placeholder of each kind of media.
    """
    written = "".join(tokens[kind] * count for kind, count in pieces)
    return Place(
        kind="video",
        placeholder=tokens["video"],
        text=processor.audio_bos_token + written + processor.audio_eos_token,
    )
