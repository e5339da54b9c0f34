"""What a completion is paid for: one function per part, before any weight.

Parts have the same names for all groups of a run, so that each can be logged by itself; which ones
there are follows from the weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal, Protocol, final

from configs.rewards import RewardConfig
from configs.rlvr import RlvrConfig
from datamodules.sample import Sample
from modules.verifiers.extraction import CLOSE, OPEN, enclosed, well_formed
from modules.verifiers.parsing import as_shown, exactly
from modules.verifiers.verify import Verdict, verify_all

RIGHT = 0.1
"""An accuracy above this is right for the bonuses, as in Video-R1 (2503.21776), where `graded`
makes fractions of it."""

Elsewhere = Literal["blind", "shuffled"]
"""Views of the prompts that completions may be compared by."""

BONUSES = ("temporal", "length", "overlong", "blind")


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One completion, as it was sampled."""

    text: str
    tokens: int
    finished: bool
    """It ended by itself, before its limit."""


@dataclass(frozen=True, kw_only=True)
class Said(Utterance):
    """One completion, and what the verifier makes of it."""

    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Group:
    """All that was said to one prompt."""

    sample: Sample
    said: Sequence[Utterance]
    elsewhere: Mapping[Elsewhere, Sequence[Utterance]] = field(default_factory=dict)
    """What was said to other showings of the prompt, by view; only where they do differ."""


@dataclass(frozen=True, kw_only=True)
class Paid:
    """What one completion earns, and for what."""

    reward: float
    parts: Mapping[str, float]
    """By name, before weights."""

    merit: float
    """What spread is measured by: prompts whose completions differ in it teach something. Length
    and the like have no part in it, in which all completions differ."""

    verdict: Verdict
    """Of the answer that was given, or given by whom the completion was meant for."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What else is known where a group of completions is paid."""

    step: int
    """Optimizer steps so far."""

    max_tokens: int
    """Where completions are cut."""

    shuffled_accuracy: float | None = None
    """Mean `accuracy` of the same question with its frames shuffled; None where not measured."""

    blind_accuracy: float | None = None
    """Mean `accuracy` of the same question without its media; None where not measured."""


class Jury(Protocol):
    """Who says what completions are worth; which one is all that stages of sampling differ in."""

    @property
    def elsewhere(self) -> Mapping[Elsewhere, range]:
        """The views of each prompt that are to be answered as well, and the numbers of the
        completions of each, which key their draws."""

    def pay(self, groups: Sequence[Group], *, step: int) -> list[list[Paid]]:
        """Pay every completion of every group, after so many optimizer steps."""

    def verdicts(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
        """Judge each completion of the sample beside it, and pay for nothing."""


@final
class VerifierJury:
    """Pays by verified answers, and by what else `rlvr.reward` gives a weight."""

    def __init__(self, rlvr: RlvrConfig) -> None:
        self.config = rlvr.reward
        self.max_tokens = rlvr.max_completion_tokens
        blind = range(rlvr.group_size, rlvr.group_size + self.config.blind_samples)
        shuffled = range(blind.stop, blind.stop + max(1, rlvr.group_size // 2))
        self.elsewhere: dict[Elsewhere, range] = {}
        if self.config.blind:
            self.elsewhere["blind"] = blind
        if self.config.temporal:
            self.elsewhere["shuffled"] = shuffled

    def pay(self, groups: Sequence[Group], *, step: int) -> list[list[Paid]]:
        """Verify everything at once, and pay group by group."""
        judged = _verified([(group.sample, group.said) for group in groups])
        blind, shuffled = self._accuracies(groups, "blind"), self._accuracies(groups, "shuffled")
        settings = [
            Setting(
                step=step,
                max_tokens=self.max_tokens,
                shuffled_accuracy=shuffled.get(group.sample.id),
                blind_accuracy=blind.get(group.sample.id),
            )
            for group in groups
        ]
        return [
            paid(said, group.sample, self.config, setting)
            for said, group, setting in zip(judged, groups, settings, strict=True)
        ]

    def verdicts(self, completions: Sequence[str], samples: Sequence[Sample]) -> list[Verdict]:
        """Verify the answers."""
        return verify_all(completions, samples)

    def _accuracies(self, groups: Sequence[Group], view: Elsewhere) -> dict[str, float]:
        """Measure how right the answers to another showing are, by id."""
        shown = [(one.sample, one.elsewhere[view]) for one in groups if view in one.elsewhere]
        return {
            sample.id: fmean(accuracy(one, sample, self.config) for one in said)
            for (sample, _), said in zip(shown, _verified(shown), strict=True)
        }


def _verified(groups: Sequence[tuple[Sample, Sequence[Utterance]]]) -> list[list[Said]]:
    """Let the verifier judge what was said to each question."""
    asked = [sample for sample, said in groups for _ in said]
    verdicts = iter(verify_all([one.text for _, said in groups for one in said], asked))
    return [
        [Said(**vars(one), verdict=verdict) for one, verdict in zip(said, verdicts, strict=False)]
        for _, said in groups
    ]


def paid(
    group: Sequence[Said], sample: Sample, config: RewardConfig, setting: Setting
) -> list[Paid]:
    """Measure what each completion of a group is paid for, and add it up by weight."""
    accuracies = [accuracy(said, sample, config) for said in group]
    columns = {
        "accuracy": accuracies,
        "format": [float(well_formed(said.text, config.format_rule)) for said in group],
        "temporal": _temporal(accuracies, sample, config, setting),
        "length": _length(accuracies, [said.tokens for said in group], config),
        "overlong": [_overlong(said, config, setting) for said in group],
        "blind": [_unguessed(right, setting) for right in accuracies],
    }
    weights = weights_at(setting.step, config)
    earned = []
    for at, said in enumerate(group):
        parts = {name: columns[name][at] for name in weights}  # those that have a weight
        reward = total(parts, weights)
        if not math.isfinite(reward):
            raise ValueError(
                f"A completion of sample {sample.id!r} is paid {reward}, from parts {parts} with "
                f"weights {weights}, but a reward is a finite number: set the weights in "
                "rlvr.reward to finite ones; where they are, this is a bug."
            )
        merit = parts["accuracy"]
        earned.append(Paid(reward=reward, parts=parts, merit=merit, verdict=said.verdict))
    return earned


def weights_at(step: int, config: RewardConfig) -> dict[str, float]:
    """Weigh each part after so many optimizer steps; OmniBoost (2605.12034) begins with form."""
    early = step < config.early_steps
    weights = {
        "accuracy": config.early_accuracy if early else config.accuracy,
        "format": config.early_format if early else config.format,
    }
    bonuses = {name: float(vars(config)[name]) for name in BONUSES}
    return weights | {name: weight for name, weight in bonuses.items() if weight}


def total(parts: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Add up the weighted parts."""
    return sum(weight * parts[name] for name, weight in weights.items())


def accuracy(said: Said, sample: Sample, config: RewardConfig) -> float:
    """Say how right a completion is, from 0 to 1, by the rule of the config."""
    if config.accuracy_rule == "graded":
        return said.verdict.score
    if config.accuracy_rule == "exact":
        return float(matches_exactly(said.text, sample))
    return float(said.verdict.correct)


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
    accuracies: Sequence[float], sample: Sample, config: RewardConfig, setting: Setting
) -> list[float]:
    """Pay right answers to a video that are not as frequent with its frames shuffled (Video-R1)."""
    shown = any(item.modality == "video" for item in sample.media)
    if not shown or setting.shuffled_accuracy is None:
        return [0.0] * len(accuracies)
    mean = sum(accuracies) / len(accuracies)
    earned = mean >= config.temporal_ratio * setting.shuffled_accuracy
    return [float(earned and right > RIGHT) for right in accuracies]


def _length(
    accuracies: Sequence[float], lengths: Sequence[int], config: RewardConfig
) -> list[float]:
    """Pay right answers within the window of length, where the group has several (Video-R1)."""
    several = sum(right > RIGHT for right in accuracies) > 1
    return [
        float(several and right > RIGHT and config.length_min <= length <= config.length_max)
        for right, length in zip(accuracies, lengths, strict=True)
    ]


def _overlong(said: Said, config: RewardConfig, setting: Setting) -> float:
    """Charge, evenly from 0 to 1, for the last tokens before the limit (DAPO, 2503.14476)."""
    charged = config.overlong_share * setting.max_tokens
    length = said.tokens if said.finished else setting.max_tokens
    return -min(1.0, max(0.0, length - (setting.max_tokens - charged)) / charged)


def _unguessed(right: float, setting: Setting) -> float:
    """Pay a right answer by how seldom the policy gives it without the media."""
    return 0.0 if setting.blind_accuracy is None else right * (1 - setting.blind_accuracy)
