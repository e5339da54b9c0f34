"""Say which samples need their media: rules over cached probe counts, as pure arithmetic.

A probe asks a frozen model with something withheld. A rule turns its counts into a decision for
each sample:

    weak        answered without what was withheld
    strong      not answered without it
    undefined   withholding means nothing here; the sample is kept, with the reason
    missing     too few answers to decide; never guessed

Papers leave out two cases. An answer that could not be parsed counts as not correct, and thereby
towards strong. A sample that holds nothing to withhold is undefined rather than weak: no paper
filters text-only questions, and OmniBoost (2605.12034) mixes them in on purpose.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # batch imports torch, which rules and the cache do without
    from datamodules.sample import Media, Modality

Condition = Literal["full", "no_audio", "no_visual", "text_only"]
How = Literal["absent", "silent"]
Decision = Literal["weak", "strong", "undefined", "missing"]
Keep = Literal["all", "weak", "strong"]
OnMissing = Literal["error", "keep", "drop"]

WITHHELD: "Mapping[Condition, frozenset[Modality]]" = {
    "full": frozenset(),
    "no_audio": frozenset({"audio", "video"}),
    "no_visual": frozenset({"image", "video"}),
    "text_only": frozenset({"audio", "image", "video"}),
}
"""What each condition takes something away from; of a video its track, its frames, or both."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Answers to one condition, one entry for each sample that was asked about."""

    n: NDArray[np.int64]
    """Answers, over all probes and option orders; 0 where the sample was never probed."""

    n_correct: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a sample counts as answerable without its media."""

    name: str
    condition: Condition
    how: How

    votes: int
    """Answers that a decision takes; with fewer the sample is missing."""

    votes_needed: int
    """Correct ones among them that make it weak; with more answers than `votes`, the same share."""


VIDGROUND = Rule(name="vidground", condition="text_only", how="absent", votes=1, votes_needed=1)
"""2604.05117: one pass over question and options alone; right means text-answerable."""

AUDIOMCQ = Rule(name="audiomcq", condition="no_audio", how="silent", votes=3, votes_needed=2)
"""2509.21060: three models, one answer each, to silence in place of the recording."""

PRESETS = {rule.name: rule for rule in (VIDGROUND, AUDIOMCQ)}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The samples to use."""

    kept: tuple[str, ...]
    """Their ids, in the order given."""

    reasons: dict[str, str]
    """Why each sample was kept that the rule could not decide on."""


def why_undefined(rule: Rule, media: "Sequence[Media]") -> str:
    """Return why a rule's ablation means nothing for a sample with these media, or `""`."""
    withheld = [item for item in media if item.modality in WITHHELD[rule.condition]]
    if not withheld:
        return f"{rule.condition} withholds nothing from it"
    if any(item.role == "option" for item in withheld):
        return f"{rule.condition} withholds options"
    return ""


def decide(rule: Rule, counts: Counts, undefined: Sequence[str]) -> list[Decision]:
    """Decide on every sample at once.

    Args:
        counts: of the answers under the rule's condition, one entry for each sample.
        undefined: what `why_undefined` says of each sample, in the same order.
    """
    if len(counts.n) != len(undefined):
        raise ValueError(
            f"There are counts of {len(counts.n)} samples, and {len(undefined)} samples to decide "
            "on: both must list the same samples in the same order."
        )
    weak = counts.n_correct * rule.votes >= rule.votes_needed * counts.n
    names = np.where(weak, "weak", "strong")
    names = np.where(counts.n < rule.votes, "missing", names)
    names = np.where(np.array(undefined, dtype=np.str_) != "", "undefined", names)
    decisions: list[Decision] = names.tolist()
    return decisions


def select(
    rule: Rule,
    sample_ids: Sequence[str],
    decisions: Sequence[Decision],
    undefined: Sequence[str],
    *,
    keep: Keep,
    on_missing: OnMissing,
) -> Selection:
    """Keep the samples of one kind.

    `strong` keeps the undefined too, as the papers retain in full whatever their probe cannot ask;
    `weak` does not; `all` keeps everything and looks at no score.
    """
    unscored = [
        id_ for id_, decision in zip(sample_ids, decisions, strict=True) if decision == "missing"
    ]
    if unscored and keep != "all" and on_missing == "error":
        raise ValueError(
            f"{len(unscored)} of {len(sample_ids)} samples have fewer than {rule.votes} probe "
            f"answers, which {rule.name} needs (first: {unscored[0]!r}). Score them with `python "
            f"eval.py stage=probe 'probe.conditions=[{rule.condition}]' probe.how={rule.how} "
            f"probe.samples={rule.votes}`, or set data.contribution.keep=all to train without "
            "filtering."
        )
    wanted: set[Decision] = {"weak"} if keep == "weak" else {"strong", "undefined"}
    if on_missing == "keep":
        wanted.add("missing")
    kept = [i for i, decision in enumerate(decisions) if keep == "all" or decision in wanted]
    reasons = {
        sample_ids[i]: undefined[i] or "too few probe answers"
        for i in kept
        if decisions[i] in ("undefined", "missing")
    }
    return Selection(kept=tuple(sample_ids[i] for i in kept), reasons=reasons)


def guesser_share(rule: Rule, n_options: int) -> float:
    """Return the share of samples on which a blind, uniform guesser would make the rule say weak.

        Σ_{k >= votes_needed} C(votes, k) p^k (1 - p)^(votes - k),  p = 1 / n_options

    What a rule removes beyond this share, it removes for a reason.
    """
    if n_options < 2:
        raise ValueError(f"A guesser among {n_options} options has no choice: give at least 2.")
    p = 1 / n_options
    return sum(
        math.comb(rule.votes, k) * p**k * (1 - p) ** (rule.votes - k)
        for k in range(rule.votes_needed, rule.votes + 1)
    )
