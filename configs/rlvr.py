"""Settings of reinforcement learning: sampling, rewards and the objective.

The named algorithms are files in `objective/` and `reward/` beside this one: they set these keys,
and there is no other difference between them.
"""

from dataclasses import dataclass, field
from typing import Literal

from configs.checks import at_least, positive
from configs.choices import Average, Baseline, Correction, Estimator, Level, Scale, Surrogate
from configs.rewards import PerceptionConfig, RewardConfig


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """How rewards become a loss: baseline, scale, importance ratio, surrogate and aggregation."""

    baseline: Baseline = "group"
    """What a reward is compared with: the mean of its group (GRPO), of its siblings (RLOO), or of
    the whole step (REINFORCE++)."""

    scale_rewards: Scale = "group"
    """What the difference is divided by: the standard deviation of its group (GRPO), of the whole
    step (REINFORCE++), or nothing (Dr. GRPO)."""

    importance_sampling_level: Level = "token"
    """The importance ratio is that of each token, or their geometric mean per completion (GSPO)."""

    surrogate: Surrogate = "clip"
    """`clip` stops the gradient of a token whose ratio left the bounds (PPO); `cispo` only bounds
    the ratio as a weight, so that no token is dropped."""

    clip_low: float = 0.2
    """The ratio is bounded below by `1 - clip_low`; 1 leaves that side open. As long as each
    rollout is updated on only once, the ratio is 1 and nothing is clipped."""

    clip_high: float = 0.28
    """The ratio is bounded above by `1 + clip_high`; DAPO makes it wider than `clip_low`."""

    clip_ratio_c: float | None = None
    """Upper bound of the ratio where the advantage is negative (dual clip; `delta` of TRL); null
    has none."""

    loss_aggregation: Average = "constant"
    """What the sum over tokens is divided by: each completion's own length (GRPO), the tokens of
    the step (DAPO), or a constant (Dr. GRPO). All are taken over all micro-batches and devices."""

    def __post_init__(self) -> None:
        positive("rlvr.objective", self, "clip_high")
        if not 0 < self.clip_low <= 1:
            raise ValueError(
                f"rlvr.objective.clip_low is {self.clip_low}, but a ratio bounded by 1 - clip_low "
                "cannot be negative: give a number above 0 and up to 1, such as 0.2."
            )
        if self.surrogate == "cispo" and self.clip_ratio_c is not None:
            raise ValueError(
                f"rlvr.objective.clip_ratio_c is {self.clip_ratio_c}, but surrogate=cispo bounds "
                "all ratios by clip_high already: leave clip_ratio_c out, or choose surrogate=clip."
            )
        if self.baseline == "batch" and self.scale_rewards == "group":
            raise ValueError(
                "rlvr.objective.baseline is batch and scale is group, but where a group fared "
                "alike its spread is 0, and its distance from the batch would be divided by that: "
                "choose scale_rewards=batch or none."
            )
        if self.clip_ratio_c is not None and self.clip_ratio_c <= 1 + self.clip_high:
            raise ValueError(
                f"rlvr.objective.clip_ratio_c is {self.clip_ratio_c}, but the second bound lies "
                f"beyond the first, 1 + clip_high = {1 + self.clip_high}: give a larger number, or "
                "null."
            )


@dataclass(frozen=True, kw_only=True)
class KlConfig:
    """KL divergence from the policy that the run started from."""

    coef: float = 0.0
    """Weight of the divergence; 0 never computes it."""

    estimator: Estimator = "k3"
    """Of the divergence at one token: log-ratio (k1), half its square (k2), or the one that is
    never negative (k3), also weighted by the importance ratio (k3_corrected). As a loss, k1 has no
    gradient on average: take it for `place=reward`."""

    place: Literal["loss", "reward"] = "loss"
    """Added to the loss of each token, or taken from the reward of the completion as a sum."""

    def __post_init__(self) -> None:
        at_least("rlvr.kl", 0, self, "coef")
        if self.estimator == "k3_corrected" and self.place == "reward":
            raise ValueError(
                "rlvr.kl.estimator is k3_corrected and place is reward, but the correction is the "
                "ratio of a later update, which rewards do not know: choose k1, k2 or k3."
            )


@dataclass(frozen=True, kw_only=True)
class RolloutCorrectionConfig:
    """Correction of a sampler whose probabilities differ from the trainer's, as those of another
    engine or precision do. The mismatch is logged either way."""

    kind: Correction = "none"
    """`truncate` weighs tokens by trainer over sampler, up to `high` (TIS); `mask` also drops those
    outside `low` to `high`."""

    level: Level = "token"
    """Whether probabilities are those of tokens or of whole completions."""

    low: float = 0.5
    """Smallest weight that `mask` lets through."""

    high: float = 2.0
    """Largest weight."""

    def __post_init__(self) -> None:
        at_least("rlvr.rollout_correction", 0, self, "low")
        at_least("rlvr.rollout_correction", 1, self, "high")
        if self.low > 1:
            raise ValueError(
                f"rlvr.rollout_correction.low is {self.low}, but a token that both engines hold "
                "equally likely has the weight 1 and must pass: give a number from 0 to 1."
            )


@dataclass(frozen=True, kw_only=True)
class DynamicSamplingConfig:
    """Dynamic sampling (DAPO): resample prompts whose rewards have zero variance."""

    max_batches: int = 0
    """Batches of new prompts that a step may sample, at most; 0 trains on what it drew. Where they
    do not suffice, the step keeps prompts with zero reward variance, which teach nothing."""

    def __post_init__(self) -> None:
        at_least("rlvr.dynamic_sampling", 0, self, "max_batches")


@dataclass(frozen=True, kw_only=True)
class RlvrConfig:
    """Policy gradient on verified rewards."""

    group_size: int = 8
    """Completions sampled per prompt."""

    max_completion_tokens: int = 32
    """Sampling stops after this many tokens."""

    temperature: float = 1.0
    """Divides the logits before sampling."""

    top_k: int = 0
    """Sample among this many likeliest tokens only; 0 among all."""

    rollout_precision: Literal["trainer", "bf16"] = "trainer"
    """Arithmetic of sampling: that of `trainer.precision`, or bfloat16, which is faster on a GPU
    and another engine as far as `rlvr.rollout_correction` goes."""

    minibatches: int = 1
    """Optimizer steps' worth of prompts that are sampled at once."""

    num_iterations: int = 1
    """Passes of optimizer steps over each rollout; mu of GRPO."""

    mask_truncated_completions: bool = False
    """Leave completions out of the loss that did not end by themselves (DAPO's overlong filter)."""

    log_rollouts_every: int = 50
    """Optimizer steps between the rollouts written to `rollouts.jsonl`; 0 writes none."""

    log_rollouts_prompts: int = 2
    """Prompts of such a step that are written, each with its whole group."""

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    kl: KlConfig = field(default_factory=KlConfig)
    rollout_correction: RolloutCorrectionConfig = field(default_factory=RolloutCorrectionConfig)
    dynamic_sampling: DynamicSamplingConfig = field(default_factory=DynamicSamplingConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    perception: PerceptionConfig = field(default_factory=PerceptionConfig)

    @property
    def updates(self) -> int:
        """Optimizer steps that one round of sampling feeds."""
        return self.minibatches * self.num_iterations

    def __post_init__(self) -> None:
        if self.group_size < 2:
            raise ValueError(
                f"rlvr.group_size is {self.group_size}, but an advantage compares a completion "
                "with its siblings: use at least 2."
            )
        counts = ("max_completion_tokens", "minibatches", "num_iterations", "log_rollouts_prompts")
        at_least("rlvr", 1, self, *counts)
        at_least("rlvr", 0, self, "top_k", "log_rollouts_every")
        if self.top_k == 1:
            raise ValueError(
                "rlvr.top_k is 1, so that all completions of a group would be the same and teach "
                "nothing: use at least 2, or 0 for all tokens."
            )
        positive("rlvr", self, "temperature")
