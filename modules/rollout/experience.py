"""What a round of sampling leaves behind for the updates: prompts, completions, rewards."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from datamodules.batch import Batch
from modules.losses.advantages import informative
from modules.policy.sampling import Rollout


@dataclass(kw_only=True)
class Experience:
    """The groups of one micro-batch. What is None was not asked for, or is not known yet."""

    batch: Batch
    encoded: Tensor
    """The prompts with their media in place, as they were sampled from. (sum of P, D)"""

    rollout: Rollout
    reward: Tensor
    """(B, G)"""

    parts: dict[str, Tensor]
    """Components of the reward by name, before they are weighted. (B, G) each"""

    merit: Tensor
    """What the jury measures spread by. (B, G)"""

    correct: Tensor
    """True where the verifier accepts the answer. (B, G)"""

    parsed: Tensor
    """True where it could read one. (B, G)"""

    advantage: Tensor | None = None
    """(N,)"""

    old_logprobs: Tensor | None = None
    """Under the policy as it was when it sampled, by the arithmetic of training; None where the
    first update is the only one, which computes them anyway. (N, T)"""

    reference_logprobs: Tensor | None = None
    """Under the policy that the run started from. (N, T)"""

    @property
    def group_size(self) -> int:
        """Completions of one prompt."""
        return self.reward.shape[1]

    @property
    def spread(self) -> Tensor:
        """True on prompts whose completions are not all of the same merit. Shapes: -> (B,)"""
        return informative(self.merit)

    @property
    def loss_mask(self) -> Tensor:
        """True on the tokens that train. Shapes: -> (N, T)"""
        return self.rollout.loss_mask

    def trained(self, *, ended: bool) -> Tensor:
        """Mark the tokens that train: all, or those of completions that ended. Shapes: -> (N, T)"""
        if not ended:
            return self.loss_mask
        finished = torch.tensor(self.rollout.finished, device=self.loss_mask.device)
        return self.loss_mask & finished.unsqueeze(1)

    def summary(self) -> dict[str, Tensor | float]:
        """Measure how it went: rewards, parts of them, lengths."""
        parts = {f"reward_{name}": part.mean() for name, part in self.parts.items()}
        return {
            **parts,
            "reward": self.reward.mean(),
            "accuracy": self.correct.float().mean(),
            "parsed": self.parsed.float().mean(),
            "completion_tokens": self.loss_mask.sum(1).float().mean(),
            "eos_rate": sum(self.rollout.finished) / len(self.rollout.finished),
        }

    def select(self, prompts: Sequence[int]) -> "Experience":
        """Take some prompts with their groups."""
        rows = torch.tensor(prompts, dtype=torch.long, device=self.reward.device)
        encoded = self.encoded.split(self.batch.prompt_lens)
        rollout = self.rollout.select(prompts, self.group_size)

        def taken(values: Tensor | None) -> Tensor | None:
            """Shapes: (N, ...) -> those of the prompts, as wide as what they said"""
            if values is None:
                return None
            groups = values.view(len(self.batch), self.group_size, *values.shape[1:])[rows]
            return groups.flatten(0, 1)[:, : rollout.logprobs.shape[1]]

        advantage = self.advantage
        return Experience(
            batch=self.batch.select(prompts),
            encoded=torch.cat([encoded[prompt] for prompt in prompts]),
            rollout=rollout,
            reward=self.reward[rows],
            parts={name: part[rows] for name, part in self.parts.items()},
            merit=self.merit[rows],
            correct=self.correct[rows],
            parsed=self.parsed[rows],
            advantage=None if advantage is None else advantage.view_as(self.reward)[rows].flatten(),
            old_logprobs=taken(self.old_logprobs),
            reference_logprobs=taken(self.reference_logprobs),
        )

    @staticmethod
    def concat(many: Sequence["Experience"]) -> "Experience":
        """Put several together, in their order."""
        return Experience(
            batch=Batch.concat([one.batch for one in many]),
            encoded=torch.cat([one.encoded for one in many]),
            rollout=Rollout.concat([one.rollout for one in many]),
            reward=torch.cat([one.reward for one in many]),
            parts={name: torch.cat([one.parts[name] for one in many]) for name in many[0].parts},
            merit=torch.cat([one.merit for one in many]),
            correct=torch.cat([one.correct for one in many]),
            parsed=torch.cat([one.parsed for one in many]),
        )


@dataclass
class Sieve:
    """Collects prompts until enough of them have spread (DAPO, 2503.14476)."""

    wanted: int
    tried: list[Experience] = field(default_factory=list)

    @property
    def lacking(self) -> int:
        """How many prompts are still to be found."""
        return max(0, self.wanted - sum(int(one.spread.sum()) for one in self.tried))

    def deal(self, sizes: Sequence[int]) -> list[Experience]:
        """Make micro-batches of given sizes, of prompts with spread first and dull ones for the
        rest, in turns, so that none gets the dull ones alone."""
        spread = torch.cat([one.spread for one in self.tried])
        order = torch.argsort(~spread, stable=True).tolist()
        hands: list[list[int]] = [[] for _ in sizes]
        for prompt in order[: sum(sizes)]:
            open_ = [hand for hand, size in zip(hands, sizes, strict=True) if len(hand) < size]
            min(open_, key=len).append(prompt)
        everything = Experience.concat(self.tried)
        return [everything.select(hand) for hand in hands]
