"""Settings of rewards, and of the terms that compare with media withheld."""

from dataclasses import dataclass, field
from typing import Literal

from configs.ablation import LEFT, Condition, Replacement
from configs.checks import at_least, from_0_to_1
from configs.plugins import Plugin, read_plugins

AccuracyRule = Literal["correct", "graded", "exact"]
FormatRule = Literal["answer", "whole", "think"]

BONUSES = ("temporal", "length", "overlong", "blind")
PARTS = ("accuracy", "format", *BONUSES)
"""Of the reward, by name; the bonuses are not computed without a weight."""


@dataclass(frozen=True, kw_only=True)
class RewardConfig:
    """Weights of the reward's parts, which may be 0; each part is logged by itself."""

    accuracy: float = 0.9
    """Reward of a right answer."""

    format: float = 0.1
    """Reward of an answer that can be read without doubt, right or wrong."""

    early_steps: int = 0
    """Optimizer steps at the start in which the two weights below hold instead; 0 has none."""

    early_accuracy: float = 0.2
    """`accuracy` in the early steps."""

    early_format: float = 0.8
    """`format` in the early steps."""

    accuracy_rule: AccuracyRule = "correct"
    """`correct` pays what the verifier accepts; `graded` pays part of it for what is close (F1 of
    sets, ROUGE of texts); `exact` compares letter for letter, as AudioMCQ does."""

    format_rule: FormatRule = "answer"
    """`answer`: ends in its one answer; `whole`: is nothing but its answer; `think`: reasoning in
    its tags, then the answer in its own."""

    temporal: float = 0.0
    """Bonus of right answers to a video that are at least `temporal_ratio` times as frequent as
    with its frames shuffled; costs half a group of further completions."""

    temporal_ratio: float = 0.8
    """Factor of `temporal`."""

    length: float = 0.0
    """Bonus of a right answer whose completion has between `length_min` and `length_max` tokens,
    where another in its group is right too."""

    length_min: int = 320
    """Tokens from which `length` is paid."""

    length_max: int = 512
    """Tokens up to which `length` is paid."""

    overlong: float = 0.0
    """Penalty of a completion at its limit, which grows evenly over the last tokens before it."""

    overlong_share: float = 0.2
    """Of `rlvr.max_completion_tokens`: the last tokens, over which `overlong` grows."""

    blind: float = 0.0
    """Bonus of a right answer, times the share of wrong answers that the policy gives without the
    media of `rlvr.perception`: what could be guessed earns nothing more."""

    blind_samples: int = 4
    """Answers without the media that `blind` is measured by."""

    plugins: list[str] = field(default_factory=list)
    """Rewards of your own, each FILE.py:FUNCTION:WEIGHT; the weight is 1 where it is left out, and
    with 0 the part is measured only. docs/extend.md says what a function takes and returns."""

    @property
    def own(self) -> list[Plugin]:
        """The rewards of your own."""
        return read_plugins("rlvr.reward.plugins", self.plugins, PARTS)

    def __post_init__(self) -> None:
        weights = ("accuracy", "format", "early_accuracy", "early_format", "temporal", "length")
        more = ("overlong", "blind", "temporal_ratio", "length_min", "early_steps")
        at_least("rlvr.reward", 0, self, *weights, *more)
        at_least("rlvr.reward", 1, self, "blind_samples")
        _ = self.own  # names that cannot be read are refused
        if self.length_max < self.length_min:
            raise ValueError(
                f"rlvr.reward.length_max is {self.length_max}, below length_min="
                f"{self.length_min}, so that no length is paid: swap them, or set length=0."
            )
        if not 0 < self.overlong_share <= 1:
            raise ValueError(
                f"rlvr.reward.overlong_share is {self.overlong_share}, but is a share of the "
                "longest completion, above 0 and up to 1: a fifth is 0.2."
            )


@dataclass(frozen=True, kw_only=True)
class PerceptionConfig:
    """Terms that compare the policy with itself, media withheld as in a probe."""

    condition: Condition = "text_only"
    """What the policy is left with."""

    replacement: Replacement = "noise"
    """What stands in for the rest."""

    kl_coef: float = 0.0
    """Weight of the divergence between seeing and not seeing, which is maximized (PAPO)."""

    entropy_coef: float = 0.0
    """Weight of the entropy with and without the media, which keeps `kl_coef` from being gamed."""

    token_coef: float = 0.0
    """From 0 to 1: how much of each token's weight in the loss goes by how much likelier the media
    made it (the quantity of RT-OPD)."""

    @property
    def learned(self) -> bool:
        """Whether a term has a gradient where the media are withheld."""
        return bool(self.kl_coef or self.entropy_coef)

    @property
    def asked(self) -> bool:
        """Whether any term scores completions with the media withheld."""
        return self.learned or bool(self.token_coef)

    def __post_init__(self) -> None:
        at_least("rlvr.perception", 0, self, "kl_coef", "entropy_coef")
        from_0_to_1("rlvr.perception", self, "token_coef", such_as="a quarter is 0.25")
        if {"audio", "visual"} <= LEFT[self.condition]:
            raise ValueError(
                f"rlvr.perception.condition is {self.condition}, which withholds no medium to "
                "compare with: choose text_only, no_audio, no_visual, ..."
            )
