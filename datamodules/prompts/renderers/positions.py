"""Where tokens stand along time, height and width: M-RoPE (arXiv 2409.12191), as arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.prompts.renderers.features import Features


@dataclass(frozen=True, kw_only=True)
class Block:
    """Where the tokens of a medium stand, counted from the first of them."""

    numbers: Tensor
    """(3, tokens)"""

    ahead: int = 0
    """How many of them precede the first placeholder of a picture or film."""

    tail: int = 0
    """What follows goes on from the largest number of this many last tokens; 0 is all of them."""


def moments(steps: int, seconds: float, positions_per_second: float) -> Tensor:
    """Number the steps of a film in time, in the precision and order of products that models do.

    Shapes: -> (steps,)

    Args:
        seconds: between two steps.
    """
    return torch.arange(steps) * torch.tensor(seconds) * positions_per_second


def visual_block(grid: Tensor, times: Tensor) -> Tensor:
    """Spread the tokens of one picture or video over the axes, starting at 0.

    Shapes: grid (3,), tokens along time, height and width, times (tokens along time,)
        -> (3, tokens)
    """
    _, height, width = grid.tolist()
    axes = torch.meshgrid(
        times,
        torch.arange(height, dtype=times.dtype),
        torch.arange(width, dtype=times.dtype),
        indexing="ij",
    )
    return torch.stack([axis.flatten() for axis in axes])


def rope_positions(
    token_ids: Sequence[int], blocks: Sequence[Block], *, visual_ids: Sequence[int]
) -> Tensor:
    """Number the tokens of a prompt.

    Text and audio advance all three axes by one per token; a picture or a video takes its block,
    and what follows goes on from the largest number used.

    Shapes: P token ids -> (3, P)

    Args:
        blocks: of the pictures and videos, in the order of their placeholders.
        visual_ids: the placeholders of pictures and videos.
    """
    numbered: list[Tensor] = []
    place: int = 0
    number: float = 0  # whole where the blocks' are
    for block in blocks:
        seen = next(n for n in range(place, len(token_ids)) if token_ids[n] in visual_ids)
        words = seen - block.ahead - place
        numbered += [_words(words) + number, block.numbers + (number + words)]
        number = numbered[-1][:, -block.tail :].max().item() + 1
        place += words + block.numbers.shape[1]
    return torch.cat([*numbered, _words(len(token_ids) - place) + number], dim=1)


def _words(count: int) -> Tensor:
    """Count tokens of text. Shapes: -> (3, count)"""
    return torch.arange(count).expand(3, -1)


def visual_positions(
    token_ids: Sequence[int],
    media: Sequence[Sequence[Features]],
    *,
    visual_ids: Sequence[int],
    merge_size: int,
    positions_per_second: float,
) -> Tensor:
    """Number the tokens of a prompt whose films advance in time as their frames do.

    Shapes: P token ids -> (3, P)

    Args:
        merge_size: patches along each side of the square that shares one token.
    """
    blocks = [
        Block(numbers=film_block(feature, merge_size, positions_per_second).long())
        for medium in media
        for feature in medium
        if feature.kind != "audio"
    ]
    return rope_positions(token_ids, blocks, visual_ids=visual_ids)


def film_block(film: Features, merge_size: int, positions_per_second: float) -> Tensor:
    """Spread the tokens of one picture or video, time in fractions of positions.

    Shapes: -> (3, tokens)
    """
    grid = film.grid // torch.tensor([1, merge_size, merge_size])
    times = moments(int(grid[0]), film.seconds_per_grid, positions_per_second)
    return visual_block(grid, times)


def text_positions(token_ids: Sequence[int]) -> Tensor:
    """Number the tokens of a prompt along the one axis that there is. Shapes: -> (3, P)"""
    return _words(len(token_ids))
