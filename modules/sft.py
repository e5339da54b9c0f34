"""Supervised fine-tuning: imitate completions, prompts excluded from the loss."""

from collections.abc import Mapping
from functools import partial
from typing import final

import torch
from torch import Tensor

from configs.schema import OptimConfig, SftConfig
from datamodules.batch import Batch, Completions
from modules.base import PostTrainingModule
from modules.losses.supervised import sft_loss
from modules.policy.omni import OmniModel
from modules.step.distributed import summed, together


@final
class SftModule(PostTrainingModule):
    """The case of one completion per prompt in the group-shared layout."""

    def __init__(
        self,
        policy: OmniModel,
        optim: OptimConfig,
        sft: SftConfig,
        *,
        max_steps: int,
        max_tokens: int = 0,
        needs: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            policy,
            optim,
            max_steps=max_steps,
            max_tokens=max_tokens,
            max_completion_tokens=sft.max_completion_tokens,
            needs=needs,
        )
        self.sft = sft

    def training_step(self, batch: list[Batch], batch_idx: int) -> None:
        """Make each target completion likelier."""
        targets = [self.targets(one) for one in batch]
        prompts, tokens = self.count(batch, [completions.valid for completions in targets])
        denominator = prompts if self.sft.loss_aggregation == "prompt" else tokens
        losses = []
        with together():
            for one, completions in zip(batch, targets, strict=True):
                loss, stats = self.loss(one, completions, denominator)
                alone = partial(self.alone, one, completions, denominator)
                losses.append(self.differentiate(loss, one, alone))
                self.note(stats, weight=float(sum(completions.lens)))
        self.note({"loss": summed(torch.stack(losses).sum()), "micro_batches": float(len(batch))})
        self.step()
        self.publish()

    def loss(
        self, batch: Batch, completions: Completions, denominator: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Score completions, and say how unlikely they were."""
        shown, imitated = batch.to(self.device), completions.to(self.device)
        logprobs = self.policy.logprobs(shown, imitated)  # (N, T)
        return sft_loss(logprobs, imitated.valid, denominator=denominator)

    def alone(self, batch: Batch, completions: Completions, denominator: float, row: int) -> Tensor:
        """Compute what one prompt adds to the loss, for who looks for a fault."""
        return self.loss(batch.select([row]), completions.select([row]), denominator)[0]

    def targets(self, batch: Batch) -> Completions:
        """Take the completions of a batch."""
        return Completions.of(
            self.given(batch, setting="sft.max_completion_tokens"), range(len(batch))
        )
