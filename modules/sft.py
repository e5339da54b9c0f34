"""Supervised fine-tuning: imitate completions, prompts excluded from the loss."""

from functools import partial
from typing import final

from torch import Tensor

from configs.schema import SftConfig
from datamodules.batch import Batch, Completions
from modules.base import PostTrainingModule
from modules.losses.supervised import sft_loss
from modules.policy.omni import OmniModel
from modules.step.micro_batch import CompletedBatch
from modules.step.policy_module import FitSettings


@final
class SftModule(PostTrainingModule):
    """The case of one completion per prompt in the group-shared layout."""

    def __init__(self, policy: OmniModel, settings: FitSettings, sft: SftConfig) -> None:
        super().__init__(policy, settings, max_completion_tokens=sft.max_completion_tokens)
        self.sft = sft

    def training_step(self, batch: list[Batch], batch_idx: int) -> None:
        """Make each target completion likelier."""
        targets = [self.targets_of(micro_batch) for micro_batch in batch]
        counts = self.count_tokens(batch, [target.loss_mask for target in targets])
        denominator = counts.completions if self.sft.loss_aggregation == "prompt" else counts.tokens
        self.optimize(targets, partial(self.compute_loss, denominator=denominator), counts)
        self.metrics.record({"micro_batches": float(len(batch))})
        self.log_step_metrics()

    def targets_of(self, batch: Batch) -> CompletedBatch:
        """Pair each prompt with the completion that the data give."""
        ids = self.given_completions(batch, setting="sft.max_completion_tokens")
        return CompletedBatch(batch=batch, completions=Completions.of(ids, range(len(batch))))

    def compute_loss(
        self, targets: CompletedBatch, *, denominator: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the negative log-likelihood of the completions of a micro-batch."""
        batch, completions = targets.batch.to(self.device), targets.completions.to(self.device)
        logprobs = self.policy.logprobs(batch, completions)  # (N, T)
        return sft_loss(logprobs, completions.valid, denominator=denominator)
