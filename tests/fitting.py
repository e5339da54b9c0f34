"""What tests of several stages do with a module: one step without effect, or a short training."""

from collections.abc import Iterator, Sequence
from itertools import repeat

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from datamodules.batch import Batch
from modules.base import PostTrainingModule


def gradients(module: PostTrainingModule, batches: list[Batch]) -> dict[str, Tensor]:
    """Run a training step up to its first update, and keep that from changing the weights."""
    module.apply_gradients = lambda *_: None  # type: ignore[method-assign]
    module.training_step(batches, 0)
    found = {n: p.grad.clone() for n, p in module.policy.named_parameters() if p.grad is not None}
    module.policy.zero_grad()
    return found


def length(gradients: dict[str, Tensor]) -> float:
    """Measure the norm of a whole gradient."""
    return torch.stack([gradient.norm() for gradient in gradients.values()]).norm().item()


def require_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Hold a gradient against another, which is not zero, parameter by parameter."""
    assert found.keys() == expected.keys() and length(expected) > 1e-3
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() < 2e-5 * length(expected), name


class Again(IterableDataset[list[Batch]]):
    """One list of micro-batches, without end."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.batches = list(batches)

    def __iter__(self) -> Iterator[list[Batch]]:
        return repeat(self.batches)


def train(
    module: PostTrainingModule,
    lists: Sequence[list[Batch]] | Again,
    *,
    steps: int,
    callbacks: Sequence[L.Callback] = (),
) -> L.Trainer:
    """Train on given lists of micro-batches, as train.py does, and nothing more."""
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*callbacks],
    )
    trainer.fit(module, DataLoader(lists, batch_size=None))
    return trainer


def fit(module: PostTrainingModule, batches: Sequence[Batch], *, steps: int = 1) -> L.Trainer:
    """Train on the same micro-batches again and again."""
    return train(module, Again(batches), steps=steps)
