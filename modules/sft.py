"""Supervised fine-tuning: imitate completions, prompts excluded from the loss."""

from collections.abc import Mapping
from typing import final

from torch import Tensor

from configs.schema import OptimConfig, SftConfig
from datamodules.batch import Batch, Completions
from modules.base import PostTrainingModule
from modules.finite import require_finite
from modules.losses import sft_loss
from modules.omni import OmniModel


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
        batch_size: int,
        needs: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            policy,
            optim,
            max_steps=max_steps,
            max_completion_tokens=sft.max_completion_tokens,
            needs=needs,
        )
        self.sft = sft
        self.batch_size = batch_size

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Make each target completion likelier."""
        completions = self.targets(batch)
        logprobs = self.policy.logprobs(batch, completions)  # (B, T)

        loss, stats = sft_loss(logprobs, completions.valid, denominator=self.batch_size)
        require_finite("the loss", loss, batch.samples)
        self.learned_from += batch.samples
        self.note({"loss": loss.detach(), **stats})
        self.publish()
        return loss

    def targets(self, batch: Batch) -> Completions:
        """Take the completions of a batch, refusing what could never be sampled again."""
        assert batch.targets is not None, "the data module was built without with_targets"
        longest = max(map(len, batch.targets))
        if longest > self.sft.max_completion_tokens:
            number = [len(target) for target in batch.targets].index(longest)
            raise ValueError(
                f"the completion of {batch.samples[number].id} has {longest} tokens, more than "
                f"sft.max_completion_tokens={self.sft.max_completion_tokens}. Completions are "
                "never cut: raise the limit, or take the sample out."
            )
        completions = Completions.of(batch.targets, range(len(batch)))
        return completions.to(batch.prompt_ids.device)
