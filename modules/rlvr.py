"""Reinforcement learning with verifiable rewards: sample, reward, compare, reinforce."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, final

import torch
from torch import Tensor

from configs.schema import RlvrConfig
from datamodules.batch import Batch
from modules.base import PostTrainingModule
from modules.grading import GradedGroup, answer
from modules.losses.advantages import center_rewards, scale_advantages
from modules.losses.kl import kl_estimate, kl_loss
from modules.losses.masking import masked_mean
from modules.losses.perception import contribution_weights, papo_loss
from modules.losses.policy_gradient import importance_ratio, loss_denominator, policy_loss
from modules.losses.sampler_correction import correction_weights
from modules.policy.omni import OmniModel
from modules.policy.scoring import TokenScores
from modules.rewards.verifier_reward import RewardFunction
from modules.rollout.collector import FreshPrompts, RolloutCollector
from modules.rollout.rollout import Experience, Rollout, RolloutLogprobs
from modules.step.distributed import global_mean_std, raise_on_all_ranks
from modules.step.micro_batch import StepCounts
from modules.step.nonfinite import require_finite
from modules.step.policy_module import FitSettings
from modules.step.timer import PhaseTimer


@final
class RlvrModule(PostTrainingModule):
    """Policy gradient on groups of completions (GRPO, arXiv 2402.03300, and its relatives).

    One training step collects rollouts for all prompts of `rlvr.minibatches` optimizer steps, then
    makes `rlvr.num_iterations` passes over them. Named algorithms are settings, not branches here.
    """

    def __init__(
        self,
        policy: OmniModel,
        settings: FitSettings,
        rlvr: RlvrConfig,
        *,
        reward_function: RewardFunction,
        accumulate: int,
        fresh_prompts: FreshPrompts | None = None,
    ) -> None:
        """Take a policy and how it is rewarded.

        Args:
            accumulate: micro-batches in one optimizer step.
            fresh_prompts: for dynamic sampling, in the place of prompts without reward variance.
        """
        super().__init__(policy, settings, max_completion_tokens=rlvr.max_completion_tokens)
        self.rlvr = rlvr
        self.accumulate = accumulate
        self.timer = PhaseTimer()
        self.collector = RolloutCollector(
            policy,
            rlvr,
            reward_function,
            seed=settings.seed,
            fresh_prompts=fresh_prompts,
            timer=self.timer,
        )
        # In a list, so that checkpoints do not hold it: on resume it is made again from the
        # weights that the run started from.
        self._reference = [policy.reference()] if rlvr.kl.coef else []
        self.frozen_towers = policy.backbone.frozen_towers

    def on_fit_start(self) -> None:
        """Move the reference to the policy's device."""
        for reference in self._reference:
            reference.to(self.device)

    def training_step(self, batch: list[Batch], batch_idx: int) -> dict[str, Any]:
        """Sample a group per prompt, reward it, and push the policy towards its better half."""
        rollouts = self.collect_rollouts(batch)
        logprobs = self.score_rollouts(rollouts)
        advantages = self.compute_advantages(rollouts, logprobs)
        experiences = [*map(Experience, rollouts, logprobs, advantages)]
        for _ in range(self.rlvr.num_iterations):
            for start in range(0, len(experiences), self.accumulate):
                self.update_policy(experiences[start : start + self.accumulate])
        self.log_step_metrics()
        return {"experiences": experiences}

    def collect_rollouts(self, batches: Sequence[Batch]) -> list[Rollout]:
        """Sample completions for each prompt and reward them."""
        with raise_on_all_ranks():
            rollouts, sampled, metrics = self.collector.collect(batches, step=self.global_step)
            for rollout in sampled:
                require_finite("the reward", rollout.rewards, rollout.batch.samples)
        self.metrics.record(metrics)
        for rollout in sampled:
            self.metrics.record(rollout.summary(), weight=len(rollout.batch))
            accuracies = rollout.correct.float().mean(1).tolist()
            pairs = zip(rollout.batch.samples, accuracies, strict=True)
            self.record_group_accuracies(pairs, self.metrics)
        return rollouts

    @torch.no_grad()
    def score_rollouts(self, rollouts: Sequence[Rollout]) -> list[RolloutLogprobs]:
        """Compute the log-probs of the sampled tokens before the first update."""
        logprobs = []
        with self.timer.timed("scoring"), raise_on_all_ranks():
            for rollout in rollouts:
                scored = self.score_rollout(rollout)
                require_finite(
                    "a log-prob",
                    scored.total,
                    rollout.batch.samples,
                    alone=lambda prompt, one=rollout: self.score_rollout(one.alone(prompt)).total,  # type: ignore[misc]
                )
                logprobs.append(scored)
        return logprobs

    def score_rollout(self, rollout: Rollout) -> RolloutLogprobs:
        """Compute those of one micro-batch, under the policy and under the reference."""
        unmoved = self.frozen_towers and self.policy.adapted  # then both encode alike
        reference = None
        for model in self._reference:
            reference = model.logprobs(
                rollout.batch,
                rollout.sampled.completions,
                encoded=rollout.encoded if unmoved else None,
                temperature=self.rlvr.temperature,
            )
        return RolloutLogprobs(
            sampler=rollout.sampled.logprobs,
            old=self.score(rollout).logprobs if self.rlvr.updates > 1 else None,
            reference=reference,
        )

    def compute_advantages(
        self, rollouts: Sequence[Rollout], logprobs: Sequence[RolloutLogprobs]
    ) -> list[Tensor]:
        """Center and scale rewards, by group or over the whole step and all ranks.

        Shapes: -> (N,) each
        """
        objective = self.rlvr.objective
        rewards = [
            rollout.rewards - self.kl_penalty(rollout, scored)
            for rollout, scored in zip(rollouts, logprobs, strict=True)
        ]  # (B, G) each
        mean, _ = global_mean_std(rewards) if objective.baseline == "batch" else (None, None)
        differences = [
            center_rewards(reward, baseline=objective.baseline, batch_mean=mean)
            for reward in rewards
        ]  # (B, G) each
        _, std = (
            global_mean_std(differences) if objective.scale_rewards == "batch" else (None, None)
        )
        return [
            scale_advantages(
                difference, scale_rewards=objective.scale_rewards, batch_std=std
            ).flatten()
            for difference in differences
        ]

    def kl_penalty(self, rollout: Rollout, logprobs: RolloutLogprobs) -> Tensor | float:
        """Compute what the reward loses for divergence from the reference; 0 where the loss has the
        KL term. Shapes: -> (B, G)"""
        if logprobs.reference is None or self.rlvr.kl.place == "loss":
            return 0.0
        old = logprobs.sampler if logprobs.old is None else logprobs.old
        mask = rollout.sampled.loss_mask
        penalty, logged = (
            kl_estimate(old, logprobs.reference, mask, estimator=name, ratio=None)
            for name in (self.rlvr.kl.estimator, "k3")
        )  # (N, T) each
        self.metrics.record({"kl": masked_mean(logged, mask)}, weight=float(mask.sum()))
        return self.rlvr.kl.coef * penalty.sum(1).view_as(rollout.rewards)

    def update_policy(self, minibatch: Sequence[Experience]) -> None:
        """Take one optimizer step on the micro-batches of a minibatch."""
        with self.timer.timed("update"):
            counts = self.count_tokens(
                [one.batch for one in minibatch], [one.loss_mask for one in minibatch]
            )
            self.optimize(minibatch, partial(self.compute_loss, counts=counts), counts)

    def compute_loss(
        self, experience: Experience, *, counts: StepCounts
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the terms of the objective over the tokens of a micro-batch.

        Args:
            counts: of the optimizer step, over all its micro-batches and ranks.
        """
        objective, perception = self.rlvr.objective, self.rlvr.perception
        rollout, mask = experience.rollout, experience.loss_mask  # (N, T)
        scores, blind = self.score(rollout), self.score_blind(rollout)
        logprobs, old = scores.logprobs, experience.logprobs.old  # (N, T) each
        old = logprobs.detach() if old is None else old
        denominator = loss_denominator(
            mask,
            loss_aggregation=objective.loss_aggregation,
            completions=counts.completions,
            tokens=counts.tokens,
            longest=self.rlvr.max_completion_tokens,
        )
        weight, mismatch = correction_weights(
            old, experience.logprobs.sampler, mask, **asdict(self.rlvr.rollout_correction)
        )
        if blind is not None and perception.token_coef:
            by_token = contribution_weights(
                logprobs, blind.logprobs, mask, coef=perception.token_coef
            )  # (N, T)
            weight = by_token if weight is None else weight * by_token
        loss, stats = policy_loss(
            logprobs,
            old,
            experience.advantages,
            mask,
            level=objective.importance_sampling_level,
            surrogate=objective.surrogate,
            clip_low=objective.clip_low,
            clip_high=objective.clip_high,
            clip_ratio_c=objective.clip_ratio_c,
            weight=weight,
            denominator=denominator,
        )
        stats |= mismatch | {"entropy": masked_mean(scores.entropy, mask)}
        kl, kl_stats = self.kl_term(experience, logprobs, old, denominator)
        loss, stats = loss + kl, stats | kl_stats
        if blind is not None:
            term, term_stats = papo_loss(
                scores.logprobs,
                blind.logprobs,
                scores.entropy,
                blind.entropy,
                mask,
                kl_coef=perception.kl_coef,
                entropy_coef=perception.entropy_coef,
                denominator=denominator,
            )
            loss, stats = loss + term, stats | term_stats
        return loss, stats

    def kl_term(
        self, experience: Experience, logprobs: Tensor, old: Tensor, denominator: float | Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the KL term of the loss; 0 where the reward has it.

        Shapes: logprobs, old (N, T) -> ()
        """
        reference, mask = experience.logprobs.reference, experience.loss_mask
        if reference is None or self.rlvr.kl.place == "reward":
            return logprobs.new_zeros(()), {}
        loss, stats = kl_loss(
            logprobs,
            reference,
            mask,
            estimator=self.rlvr.kl.estimator,
            ratio=importance_ratio(
                logprobs, old, mask, level=self.rlvr.objective.importance_sampling_level
            ),
            denominator=denominator,
        )
        return self.rlvr.kl.coef * loss, stats

    def score(self, rollout: Rollout) -> TokenScores:
        """Score the completions under the current policy. Shapes: -> (N, T) each"""
        encoded = rollout.encoded
        if encoded is None or not encoded.requires_grad:  # not kept for the only update
            cached = encoded if self.frozen_towers else None
            encoded = self.policy.embed_prompts(rollout.batch, cached_encoding=cached)
        return self.policy.scores(
            rollout.batch,
            rollout.sampled.completions,
            encoded=encoded,
            temperature=self.rlvr.temperature,
        )

    def score_blind(self, rollout: Rollout) -> TokenScores | None:
        """Score them with the media withheld; None without a perception term.

        Shapes: -> (N, T) each
        """
        if not self.rlvr.perception.asked:
            return None
        with torch.set_grad_enabled(self.rlvr.perception.learned):
            return self.policy.scores(
                rollout.batch.views["blind"],
                rollout.sampled.completions,
                temperature=self.rlvr.temperature,
            )

    def greedy_answers(self, batch: Batch) -> list[GradedGroup]:
        """Answer each question once, greedily, and let the reward function grade the answers."""
        grade = self.collector.reward_function.grade
        return list(answer(self.policy, batch, self.greedy, seed=0, grade=grade))
