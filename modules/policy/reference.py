"""Frozen models beside the policy: the reference that a run started from, or a teacher."""

from abc import ABC, abstractmethod
from typing import Self, final

import torch
from torch import Tensor, nn

from datamodules.batch import Batch, Completions
from modules.backbones.adapters import adapters_off
from modules.backbones.base import evaluating
from modules.kernels.logprobs import fused_scores
from modules.policy.scoring import PackedStates
from modules.policy.vocabulary import Vocabulary


class Reference(ABC):
    """A model that scores completions."""

    vocabulary: Vocabulary
    suppressed: Tensor
    """True on tokens that are never sampled. (V,)"""

    @abstractmethod
    def hidden_states(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        scored: Tensor | None = None,
    ) -> PackedStates:
        """Compute the states that predict each token of completions, prompts shared within groups.

        Prompts are embedded first unless `encoded` is given.

        Shapes: encoded (sum of P, D_in), completions (N, T), scored (N, T)

        Args:
            scored: True on the tokens that are predicted; all of them by default.
        """

    @abstractmethod
    def to(self, device: torch.device) -> object:
        """Move to a device."""

    def logprobs(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        temperature: float = 1.0,
        scored: Tensor | None = None,
    ) -> Tensor:
        """Score completions under the tempered policy, prompts shared within their group.

        Shapes: encoded (sum of P, D_in), completions (N, T), scored (N, T)
            -> (N, T) float32, 0 on padding and on what is not scored

        Args:
            scored: True on the tokens that are scored, all of them by default; the head runs for
                these alone. The others are only read, and may be tokens that are never sampled.
        """
        read = self.hidden_states(batch, completions, encoded=encoded, scored=scored)
        logprobs, _ = fused_scores(
            read.states,
            read.weight,
            read.targets,
            suppressed=self.suppressed,
            temperature=temperature,
            with_entropy=False,
        )
        return read.pad(logprobs)


@final
class DisabledAdapterReference(Reference):
    """The policy with its adapters disabled: its weights are those of the start, without a copy."""

    def __init__(self, policy: Reference, thinker: nn.Module) -> None:
        self.policy = policy
        self.thinker = thinker
        self.vocabulary = policy.vocabulary

    @property
    def suppressed(self) -> Tensor:  # type: ignore[override]  # on the policy's device
        """True on tokens that are never sampled. (V,)"""
        return self.policy.suppressed

    @torch.no_grad()
    def hidden_states(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        scored: Tensor | None = None,
    ) -> PackedStates:
        """Compute them without the adapters, those of towers included; the head has none."""
        with evaluating(self.thinker), adapters_off(self.thinker):
            return self.policy.hidden_states(batch, completions, encoded=encoded, scored=scored)

    def to(self, device: torch.device) -> Self:
        """Stay where the policy is, whose weights these are."""
        return self
