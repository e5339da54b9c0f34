"""Prompts that a model makes no numbers of are named, and nothing is answered to them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from datamodules.batch import Batch, Completions
from modules.backbones.base import LanguageModel
from modules.policy.scoring import read_row
from modules.step.nonfinite import NonFinite, oddity


@contextmanager
def readable(
    parts: LanguageModel, batch: Batch, after: Completions | None, *, dense: bool
) -> Iterator[None]:
    """Name the prompts at fault where numbers go wrong inside; see `unreadable`."""
    try:
        yield
    except NonFinite as error:
        raise unreadable(parts, batch, after, dense=dense) from error


@torch.no_grad()
def unreadable(
    parts: LanguageModel, batch: Batch, after: Completions | None, *, dense: bool
) -> NonFinite:
    """Read each prompt of a batch by itself, and say which of them the model cannot read.

    Args:
        after: what stands behind the prompts, if anything does.
    """
    found = []
    for row, sample in enumerate(batch.samples):
        own = None
        if after is not None:
            rows = [number for number, owner in enumerate(after.owner) if owner == row]
            own = after.select(rows) if rows else None
        one = batch.select([row])
        hidden, _ = read_row(parts, one, own, encoded=parts.embed(one), dense=dense)  # (S, D)
        if not bool(parts.head(hidden[-1:]).isfinite().all() and hidden.isfinite().all()):
            found.append(f"{sample.id}{oddity(batch, row)}")
    if found and len(found) < len(batch):
        return NonFinite(
            f"the logits are infinite or NaN in {len(found)} of {len(batch)} prompts "
            f"({'; '.join(found)}), and no answer is taken from such numbers: leave these samples "
            "out, or mend their media."
        )
    asked = ", ".join(sample.id for sample in batch.samples)
    return NonFinite(
        f"the logits are infinite or NaN whichever prompt is read ({asked}), and no answer is "
        "taken from such numbers: the weights went wrong. Take other weights, try "
        "trainer.precision=32-true, or train with a smaller optim.lr.",
        sound=False,
    )
