"""Reinforcement learning with verifiable rewards: sample, judge, compare, reinforce."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import final

import torch
from torch import Tensor

from configs.schema import OptimConfig, RlvrConfig
from datamodules.batch import Batch
from modules.base import PostTrainingModule
from modules.grading import GradedGroup, answer
from modules.losses.advantages import centered, scaled
from modules.losses.perception import contribution_weights, entropy_loss, perception_loss
from modules.losses.policy_gradient import (
    correction_weights,
    denominator,
    divergence,
    importance_ratio,
    kl_loss,
    masked_mean,
    policy_loss,
)
from modules.policy.omni import OmniModel
from modules.policy.scoring import TokenScores
from modules.rewards.verifier_reward import Jury
from modules.rollout.collector import Collector, Refill
from modules.rollout.experience import Experience
from modules.step.distributed import moments, summed, together
from modules.step.nonfinite import require_finite
from modules.step.timer import Stopwatch


@final
class RlvrModule(PostTrainingModule):
    """Policy gradient on groups of completions (GRPO, arXiv 2402.03300, and its relatives).

    One training step is one round: completions for all prompts of `rlvr.minibatches` optimizer
    steps, then `rlvr.num_iterations` passes over them. Named algorithms are settings.
    """

    def __init__(
        self,
        policy: OmniModel,
        optim: OptimConfig,
        rlvr: RlvrConfig,
        *,
        jury: Jury,
        max_steps: int,
        max_tokens: int = 0,
        accumulate: int,
        seed: int,
        refill: Refill | None = None,
        needs: Mapping[str, str] | None = None,
    ) -> None:
        """Take a policy and what it learns by.

        Args:
            jury: who says what completions are worth.
            accumulate: micro-batches in one optimizer step.
            refill: where prompts come from that take the place of those without spread.
        """
        super().__init__(
            policy,
            optim,
            max_steps=max_steps,
            max_tokens=max_tokens,
            max_completion_tokens=rlvr.max_completion_tokens,
            needs=needs,
        )
        self.rlvr = rlvr
        self.accumulate = accumulate
        self.watch = Stopwatch()
        self.collector = Collector(policy, rlvr, jury, seed=seed, refill=refill, watch=self.watch)
        self.round: list[Experience] = []
        """What is learned from."""
        # In a list, so that checkpoints do not hold it: on resume it is made again from the
        # weights that the run started from.
        self._reference = [policy.reference()] if rlvr.kl.coef else []
        self.frozen_towers = policy.backbone.frozen_towers

    def on_fit_start(self) -> None:
        """Bring the reference to where the policy is."""
        for reference in self._reference:
            reference.to(self.device)

    def training_step(self, batch: list[Batch], batch_idx: int) -> None:
        """Sample a group per prompt, reward it, and push the policy towards its better half."""
        self.round = self.collect(batch)
        self.remember(self.round)
        self.compare(self.round)
        for _ in range(self.rlvr.num_iterations):
            for start in range(0, len(self.round), self.accumulate):
                self.update(self.round[start : start + self.accumulate])
        self.publish()

    def answers(self, batch: Batch) -> list[GradedGroup]:
        """Ask each question once, greedily, and let the jury judge."""
        judge = self.collector.jury.verdicts
        return list(answer(self.policy, batch, self.greedy, seed=0, grade=judge))

    def collect(self, batches: Sequence[Batch]) -> list[Experience]:
        """Sample and judge a round, and note how it went."""
        self.round = []  # whose memory is needed now
        with together():
            collected, tried, stats = self.collector.collect(batches, step=self.global_step)
            for one in tried:
                require_finite("the reward", one.reward, one.batch.samples)
        self.note(stats)
        for one in tried:
            self.note(one.summary(), weight=len(one.batch))
            shares = one.correct.float().mean(1).tolist()
            self.note_kinds(zip(one.batch.samples, shares, strict=True))
        return collected

    @torch.no_grad()
    def remember(self, experiences: Sequence[Experience]) -> None:
        """Score the completions under the policy that said them, and under the reference."""
        with self.watch.lap("scoring"), together():
            for one in experiences:
                alone = partial(self.alone, one, self.recall)
                require_finite("a log-prob", self.recall(one), one.batch.samples, alone=alone)

    def recall(self, one: Experience) -> Tensor:
        """Do so for one micro-batch. Shapes: -> (N, T), finite where all is"""
        if self.rlvr.updates > 1:
            one.old_logprobs = self.score(one).logprobs
        unmoved = self.frozen_towers and self.policy.adapted  # then both encode alike
        for reference in self._reference:
            one.reference_logprobs = reference.logprobs(
                one.batch,
                one.rollout.completions,
                encoded=one.encoded if unmoved else None,
                temperature=self.rlvr.temperature,
            )
        kept = [one.rollout.logprobs, one.old_logprobs, one.reference_logprobs]
        return torch.stack([scores for scores in kept if scores is not None]).sum(0)

    def compare(self, experiences: Sequence[Experience]) -> None:
        """Turn rewards into advantages, by group or over the whole round and all ranks."""
        objective = self.rlvr.objective
        rewards = [one.reward - self.price(one) for one in experiences]  # (B, G) each
        mean, _ = moments(rewards) if objective.baseline == "batch" else (None, None)
        differences = [
            centered(reward, baseline=objective.baseline, batch_mean=mean) for reward in rewards
        ]  # (B, G) each
        scale = objective.scale_rewards
        _, std = moments(differences) if scale == "batch" else (None, None)
        for one, difference in zip(experiences, differences, strict=True):
            one.advantage = scaled(difference, scale=scale, batch_std=std).flatten()

    def price(self, one: Experience) -> Tensor | float:
        """Charge completions for their divergence, where rewards bear it. Shapes: -> (B, G)"""
        if one.reference_logprobs is None or self.rlvr.kl.place == "loss":
            return 0.0
        old = one.rollout.logprobs if one.old_logprobs is None else one.old_logprobs
        price, told = (
            divergence(old, one.reference_logprobs, one.loss_mask, estimator=name, ratio=None)
            for name in (self.rlvr.kl.estimator, "k3")
        )  # (N, T) each
        self.note({"kl": masked_mean(told, one.loss_mask)}, weight=float(one.loss_mask.sum()))
        return self.rlvr.kl.coef * price.sum(1).view_as(one.reward)

    def update(self, minibatch: Sequence[Experience]) -> None:
        """Take one optimizer step on the sum of all micro-batches' gradients."""
        with self.watch.lap("update"):
            masks = [
                one.trained(ended=self.rlvr.mask_truncated_completions) for one in minibatch
            ]  # (N, T) each
            completions, tokens = self.count([one.batch for one in minibatch], masks)
            loss_of, losses = partial(self.loss, completions=completions, tokens=tokens), []
            with together():
                for one in minibatch:
                    alone = partial(self.alone, one, loss_of)
                    losses.append(self.differentiate(loss_of(one), one.batch, alone))
            self.note({"loss": summed(torch.stack(losses).sum())})
            self.step()

    def alone(self, one: Experience, made: Callable[[Experience], Tensor], prompt: int) -> Tensor:
        """Make a number of one prompt, its media read anew, for who looks for a fault."""
        own = one.select([prompt])
        own.encoded = self.policy.encode(own.batch)
        return made(own)

    def loss(self, one: Experience, *, completions: int, tokens: int) -> Tensor:
        """Add up what the tokens of a micro-batch teach; `completions` and `tokens` are those of
        the optimizer step, over micro-batches and ranks. Shapes: -> ()"""
        assert one.advantage is not None, "compared before"
        mask = one.trained(ended=self.rlvr.mask_truncated_completions)  # (N, T)
        objective = self.rlvr.objective
        scores, blind = self.score(one), self.score_blind(one)
        logprobs = scores.logprobs  # (N, T)
        old = logprobs.detach() if one.old_logprobs is None else one.old_logprobs  # (N, T)
        divisor = denominator(
            mask,
            average=objective.loss_aggregation,
            completions=completions,
            tokens=tokens,
            longest=self.rlvr.max_completion_tokens,
        )
        weight, mismatch = correction_weights(
            old,
            one.rollout.logprobs,
            mask,
            **asdict(self.rlvr.rollout_correction),
        )
        if blind is not None and self.rlvr.perception.token_coef:
            by_token = contribution_weights(
                logprobs, blind.logprobs, mask, coef=self.rlvr.perception.token_coef
            )  # (N, T)
            weight = by_token if weight is None else weight * by_token
        loss, stats = policy_loss(
            logprobs,
            old,
            one.advantage,
            mask,
            level=objective.importance_sampling_level,
            surrogate=objective.surrogate,
            clip_low=objective.clip_low,
            clip_high=objective.clip_high,
            ratio_max=objective.clip_ratio_c,
            weight=weight,
            denominator=divisor,
        )
        stats |= {**mismatch, "entropy": masked_mean(scores.entropy, mask)}
        self.note(stats, weight=float(mask.sum()))
        loss = loss + self.divergence(one, logprobs, old, mask, divisor)
        return loss + self.perception(scores, blind, mask, divisor)

    def divergence(
        self, one: Experience, logprobs: Tensor, old: Tensor, mask: Tensor, divisor: float | Tensor
    ) -> Tensor:
        """Charge tokens for their distance from the reference, where the loss bears it.

        Shapes: logprobs, old, mask (N, T) -> ()
        """
        if one.reference_logprobs is None or self.rlvr.kl.place == "reward":
            return logprobs.new_zeros(())
        loss, stats = kl_loss(
            logprobs,
            one.reference_logprobs,
            mask,
            estimator=self.rlvr.kl.estimator,
            ratio=importance_ratio(
                logprobs, old, mask, level=self.rlvr.objective.importance_sampling_level
            ),
            denominator=divisor,
        )
        self.note(stats, weight=float(mask.sum()))
        return self.rlvr.kl.coef * loss

    def perception(
        self,
        scores: TokenScores,
        blind: TokenScores | None,
        mask: Tensor,
        divisor: float | Tensor,
    ) -> Tensor:
        """Reward what changes when the media are withheld (PAPO). Shapes: (N, T) each -> ()"""
        loss = scores.logprobs.new_zeros(())
        if blind is None:
            return loss
        settings = self.rlvr.perception
        apart, stats = perception_loss(scores.logprobs, blind.logprobs, mask, denominator=divisor)
        self.note(stats, weight=float(mask.sum()))
        if settings.kl_coef:
            loss = loss + settings.kl_coef * apart
        if settings.entropy_coef:
            spread, stats = entropy_loss(scores.entropy, blind.entropy, mask, denominator=divisor)
            self.note(stats, weight=float(mask.sum()))
            loss = loss + settings.entropy_coef * spread
        return loss

    def score(self, one: Experience) -> TokenScores:
        """Score the completions under the policy as it is. Shapes: -> (N, T) each"""
        encoded = one.encoded
        if not encoded.requires_grad:  # not what sampling left for the only update
            encoded = self.policy.encode(one.batch, seen=encoded if self.frozen_towers else None)
        return self.policy.scores(
            one.batch,
            one.rollout.completions,
            encoded=encoded,
            temperature=self.rlvr.temperature,
        )

    def score_blind(self, one: Experience) -> TokenScores | None:
        """Score them once more with the media withheld, where a term asks for it.

        Shapes: -> (N, T) each
        """
        if not self.rlvr.perception.asked:
            return None
        with torch.set_grad_enabled(self.rlvr.perception.learned):
            return self.policy.scores(
                one.batch.views["blind"],
                one.rollout.completions,
                temperature=self.rlvr.temperature,
            )
