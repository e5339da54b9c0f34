"""Sampled completions, and the settings that they were sampled with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.batch import Completions
from modules.policy.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How completions are sampled."""

    group_size: int
    """Completions per prompt."""

    max_tokens: int
    """Longest completion, the end token included."""

    temperature: float = 1.0
    """0 takes the likeliest token."""

    top_k: int = 0
    """Draw among this many likeliest tokens; 0 draws among all."""


@dataclass(kw_only=True)
class SampledCompletions:
    """G completions of each prompt, with the log-probs of their tokens."""

    completions: Completions
    logprobs: Tensor
    """Of each sampled token under the policy that sampled it, at its temperature. (N, T)

    Over the whole vocabulary, also where `top_k` left most of it out: updates score tokens in the
    same way, so that their ratio begins at 1.
    """

    loss_mask: Tensor
    """True on sampled tokens, the end token included. (N, T)"""

    texts: list[str]
    """The completions without special tokens. N"""

    finished: list[bool]
    """Whether each completion ended by itself, rather than at `max_tokens`. N"""

    @staticmethod
    def of(
        ids: Tensor,
        logprobs: Tensor,
        mask: Tensor,
        *,
        owner: Sequence[int],
        vocabulary: Vocabulary,
    ) -> "SampledCompletions":
        """Trim decoded tokens to the longest completion, and decode the texts.

        Shapes: ids, logprobs, mask (N, longest allowed)
        """
        lens = mask.sum(1).tolist()
        width = max(lens)
        rows = [row[:length] for row, length in zip(ids.tolist(), lens, strict=True)]
        return SampledCompletions(
            completions=Completions(token_ids=ids[:, :width], lens=lens, owner=list(owner)),
            logprobs=logprobs[:, :width],
            loss_mask=mask[:, :width],
            texts=[vocabulary.text(row) for row in rows],
            finished=[row[-1] == vocabulary.end_id for row in rows],
        )

    def select(self, prompts: Sequence[int], group_size: int) -> "SampledCompletions":
        """Take the groups of some prompts, one at least, which are numbered anew."""
        rows = [prompt * group_size + place for prompt in prompts for place in range(group_size)]
        completions = self.completions.select(rows)
        width = completions.token_ids.shape[1]
        return SampledCompletions(
            completions=completions,
            logprobs=self.logprobs[rows, :width],
            loss_mask=self.loss_mask[rows, :width],
            texts=[self.texts[row] for row in rows],
            finished=[self.finished[row] for row in rows],
        )

    @staticmethod
    def concat(rollouts: Sequence["SampledCompletions"]) -> "SampledCompletions":
        """Put several below one another, as wide as the longest; prompts are counted on."""
        completions = Completions.concat([rollout.completions for rollout in rollouts])
        width = completions.token_ids.shape[1]

        def stacked(parts: Sequence[Tensor]) -> Tensor:
            return torch.cat([F.pad(part, (0, width - part.shape[1])) for part in parts])

        return SampledCompletions(
            completions=completions,
            logprobs=stacked([rollout.logprobs for rollout in rollouts]),
            loss_mask=stacked([rollout.loss_mask for rollout in rollouts]),
            texts=[text for rollout in rollouts for text in rollout.texts],
            finished=[ended for rollout in rollouts for ended in rollout.finished],
        )
