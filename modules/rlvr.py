"""Reinforcement learning with verifiable rewards: sample, verify, compare, reinforce."""

from typing import final

import torch
from torch import Tensor

from configs.schema import OptimConfig, RlvrConfig
from datamodules.batch import Batch
from modules.base import PostTrainingModule
from modules.losses import group_advantage, kl_loss, policy_loss
from modules.omni import OmniModel
from modules.rollouts import Rollout, Sampling
from modules.verifiers import reward


@final
class RlvrModule(PostTrainingModule):
    """On-policy GRPO (arXiv 2402.03300): each micro-batch holds whole groups and samples its own
    rollouts, so none is stale and the towers run once for rollout and update together.

    Left out: several updates per rollout, which would need the old log-probs kept.
    """

    def __init__(
        self,
        policy: OmniModel,
        optim: OptimConfig,
        rlvr: RlvrConfig,
        *,
        max_steps: int,
        batch_size: int,
        seed: int,
    ) -> None:
        tokens = rlvr.max_completion_tokens
        super().__init__(policy, optim, max_steps=max_steps, max_completion_tokens=tokens)
        self.rlvr = rlvr
        self.seed = seed
        self.sampling = Sampling(
            group_size=rlvr.group_size, max_tokens=tokens, temperature=rlvr.temperature
        )
        self.denominator = batch_size * rlvr.group_size * tokens
        # In a list, so that checkpoints do not hold it: on resume it is made again from the
        # weights that the run started from.
        self._reference = [policy.reference()] if rlvr.kl_coef else []

    def on_fit_start(self) -> None:
        """Bring the reference to where the policy is."""
        for reference in self._reference:
            reference.to(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Sample a group per prompt, reward it, and push the policy towards its better half."""
        encoded = self.policy.encode(batch)  # (sum of P, D)
        rollout = self.sample(batch, encoded)
        rewards = self.reward(batch, rollout)  # (B, G)
        advantage = group_advantage(rewards, normalize=self.rlvr.normalize_advantage)  # (B, G)
        logprobs = self.policy.logprobs(
            batch, rollout.completions, encoded=encoded, temperature=self.rlvr.temperature
        )  # (N, T)

        loss, stats = policy_loss(
            logprobs,
            rollout.logprobs,
            advantage.flatten(),
            rollout.loss_mask,
            clip_low=self.rlvr.clip_low,
            clip_high=self.rlvr.clip_high,
            denominator=self.denominator,
        )
        self.log_dict({f"train/{name}": value for name, value in stats.items()})
        return loss + self.divergence(batch, rollout, logprobs)

    def sample(self, batch: Batch, encoded: Tensor) -> Rollout:
        """Draw G completions per prompt with numbers keyed by (seed, step, sample, rollout)."""
        uniforms = batch.uniforms(
            seed=self.seed, group_size=self.sampling.group_size, length=self.sampling.max_tokens
        )  # (N, max_tokens)
        rollout = self.policy.sample(batch, self.sampling, uniforms=uniforms, encoded=encoded)
        lengths = torch.tensor(rollout.completions.lens, dtype=torch.float)
        self.log("train/completion_tokens", lengths.mean())
        self.log("train/finished", sum(rollout.finished) / len(rollout.finished))
        return rollout

    def reward(self, batch: Batch, rollout: Rollout) -> Tensor:
        """Let the verifier judge every completion. Shapes: -> (B, G)"""
        group = self.rlvr.group_size
        judged = [
            reward(
                text,
                answer=sample.answer,
                answer_type=sample.answer_type,
                options=sample.options,
                accuracy_weight=self.rlvr.accuracy_weight,
                format_weight=self.rlvr.format_weight,
            )
            for number, sample in enumerate(batch.samples)
            for text in rollout.texts[number * group : (number + 1) * group]
        ]
        rewards = torch.tensor([total for total, _ in judged], device=self.device)
        rewards = rewards.view(len(batch), group)  # (B, G)
        spread = rewards.amax(1) > rewards.amin(1)  # (B,)
        self.log("train/reward", rewards.mean(), prog_bar=True)
        self.log("train/no_spread", 1 - spread.float().mean())
        for name in judged[0][1]:
            values = [parts[name] for _, parts in judged]
            self.log(f"train/reward_{name}", sum(values) / len(values))
        return rewards

    def divergence(self, batch: Batch, rollout: Rollout, logprobs: Tensor) -> Tensor:
        """Price the distance from the policy that the run started from. Shapes: (N, T) -> ()"""
        if not self._reference:
            return logprobs.new_zeros(())
        with torch.no_grad():
            reference = self._reference[0].logprobs(
                batch, rollout.completions, temperature=self.rlvr.temperature
            )  # (N, T)
        loss, stats = kl_loss(logprobs, reference, rollout.loss_mask, denominator=self.denominator)
        self.log_dict({f"train/{name}": value for name, value in stats.items()})
        return self.rlvr.kl_coef * loss
