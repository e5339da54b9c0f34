"""What every post-training stage shares: a policy, an optimizer, validation by verifier."""

import math
from abc import ABC, abstractmethod
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from configs.schema import OptimConfig
from datamodules.batch import Batch
from modules.answering import answer
from modules.omni import OmniModel
from modules.rollouts import Sampling


class PostTrainingModule(L.LightningModule, ABC):
    """Own the policy and how it is stepped; a stage adds only what it learns from."""

    def __init__(
        self, policy: OmniModel, optim: OptimConfig, *, max_steps: int, max_completion_tokens: int
    ) -> None:
        super().__init__()
        self.policy = policy
        self.optim = optim
        self.max_steps = max_steps
        self.greedy = Sampling(group_size=1, max_tokens=max_completion_tokens, temperature=0.0)

    @abstractmethod
    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Turn a batch into a loss: the algorithm of the stage."""

    def validation_step(self, batch: Batch | None, batch_idx: int) -> None:
        """Ask each question once, greedily, and let the verifier judge."""
        if batch is None:  # nothing in it could be read; the quarantine knows
            return
        asked = answer(self.policy, batch, self.greedy, seed=0)
        verdicts = [verdict for answers in asked for verdict in answers.verdicts]
        count = len(verdicts)
        correct = sum(verdict.correct for verdict in verdicts) / count
        parsed = sum(verdict.parsed for verdict in verdicts) / count
        self.log("val/accuracy", correct, batch_size=count, sync_dist=True, prog_bar=True)
        self.log("val/parsed", parsed, batch_size=count, sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; vectors such as norms and biases do not decay.

        The schedule is a function of the configured `max_steps`: asking the trainer for its own
        estimate would build the loaders too early and lose their place on resume.
        """
        trained = [p for p in self.policy.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if p.ndim >= 2]},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            groups, lr=self.optim.lr, weight_decay=self.optim.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _lr_factor(self, step: int) -> float:
        """Scale the peak learning rate: linear warm-up, then the configured shape down to 0."""
        warmup = self.optim.warmup_steps
        if step < warmup:
            return (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, self.max_steps - warmup))
        if self.optim.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 1 - done if self.optim.schedule == "linear" else 1.0
