"""Where tokens stand along time, height and width: M-RoPE (arXiv 2409.12191), as arithmetic."""

from collections.abc import Sequence

import torch
from torch import Tensor


def visual_block(grid: Tensor, stride: float) -> Tensor:
    """Spread the tokens of one picture or video over the axes, starting at 0.

    Shapes: grid (3,), tokens along time, height and width -> (3, tokens)

    Args:
        stride: positions between two steps of time.
    """
    time, height, width = grid.tolist()
    axes = torch.meshgrid(
        (torch.arange(time) * stride).long(),
        torch.arange(height),
        torch.arange(width),
        indexing="ij",
    )
    return torch.stack([axis.flatten() for axis in axes])


def rope_positions(
    token_ids: Sequence[int], blocks: Sequence[Tensor], *, visual_ids: Sequence[int]
) -> Tensor:
    """Number the tokens of a prompt.

    Text and audio advance all three axes by one per token; a picture or a video takes its block,
    and what follows goes on from the largest number used.

    Shapes: P token ids, blocks (3, tokens) -> (3, P)

    Args:
        blocks: of the pictures and videos, in the order of their placeholders.
        visual_ids: the placeholders of pictures and videos.
    """
    remaining = iter(blocks)
    numbered: list[Tensor] = []
    place, number = 0, 0
    while place < len(token_ids):
        if token_ids[place] in visual_ids:
            block = next(remaining)
        else:
            end = place
            while end < len(token_ids) and token_ids[end] not in visual_ids:
                end += 1
            block = torch.arange(end - place).expand(3, -1)
        numbered.append(block + number)
        number = int(numbered[-1].max()) + 1
        place += block.shape[1]
    return torch.cat(numbered, dim=1)
