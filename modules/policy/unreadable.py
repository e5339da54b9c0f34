"""Name the prompts for which a model computes infinite or NaN logits."""

import torch

from configs.choices import AttentionKind
from datamodules.batch import Batch, Completions
from modules.backbones.base import LanguageModel
from modules.policy.scoring import forward_packed
from modules.step.nonfinite import NonFiniteError, media_range


@torch.no_grad()
def unreadable(
    parts: LanguageModel, batch: Batch, after: Completions | None, *, attention: AttentionKind
) -> NonFiniteError:
    """Read each prompt of a batch by itself, and return an error that names those at fault.

    Args:
        after: tokens that follow the prompts, if there are any.
    """
    found = []
    for row, sample in enumerate(batch.samples):
        own = None
        if after is not None:
            rows = [number for number, owner in enumerate(after.owner) if owner == row]
            own = after.select(rows) if rows else None
        one = batch.select([row])
        hidden, _ = forward_packed(
            parts, one, own, encoded=parts.embed(one), attention=attention
        )  # (S, D)
        if not bool(parts.head(hidden[-1:]).isfinite().all() and hidden.isfinite().all()):
            found.append(f"{sample.id}{media_range(batch, row)}")
    if found and len(found) < len(batch):
        return NonFiniteError(
            f"the logits are infinite or NaN in {len(found)} of {len(batch)} prompts "
            f"({'; '.join(found)}), and no answer is taken from such numbers: leave these samples "
            "out, or mend their media."
        )
    asked = ", ".join(sample.id for sample in batch.samples)
    return NonFiniteError(
        f"the logits are infinite or NaN whichever prompt is read ({asked}), and no answer is "
        "taken from such numbers: the weights went wrong. Take other weights, try "
        "trainer.precision=32-true, or train with a smaller optim.lr.",
        weights_good=False,
    )
