"""What a completion is paid for: one function per part, before any weight.

Parts have the same names for all groups of a run, so that each can be logged by itself; which ones
there are follows from the weights.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from configs.rewards import RewardConfig
from datamodules.sample import Sample
from modules.extraction import CLOSE, OPEN, well_formed
from modules.verifiers import Verdict

RIGHT = 0.1
"""An accuracy above this is right for the bonuses, as in Video-R1 (2503.21776), where `graded`
makes fractions of it."""

BONUSES = ("temporal", "length", "overlong", "blind")


@dataclass(frozen=True, kw_only=True)
class Said:
    """One completion, and what the verifier makes of it."""

    text: str
    tokens: int
    finished: bool
    """It ended by itself, before its limit."""

    verdict: Verdict


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


def parts_of(
    group: Sequence[Said], sample: Sample, config: RewardConfig, setting: Setting
) -> list[dict[str, float]]:
    """Measure what each completion of a group is paid for, by name and before weights."""
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
    parts = [
        {name: columns[name][at] for name in weights}  # those that have a weight
        for at in range(len(group))
    ]
    for one in parts:
        if not math.isfinite(total(one, weights)):
            raise ValueError(
                f"A completion of sample {sample.id!r} is paid {total(one, weights)}, from parts "
                f"{one} with weights {weights}, but a reward is a finite number: set the weights "
                "in rlvr.reward to finite ones; where they are, this is a bug."
            )
    return parts


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
    letter and its option's text both count, unless that text is itself a letter.
    """
    start = completion.find(OPEN)
    end = completion.find(CLOSE, start)
    if 0 <= start < end:
        completion = completion[start + len(OPEN) : end]
    accepted = {sample.answer.strip().casefold()}
    if sample.answer_type == "choice":
        text = sample.options[sample.letters.index(sample.answer)].strip()
        accepted |= {text.casefold()} - {*sample.letters.casefold()}
    return completion.strip().casefold() in accepted - {""}


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
