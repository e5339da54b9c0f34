"""Apply a rule to cached probe counts: which questions need their media, as pure arithmetic.

A probe asks a frozen model with something withheld. A rule turns its counts into a band for each
question:

    weak          answered without what was withheld
    strong        not answered without it
    undetermined  neither can be shown from so many answers
    undefined     withholding means nothing here; the reason is kept
    unstable      its source has too few questions to be thinned out
    missing       too few answers to decide; never guessed

Papers leave out two cases. An answer that could not be parsed counts as not correct, and thereby
towards strong. A question that holds nothing to withhold is undefined rather than weak: no paper
filters text-only questions, and OmniBoost (2605.12034) mixes them in on purpose.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from configs.ablation import Condition, Replacement
from datamodules.conditions import why_undefined
from datamodules.contribution.calibration import (
    Bools,
    Floats,
    Intervals,
    Ints,
    calibrated_tests,
    combination_interval,
    is_decided_calibrated,
    soft_tests,
)
from datamodules.contribution.presets import CalibratedRule, Rule, VotingRule, queries
from datamodules.sample import AnswerType, Sample

Band = Literal["weak", "strong", "undetermined", "undefined", "unstable", "missing"]
BANDS: tuple[Band, ...] = get_args(Band)


def count_bands(bands: NDArray[np.str_]) -> str:
    """Write how many questions each band has, the most frequent one first."""
    counts = Counter(bands.tolist()).most_common()
    return ", ".join(f"{count} {name}" for name, count in counts) or "none"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Answers of one voter under one condition, one entry for each question."""

    n: Ints
    """0 where a question was never asked."""

    n_correct: Ints


@dataclass(frozen=True, kw_only=True)
class QuestionFeatures:
    """What a rule needs to know of each question, besides the answers."""

    chance: Floats
    """Share of right answers of the best guesser."""

    closed: Bools
    """Whether a question has options."""

    source: NDArray[np.str_]

    undefined: NDArray[np.str_]
    """Why withholding means nothing for a question; `""` where it means something."""


def question_features(
    samples: Sequence[Sample], condition: Condition, replacement: Replacement
) -> QuestionFeatures:
    """Collect what rules need to know of these questions.

    Chance of a choice is the share of its options that are right; of an open question the share of
    the commonest answer among those of the same type and source in `samples`, and of yes and no at
    least 1/2. Where such questions are few, chance comes out high, and less can be concluded.
    """
    kinds = [(sample.source, sample.answer_type) for sample in samples]
    asked = Counter(kinds)
    common = Counter(
        (kind, sample.answer)
        for kind, sample in zip(kinds, samples, strict=True)
        if sample.answer_type != "choice"
    )
    share: dict[tuple[str, AnswerType], float] = {}
    for (kind, _), count in common.items():
        least = 0.5 if kind[1] == "yes_no" else 0.0
        share[kind] = max(count / asked[kind], share.get(kind, least))
    chance = [
        len(sample.right) / len(sample.options) if sample.answer_type == "choice" else share[kind]
        for kind, sample in zip(kinds, samples, strict=True)
    ]
    return QuestionFeatures(
        chance=np.array(chance, dtype=np.float64),
        closed=np.array([bool(sample.options) for sample in samples], dtype=np.bool_),
        source=np.array([sample.source for sample in samples], dtype=np.str_),
        undefined=np.array(
            [why_undefined(condition, replacement, sample.media) for sample in samples],
            dtype=np.str_,
        ),
    )


def apply_rule(
    rule: Rule, counts: Sequence[Counts], features: QuestionFeatures
) -> NDArray[np.str_]:
    """Find the band of every question at once.

    `calibrated` calls a question that passes both tests weak: it is answered without its media more
    often than by chance, and a filter for the need of media should rather lose a question than keep
    that one. Its tests are corrected over the questions that were asked and can be judged; with
    fewer answers than the rule's it judges only where the rest cannot matter.

    `soft` calls a question strong if its contribution is surely positive, and otherwise weak if it
    is surely answered above chance without its media. A small contribution alone does not make it
    weak: a question that is never answered has none either.

    Args:
        counts: as `queries(rule)` lists them.
        features: of all questions that are judged together, in the order of the counts.
    """
    judged = _judged(rule, counts, features)
    weak, strong = np.zeros_like(judged), np.zeros_like(judged)
    missing = np.zeros_like(judged)
    if isinstance(rule, VotingRule):
        votes, against = _votes(rule, counts, features)
        weak = votes >= rule.votes_needed
        strong = len(rule.voters) - against < rule.votes_needed
        missing = ~(weak | strong)
    elif isinstance(rule, CalibratedRule):
        weak[judged], strong[judged], missing[judged] = calibrated_tests(
            rule, counts[0].n_correct[judged], counts[0].n[judged], features.chance[judged]
        )
    else:
        (full, ablated), chance = counts, features.chance
        weak, strong = soft_tests(
            rule, (full.n_correct, ablated.n_correct), (full.n, ablated.n), chance
        )
        weak = weak & ~strong
        missing = np.minimum(full.n, ablated.n) < rule.answers
    band = np.full(len(judged), BANDS.index("undetermined"))
    band[strong] = BANDS.index("strong")
    band[weak] = BANDS.index("weak")
    band[missing] = BANDS.index("missing")
    band[~judged] = BANDS.index("unstable")
    band[features.undefined != ""] = BANDS.index("undefined")
    return np.array(BANDS)[band]


def is_decided(rule: Rule, counts: Sequence[Counts], features: QuestionFeatures) -> Bools:
    """Mark the questions that need no more answers.

    Either they have all that the rule asks for, or no outcome of the remaining answers can change
    their band. Asking only the others until all are decided therefore gives the same bands as
    asking everything. `soft` is a number, which every answer changes.

    Args:
        features: of all questions that will be judged together, asked already or not; a subset
            would have false discoveries of its own.
    """
    judged = _judged(rule, counts, features)
    if isinstance(rule, VotingRule):
        votes, against = _votes(rule, counts, features)
        done = (votes >= rule.votes_needed) | (len(rule.voters) - against < rule.votes_needed)
    else:
        done = np.min([count.n for count in counts], axis=0) >= rule.answers
    if isinstance(rule, CalibratedRule):
        done[judged] |= is_decided_calibrated(
            rule, counts[0].n_correct[judged], counts[0].n[judged], features.chance[judged]
        )
    return done | ~judged


def _judged(rule: Rule, counts: Sequence[Counts], features: QuestionFeatures) -> Bools:
    """Mark the questions that are defined and of a source that is large enough; check sizes."""
    if len(counts) != len(queries(rule)):
        raise ValueError(
            f"There are {len(counts)} counts, but {rule.name} takes {len(queries(rule))}: give one "
            "for each entry of asks(rule)."
        )
    for count in counts:
        if len(count.n) != len(features.chance):
            raise ValueError(
                f"There are counts of {len(count.n)} questions, and {len(features.chance)} "
                "questions to decide on: both must list the same questions in the same order."
            )
    judged: Bools = features.undefined == ""
    if rule.min_questions > 1:
        sources = features.source.tolist()
        few = {name for name, n in Counter(sources).items() if n < rule.min_questions}
        if few:
            judged &= np.array([name not in few for name in sources], dtype=np.bool_)
    return judged


def _votes(
    rule: VotingRule, counts: Sequence[Counts], features: QuestionFeatures
) -> tuple[Ints, Ints]:
    """Count the votes for weak and those against; the rest may become either."""
    weak_votes = np.zeros(len(features.chance), dtype=np.int64)
    wrong_votes = weak_votes.copy()
    for voter, count in zip(rule.voters, counts, strict=True):
        total = np.where(features.closed, voter.choice.total, voter.open.total)
        needed = np.where(features.closed, voter.choice.needed, voter.open.needed)
        share = count.n_correct * total >= needed * count.n
        weak = np.where(count.n > total, share, count.n_correct >= needed)
        wrong = np.where(count.n > total, ~share, count.n - count.n_correct > total - needed)
        weak_votes += weak
        wrong_votes += wrong
    return weak_votes, wrong_votes


def contribution(full: Counts, ablated: Counts, *, confidence: float) -> Intervals:
    """Return p(full) - p(ablated) with Newcombe's interval; NaN where one was not asked."""
    n_correct, n = np.stack([full.n_correct, ablated.n_correct]), np.stack([full.n, ablated.n])
    return combination_interval(np.array([1.0, -1.0]), n_correct, n, confidence)
