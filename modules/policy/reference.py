"""A policy that stays as it is: the one that a run started from, or a teacher."""

from typing import Protocol, Self, final

import torch
from torch import Tensor, nn

from datamodules.batch import Batch, Completions
from modules.backbones.adapters import adapters_off
from modules.backbones.base import evaluating
from modules.policy.scoring import Prediction
from modules.policy.vocabulary import Vocabulary


class Reference(Protocol):
    """What says what it makes of completions and never learns; a frozen model will do."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Its words."""

    def predict(
        self, batch: Batch, completions: Completions, *, encoded: Tensor | None = None
    ) -> Prediction:
        """Find the states that predict each token. Shapes: encoded (sum of P, W)"""

    def logprobs(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Score completions. Shapes: encoded (sum of P, W) -> (N, T)"""

    def to(self, device: torch.device) -> object:
        """Move to where the policy is."""


@final
class AdaptersOff:
    """The weights beside the adapters are those of the start: no second copy is needed."""

    def __init__(self, policy: Reference, thinker: nn.Module) -> None:
        self.policy = policy
        self.thinker = thinker

    @property
    def vocabulary(self) -> Vocabulary:
        """The words of the policy."""
        return self.policy.vocabulary

    @torch.no_grad()
    def predict(
        self, batch: Batch, completions: Completions, *, encoded: Tensor | None = None
    ) -> Prediction:
        """Find the states that predict each token without the adapters.

        Shapes: encoded (sum of P, W)
        """
        with evaluating(self.thinker), adapters_off(self.thinker):
            return self.policy.predict(batch, completions, encoded=encoded)

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

        Shapes: encoded (sum of P, W) -> (N, T)
        """
        with evaluating(self.thinker), adapters_off(self.thinker):
            return self.policy.logprobs(
                batch, completions, encoded=encoded, temperature=temperature
            )

    def to(self, device: torch.device) -> Self:
        """Stay with the policy, whose weights these are."""
        return self
