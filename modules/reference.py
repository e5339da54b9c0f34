"""The policy that a run started from, to measure how far it has gone."""

from typing import Protocol, Self, final

import torch
from torch import Tensor, nn

from datamodules.batch import Batch, Completions
from modules.adapters import adapters_off
from modules.backbone import evaluating


class Reference(Protocol):
    """What scores completions as the policy of the start would; a frozen copy of it will do."""

    def logprobs(
        self,
        batch: Batch,
        completions: Completions,
        *,
        encoded: Tensor | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """Score completions. Shapes: encoded (sum of P, D) -> (N, T)"""

    def to(self, device: torch.device) -> object:
        """Move to where the policy is."""


@final
class AdaptersOff:
    """The weights beside the adapters are those of the start: no second copy is needed."""

    def __init__(self, policy: Reference, thinker: nn.Module) -> None:
        self.policy = policy
        self.thinker = thinker

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

        Shapes: encoded (sum of P, D) -> (N, T)
        """
        with evaluating(self.thinker), adapters_off(self.thinker):
            return self.policy.logprobs(
                batch, completions, encoded=encoded, temperature=temperature
            )

    def to(self, device: torch.device) -> Self:
        """Stay with the policy, whose weights these are."""
        return self
