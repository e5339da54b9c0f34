"""Rollouts: prompts with groups of completions, their rewards, and what updates need of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from datamodules.batch import Batch
from modules.losses.advantages import nonzero_std
from modules.policy.sampling import SampledCompletions


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """The groups of one micro-batch, with their rewards."""

    batch: Batch
    encoded: Tensor | None
    """The prompts embedded with their media, as they were sampled from; None where they have to be
    embedded anew. With its graph where the only update can use it. (sum of P, D_in)"""

    sampled: SampledCompletions
    mask_truncated: bool
    """Completions that were cut at the limit do not train."""

    rewards: Tensor
    """(B, G)"""

    reward_parts: dict[str, Tensor]
    """Components of the reward by name, before weights. (B, G) each"""

    filter_scores: Tensor
    """What dynamic sampling looks at. (B, G)"""

    correct: Tensor
    """True where the verifier accepts the answer. (B, G)"""

    parsed: Tensor
    """True where the verifier could read an answer. (B, G)"""

    letters: Tensor
    """Places of the options that were chosen, from 0; -1 where none was. (B, G)"""

    @property
    def group_size(self) -> int:
        """Completions of one prompt."""
        return self.rewards.shape[1]

    @property
    def nonzero_std(self) -> Tensor:
        """True on prompts whose completions differ in their filter scores. Shapes: -> (B,)"""
        return nonzero_std(self.filter_scores)

    @property
    def loss_mask(self) -> Tensor:
        """True on the tokens that train. Shapes: -> (N, T)"""
        mask = self.sampled.loss_mask
        if not self.mask_truncated:
            return mask
        return mask & torch.tensor(self.sampled.finished, device=mask.device).unsqueeze(1)

    def summary(self) -> dict[str, Tensor | float]:
        """Average rewards, their parts, accuracy and lengths."""
        parts = {f"reward_{name}": part.mean() for name, part in self.reward_parts.items()}
        return {
            **parts,
            "reward": self.rewards.mean(),
            "accuracy": self.correct.float().mean(),
            "parsed": self.parsed.float().mean(),
            "completion_tokens": self.sampled.loss_mask.sum(1).float().mean(),
            "eos_rate": sum(self.sampled.finished) / len(self.sampled.finished),
            **self._top_letter(),
        }

    def _top_letter(self) -> dict[str, float]:
        """Share of the most frequent letter among the options chosen, where there are several."""
        chosen = self.letters[self.letters >= 0]
        return (
            {"top_letter": float(chosen.bincount().max()) / len(chosen)} if len(chosen) > 1 else {}
        )

    def select(self, prompts: Sequence[int]) -> "Rollout":
        """Take some prompts with their groups."""
        rows = torch.tensor(prompts, dtype=torch.long, device=self.rewards.device)
        encoded = None
        if self.encoded is not None:
            by_prompt = self.encoded.split(self.batch.prompt_lens)
            encoded = torch.cat([by_prompt[prompt] for prompt in prompts])
        return replace(
            self,
            batch=self.batch.select(prompts),
            encoded=encoded,
            sampled=self.sampled.select(prompts, self.group_size),
            rewards=self.rewards[rows],
            reward_parts={name: part[rows] for name, part in self.reward_parts.items()},
            filter_scores=self.filter_scores[rows],
            correct=self.correct[rows],
            parsed=self.parsed[rows],
            letters=self.letters[rows],
        )

    def alone(self, prompt: int) -> "Rollout":
        """Take one prompt, to be embedded anew: its encoding may hold another's NaN."""
        return replace(self.select([prompt]), encoded=None)

    @staticmethod
    def concat(rollouts: Sequence["Rollout"]) -> "Rollout":
        """Put the prompts of several rollouts into one, in their order."""
        names = rollouts[0].reward_parts
        encoded = [one.encoded for one in rollouts if one.encoded is not None]
        return replace(
            rollouts[0],
            batch=Batch.concat([one.batch for one in rollouts]),
            encoded=torch.cat(encoded) if len(encoded) == len(rollouts) else None,
            sampled=SampledCompletions.concat([one.sampled for one in rollouts]),
            rewards=torch.cat([one.rewards for one in rollouts]),
            reward_parts={n: torch.cat([one.reward_parts[n] for one in rollouts]) for n in names},
            filter_scores=torch.cat([one.filter_scores for one in rollouts]),
            correct=torch.cat([one.correct for one in rollouts]),
            parsed=torch.cat([one.parsed for one in rollouts]),
            letters=torch.cat([one.letters for one in rollouts]),
        )


@dataclass(frozen=True, kw_only=True)
class RolloutLogprobs:
    """Log-probs of the sampled tokens before the first update."""

    sampler: Tensor
    """As they were sampled. (N, T)"""

    old: Tensor | None
    """Under the same weights, by the arithmetic of training; None where the first update is the
    only one, which computes them anyway. (N, T)"""

    reference: Tensor | None
    """Under the policy that the run started from; None without a KL term. (N, T)"""

    @property
    def total(self) -> Tensor:
        """Their sum, which is finite where all of them are. (N, T)"""
        computed = [self.sampler, self.old, self.reference]
        return torch.stack([values for values in computed if values is not None]).sum(0)


@dataclass(frozen=True)
class Experience:
    """What an update learns from: a rollout with its log-probs and advantages."""

    rollout: Rollout
    logprobs: RolloutLogprobs
    advantages: Tensor
    """(N,)"""

    @property
    def batch(self) -> Batch:
        """The prompts. B"""
        return self.rollout.batch

    @property
    def loss_mask(self) -> Tensor:
        """True on the tokens that train. Shapes: -> (N, T)"""
        return self.rollout.loss_mask

    def alone(self, prompt: int) -> "Experience":
        """Take one prompt with its group, to be embedded anew."""
        rollout, size = self.rollout.alone(prompt), self.rollout.group_size
        rows, width = slice(prompt * size, (prompt + 1) * size), rollout.loss_mask.shape[1]
        old, reference = self.logprobs.old, self.logprobs.reference
        logprobs = RolloutLogprobs(
            sampler=rollout.sampled.logprobs,
            old=None if old is None else old[rows, :width],
            reference=None if reference is None else reference[rows, :width],
        )
        return Experience(rollout, logprobs, self.advantages[rows])
