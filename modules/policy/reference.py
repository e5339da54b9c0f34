"""Frozen models beside the policy: the reference that a run started from, or a teacher."""

from typing import Protocol, Self, final

import torch
from torch import Tensor, nn

from datamodules.batch import Batch, Completions
from modules.backbones.adapters import adapters_off
from modules.backbones.base import evaluating
from modules.policy.scoring import PackedStates
from modules.policy.vocabulary import Vocabulary


class Reference(Protocol):
    """A frozen model that scores completions."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens."""

    def hidden_states(
        self, batch: Batch, completions: Completions, *, encoded: Tensor | None = None
    ) -> PackedStates:
        """Compute the states that predict each token. Shapes: encoded (sum of P, D_in)"""

    def logprobs(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Score completions. Shapes: encoded (sum of P, D_in) -> (N, T)"""

    def to(self, device: torch.device) -> object:
        """Move to a device."""


@final
class DisabledAdapterReference:
    """The policy with its adapters disabled: its weights are those of the start, without a copy."""

    def __init__(self, policy: Reference, thinker: nn.Module) -> None:
        self.policy = policy
        self.thinker = thinker

    @property
    def vocabulary(self) -> Vocabulary:
        """The tokens of the policy."""
        return self.policy.vocabulary

    @torch.no_grad()
    def hidden_states(
        self, batch: Batch, completions: Completions, *, encoded: Tensor | None = None
    ) -> PackedStates:
        """Compute the states that predict each token, without the adapters.

        Shapes: encoded (sum of P, D_in)
        """
        with evaluating(self.thinker), adapters_off(self.thinker):
            return self.policy.hidden_states(batch, completions, encoded=encoded)

    @torch.no_grad()
    def logprobs(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Score completions without the adapters, those of towers included.

        Shapes: encoded (sum of P, D_in) -> (N, T)
        """
        with evaluating(self.thinker), adapters_off(self.thinker):
            return self.policy.logprobs(
                batch, completions, encoded=encoded, temperature=temperature
            )

    def to(self, device: torch.device) -> Self:
        """Stay where the policy is, whose weights these are."""
        return self
