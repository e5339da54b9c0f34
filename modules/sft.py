"""Supervised fine-tuning: imitate completions, prompts excluded from the loss."""

from collections.abc import Mapping
from typing import final

import torch

from configs.schema import OptimConfig, SftConfig
from datamodules.batch import Batch, Completions
from modules.base import PostTrainingModule
from modules.imitation import sft_loss
from modules.omni import OmniModel
from modules.ranks import summed, together


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
        self.learned_from = [sample for one in batch for sample in one.samples]
        targets = [self.targets(one) for one in batch]
        prompts, tokens = self.count(batch, [completions.valid for completions in targets])
        denominator = prompts if self.sft.average == "prompt" else tokens
        losses = []
        with together():
            for one, completions in zip(batch, targets, strict=True):
                shown, imitated = one.to(self.device), completions.to(self.device)
                logprobs = self.policy.logprobs(shown, imitated)  # (N, T)
                loss, stats = sft_loss(logprobs, imitated.valid, denominator=denominator)
                losses.append(self.differentiate(loss, one.samples))
                self.note(stats, weight=float(sum(completions.lens)))
        self.note({"loss": summed(torch.stack(losses).sum()), "micro_batches": float(len(batch))})
        self.step()
        self.publish()

    def targets(self, batch: Batch) -> Completions:
        """Take the completions of a batch."""
        return Completions.of(
            self.given(batch, setting="sft.max_completion_tokens"), range(len(batch))
        )
