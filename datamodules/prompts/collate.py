"""Pack prompts into a batch: no padding, each medium once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from datamodules.batch import Batch
from datamodules.prompts.encoder import Prompt
from datamodules.prompts.renderers.features import Features
from datamodules.sample import Sample


def collate(
    samples: Sequence[Sample],
    prompts: Sequence[Prompt],
    *,
    step: int,
    targets: list[list[int]] | None = None,
) -> Batch:
    """Put B prompts end to end and their media, kind by kind, in the order of their placeholders.

    Shapes: prompts of (P,) -> see `Batch`
    """
    media = [feature for prompt in prompts for feature in prompt.features]
    audio, audio_grid = _join(media, "audio", dim=1)
    images, image_grid = _join(media, "image", dim=0)
    videos, video_grid = _join(media, "video", dim=0)
    return Batch(
        samples=list(samples),
        step=step,
        prompt_ids=torch.cat([prompt.token_ids for prompt in prompts]),
        prompt_lens=[len(prompt.token_ids) for prompt in prompts],
        positions=torch.cat([prompt.positions for prompt in prompts], dim=1),
        media=[tuple(feature.kind for feature in prompt.features) for prompt in prompts],
        audio=audio,
        audio_lens=None if audio_grid is None else audio_grid.squeeze(1),
        images=images,
        image_grid=image_grid,
        videos=videos,
        video_grid=video_grid,
        targets=targets,
    )


def shared_tokens(prompts: Sequence[Prompt]) -> int:
    """Count the tokens that all prompts begin with."""
    rows = [prompt.token_ids for prompt in prompts]
    width = min(map(len, rows))
    alike = torch.stack([row[:width] == rows[0][:width] for row in rows]).all(0)  # (width,)
    return int(alike.cumprod(0).sum())


def _join(media: Sequence[Features], kind: str, *, dim: int) -> tuple[Tensor | None, Tensor | None]:
    """Concatenate the features of one kind; None where the batch has none of it."""
    chosen = [feature for feature in media if feature.kind == kind]
    if not chosen:
        return None, None
    values = torch.cat([feature.values for feature in chosen], dim=dim)
    return values, torch.stack([feature.grid for feature in chosen])
