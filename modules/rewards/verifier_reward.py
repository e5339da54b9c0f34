"""Rewards by a verifier: one function per part of the reward, before any weight.

Parts have the same names for all groups of a run, so that each can be logged by itself; which ones
there are follows from the weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal, Protocol, final

from configs.rewards import BONUSES, RewardConfig
from configs.rlvr import RlvrConfig
from datamodules.sample import Sample
from modules.rewards.completion import Completion, GradedCompletion
from modules.rewards.own_reward import own_reward
from modules.verifiers.extraction import CLOSE, OPEN, enclosed, well_formed
from modules.verifiers.parsing import as_shown, exactly
from modules.verifiers.verify import Verdict, verify_all

RIGHT = 0.1
"""An accuracy above this is right for the bonuses, as in Video-R1 (2503.21776), where `graded`
makes fractions of it."""

ExtraView = Literal["blind", "shuffled"]
"""Views of the prompts that completions may be compared by."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """All completions of one prompt."""

    sample: Sample
    completions: Sequence[Completion]
    extra: Mapping[ExtraView, Sequence[Completion]] = field(default_factory=dict)
    """Completions of other views of the prompt; only of views that show it otherwise."""


@dataclass(frozen=True, kw_only=True)
class RewardResult:
    """The reward of one completion, and its parts."""

    reward: float
    parts: Mapping[str, float]
    """By name, before weights."""

    filter_score: float
    """What dynamic sampling looks at: prompts whose completions differ in it are kept. Length and
    the like have no part in it, in which all completions differ."""

    verdict: Verdict
    """On the policy's answer, or on the answer of the reader of a description."""


@dataclass(frozen=True, kw_only=True)
class RewardContext:
    """What else the reward of a group depends on."""

    step: int
    """Optimizer steps so far."""

    max_tokens: int
    """Where completions are cut."""

    shuffled_accuracy: float | None = None
    """Mean `accuracy` of the same question with its frames shuffled; None where not measured."""

    blind_accuracy: float | None = None
    """Mean `accuracy` of the same question without its media; None where not measured."""


class RewardFunction(Protocol):
    """Reward interface: the only part in which the stages rlvr and prealign differ."""

    @property
    def extra_views(self) -> Mapping[ExtraView, range]:
        """The views of each prompt that are to be completed as well, and the numbers of the
        completions of each, which key their draws."""

    def __call__(self, groups: Sequence[Group], *, step: int) -> list[list[RewardResult]]:
        """Reward every completion of every group, after so many optimizer steps."""

    def grade(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
        """Grade each completion of the sample beside it, without a reward."""


@final
class VerifierReward:
    """Rewards verified answers, and whatever else `rlvr.reward` gives a weight."""

    def __init__(self, rlvr: RlvrConfig) -> None:
        self.config = rlvr.reward
        self.max_tokens = rlvr.max_completion_tokens
        blind = range(rlvr.group_size, rlvr.group_size + self.config.blind_samples)
        shuffled = range(blind.stop, blind.stop + max(1, rlvr.group_size // 2))
        self.extra_views: dict[ExtraView, range] = {}
        if self.config.blind:
            self.extra_views["blind"] = blind
        if self.config.temporal:
            self.extra_views["shuffled"] = shuffled

    def __call__(self, groups: Sequence[Group], *, step: int) -> list[list[RewardResult]]:
        """Verify all answers at once, and reward group by group."""
        graded = _graded([(group.sample, group.completions) for group in groups])
        blind, shuffled = self._accuracies(groups, "blind"), self._accuracies(groups, "shuffled")
        contexts = [
            RewardContext(
                step=step,
                max_tokens=self.max_tokens,
                shuffled_accuracy=shuffled.get(group.sample.id),
                blind_accuracy=blind.get(group.sample.id),
            )
            for group in groups
        ]
        return [
            reward_group(completions, group.sample, self.config, context)
            for completions, group, context in zip(graded, groups, contexts, strict=True)
        ]

    def grade(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
        """Verify the answers."""
        return verify_all(completions, samples)

    def _accuracies(self, groups: Sequence[Group], view: ExtraView) -> dict[str, float]:
        """Average the accuracy of the completions of another view, by sample id."""
        shown = [(one.sample, one.extra[view]) for one in groups if view in one.extra]
        return {
            sample.id: fmean(accuracy(one, sample, self.config) for one in completions)
            for (sample, _), completions in zip(shown, _graded(shown), strict=True)
        }


def _graded(
    groups: Sequence[tuple[Sample, Sequence[Completion]]],
) -> list[list[GradedCompletion]]:
    """Verify all completions of all groups at once."""
    samples = [sample for sample, completions in groups for _ in completions]
    texts = [one.text for _, completions in groups for one in completions]
    verdicts = iter(verify_all(texts, samples))
    return [
        [GradedCompletion(**vars(one), verdict=next(verdicts)) for one in completions]
        for _, completions in groups
    ]


def reward_group(
    group: Sequence[GradedCompletion],
    sample: Sample,
    config: RewardConfig,
    context: RewardContext,
) -> list[RewardResult]:
    """Compute the parts that have a weight for each completion of a group, and their sum."""
    accuracies = [accuracy(completion, sample, config) for completion in group]
    columns = {
        "accuracy": accuracies,
        "format": [float(well_formed(one.text, config.format_rule)) for one in group],
        "temporal": _temporal(accuracies, sample, config, context),
        "length": _length(accuracies, [one.tokens for one in group], config),
        "overlong": [_overlong(one, config, context) for one in group],
        "blind": [_not_guessed(right, context) for right in accuracies],
        **{own.name: own_reward(own, sample, group) for own in config.own},
    }
    weights = weights_at(context.step, config)
    results = []
    for at, completion in enumerate(group):
        parts = {name: columns[name][at] for name in weights}
        reward = sum(weight * parts[name] for name, weight in weights.items())
        if not math.isfinite(reward):
            raise ValueError(
                f"The reward of a completion of sample {sample.id!r} is {reward}, from parts "
                f"{parts} with weights {weights}, but a reward is a finite number: set the weights "
                "in rlvr.reward to finite ones; where they are, this is a bug."
            )
        results.append(
            RewardResult(
                reward=reward,
                parts=parts,
                filter_score=parts["accuracy"],
                verdict=completion.verdict,
            )
        )
    return results


def weights_at(step: int, config: RewardConfig) -> dict[str, float]:
    """Return the weight of each part after so many optimizer steps; OmniBoost (2605.12034) begins
    with a larger one on format."""
    early = step < config.early_steps
    weights = {
        "accuracy": config.early_accuracy if early else config.accuracy,
        "format": config.early_format if early else config.format,
    }
    bonuses = {name: float(vars(config)[name]) for name in BONUSES}
    weights |= {name: weight for name, weight in bonuses.items() if weight}
    return weights | {own.name: own.weight for own in config.own}


def accuracy(completion: GradedCompletion, sample: Sample, config: RewardConfig) -> float:
    """Score a completion from 0 to 1 by `accuracy_rule`."""
    if config.accuracy_rule == "graded":
        return completion.verdict.score
    if config.accuracy_rule == "exact":
        return float(matches_exactly(completion.text, sample))
    return float(completion.verdict.correct)


def matches_exactly(completion: str, sample: Sample) -> bool:
    """Compare letter for letter, but for case and outer white space, as AudioMCQ (2509.21060) does.

    What counts is the first pair of tags, or the whole text where there is none. Of a choice, its
    option's text counts, if need be in the very case, and its letter where letters are shown: there
    a text that is itself a letter does not.
    """
    start = completion.find(OPEN)
    end = completion.find(CLOSE, start)
    said = completion[start + len(OPEN) : end] if 0 <= start < end else completion
    whole = enclosed(completion)
    if whole and as_shown(whole, sample):
        said = whole  # as it is imitated, though it look like tags itself
    said = said.strip()
    if sample.answer_type == "choice":
        return (exactly(said, sample) or "nothing") in sample.right
    accepted = {sample.answer.strip().casefold(), sample.named_answer.strip().casefold()}
    return said.casefold() in accepted - {""}


def _temporal(
    accuracies: Sequence[float], sample: Sample, config: RewardConfig, context: RewardContext
) -> list[float]:
    """Reward right answers to a video where the group's accuracy is at least `temporal_ratio` times
    that with its frames shuffled (Video-R1)."""
    shown = any(item.modality == "video" for item in sample.media)
    if not shown or context.shuffled_accuracy is None:
        return [0.0] * len(accuracies)
    mean = sum(accuracies) / len(accuracies)
    beats = mean >= config.temporal_ratio * context.shuffled_accuracy
    return [float(beats and right > RIGHT) for right in accuracies]


def _length(
    accuracies: Sequence[float], lengths: Sequence[int], config: RewardConfig
) -> list[float]:
    """Reward right answers within the window of length, where the group has several (Video-R1)."""
    several = sum(right > RIGHT for right in accuracies) > 1
    return [
        float(several and right > RIGHT and config.length_min <= length <= config.length_max)
        for right, length in zip(accuracies, lengths, strict=True)
    ]


def _overlong(completion: GradedCompletion, config: RewardConfig, context: RewardContext) -> float:
    """Penalize the last tokens before the limit, evenly from 0 to 1 (DAPO, 2503.14476)."""
    penalized = config.overlong_share * context.max_tokens
    length = completion.tokens if completion.finished else context.max_tokens
    return -min(1.0, max(0.0, length - (context.max_tokens - penalized)) / penalized)


def _not_guessed(right: float, context: RewardContext) -> float:
    """Reward a right answer by how rarely the policy gives it without the media."""
    return 0.0 if context.blind_accuracy is None else right * (1 - context.blind_accuracy)
