"""M-RoPE positions along time, height and width (arXiv 2409.12191), as arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.prompts.renderers.features import Features


@dataclass(frozen=True, kw_only=True)
class Block:
    """Positions of the tokens of a medium, relative to the first of them."""

    numbers: Tensor
    """(3, tokens)"""

    ahead: int = 0
    """How many of the tokens precede the first placeholder of an image or video."""

    tail: int = 0
    """Positions continue from the largest number of this many last tokens; 0 is all of them."""


def step_times(steps: int, seconds: float, positions_per_second: float) -> Tensor:
    """Number the steps of a video in time, in the precision and order of products that models use.

    Shapes: -> (steps,)

    Args:
        seconds: between two steps.
    """
    return torch.arange(steps) * torch.tensor(seconds) * positions_per_second


def visual_block(grid: Tensor, times: Tensor) -> Tensor:
    """Spread the tokens of one image or video over the axes, starting at 0.

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

    Text and audio advance all three axes by one per token; an image or a video takes its block, and
    what follows continues from the largest number used.

    Shapes: P token ids -> (3, P)

    Args:
        blocks: of the images and videos, in the order of their placeholders.
        visual_ids: the placeholders of images and videos.
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
    """Number tokens of text. Shapes: -> (3, count)"""
    return torch.arange(count).expand(3, -1)


def video_block(video: Features, merge_size: int, positions_per_second: float) -> Tensor:
    """Spread the tokens of one image or video, time in fractions of positions.

    Shapes: -> (3, tokens)
    """
    grid = video.grid // torch.tensor([1, merge_size, merge_size])
    times = step_times(int(grid[0]), video.seconds_per_grid, positions_per_second)
    return visual_block(grid, times)


def text_positions(token_ids: Sequence[int]) -> Tensor:
    """Number the tokens of a prompt along one axis. Shapes: -> (3, P)"""
    return _words(len(token_ids))
