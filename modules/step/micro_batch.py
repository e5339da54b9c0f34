"""Micro-batches: what the loss of a stage is computed from, and how much of it trains."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from torch import Tensor

from datamodules.batch import Batch, Completions


class MicroBatch(Protocol):
    """Prompts with their completions, small enough for one backward pass."""

    @property
    def batch(self) -> Batch:
        """The prompts. B"""

    @property
    def loss_mask(self) -> Tensor:
        """True on the tokens of completions that train. (N, T)"""

    def alone(self, prompt: int) -> Self:
        """Take one prompt with its completions, without anything computed beside the others."""


M = TypeVar("M", bound=MicroBatch)
LossOf = Callable[[M], tuple[Tensor, Mapping[str, Tensor]]]
"""Computes the loss of a micro-batch, a scalar with a graph, and metrics by name."""


@dataclass(frozen=True, kw_only=True)
class CompletedBatch:
    """Prompts with one completion each."""

    batch: Batch
    completions: Completions

    @property
    def loss_mask(self) -> Tensor:
        """True on real tokens. (N, T)"""
        return self.completions.valid

    def alone(self, prompt: int) -> Self:
        """Take one prompt with its completion."""
        own = self.completions.select([prompt])
        return type(self)(batch=self.batch.select([prompt]), completions=own)


@dataclass(frozen=True)
class StepCounts:
    """What the loss of one optimizer step is divided by, over all micro-batches and ranks."""

    completions: int
    tokens: int
    """Tokens of completions that train."""

    prompt_tokens: int
