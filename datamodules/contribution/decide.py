"""Say which questions need their media: rules over cached probe counts, as pure arithmetic.

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

import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from configs.ablation import LEFT, Condition, Part, Replacement
from datamodules.contribution.calibration import (
    Bools,
    Floats,
    Intervals,
    Ints,
    calibrated,
    combination_interval,
    guesser_share,
    jaccard,
    soft,
    sure,
)
from datamodules.contribution.presets import (
    PRESETS,
    Ask,
    CalibratedRule,
    Rule,
    SoftRule,
    Vote,
    Voter,
    VotingRule,
    asks,
    command,
    rule_of,
)
from datamodules.sample import AnswerType, Media, Modality, Role, Sample

__all__ = [
    "BANDS",
    "PARTS",
    "PRESETS",
    "Ask",
    "Band",
    "CalibratedRule",
    "Counts",
    "Intervals",
    "Items",
    "Rule",
    "SoftRule",
    "Vote",
    "Voter",
    "VotingRule",
    "asks",
    "command",
    "contribution",
    "decide",
    "guesser_share",
    "items_of",
    "jaccard",
    "rule_of",
    "settled",
    "touches",
    "why_undefined",
    "withholds",
]

Band = Literal["weak", "strong", "undetermined", "undefined", "unstable", "missing"]
BANDS: tuple[Band, ...] = get_args(Band)

PARTS: Mapping[Modality, frozenset[Part]] = {
    "audio": frozenset({"audio"}),
    "image": frozenset({"visual"}),
    "video": frozenset({"audio", "visual"}),
}
"""What each kind of file can show; whether a video has a track is not known before it is read."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Answers of one voter under one condition, one entry for each question."""

    n: Ints
    """0 where a question was never asked."""

    n_correct: Ints


@dataclass(frozen=True, kw_only=True)
class Items:
    """What a rule has to know of each question, besides the answers."""

    chance: Floats
    """Share of right answers of somebody who guesses as well as can be."""

    closed: Bools
    """Whether a question has options."""

    source: NDArray[np.str_]

    undefined: NDArray[np.str_]
    """Why withholding means nothing for a question, `""` where it does mean something."""


def withholds(media: Iterable[Media], condition: Condition, how: Replacement) -> bool:
    """Say whether a condition changes anything of a question; `full` is asked of all."""
    if condition == "full" or "text" not in LEFT[condition]:
        return True
    return any(touches(condition, how, item.modality) for item in media)


def why_undefined(condition: Condition, how: Replacement, media: Iterable[Media]) -> str:
    """Return why an ablation means nothing for a question with these media, or `""`."""
    return _why(condition, how, tuple([(item.modality, item.role) for item in media]))


@functools.cache  # there are few combinations, and many questions
def _why(condition: Condition, how: Replacement, kinds: tuple[tuple[Modality, Role], ...]) -> str:
    media = [Media(modality=modality, path="", role=role) for modality, role in kinds]
    if not withholds(media, condition, how):
        return f"{condition} withholds nothing from it"
    if any(item.role == "option" and touches(condition, how, item.modality) for item in media):
        return f"{condition} withholds options"
    return ""


def touches(condition: Condition, how: Replacement, modality: Modality) -> bool:
    """Say whether media of a kind can look or sound different afterwards.

    Shuffling takes the order of frames alone; every other way takes all that is withheld.
    """
    withheld = PARTS[modality] - LEFT[condition]
    return bool(withheld) if how != "shuffled" else modality == "video" and "visual" in withheld


def items_of(samples: Sequence[Sample], condition: Condition, how: Replacement) -> Items:
    """Collect what rules have to know of these questions.

    Chance is what can be had without understanding: one of the options for a choice, or one of the
    equal ones that are right; for open
    questions the share of the commonest answer among those of the same kind and source in
    `samples`, which is right for whoever knows how such questions tend to be answered. Of yes and
    no it is at least 1/2. Few such questions make chance look high, and less can be told from it.
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
    return Items(
        chance=np.array(chance, dtype=np.float64),
        closed=np.array([bool(sample.options) for sample in samples], dtype=np.bool_),
        source=np.array([sample.source for sample in samples], dtype=np.str_),
        undefined=np.array(
            [why_undefined(condition, how, sample.media) for sample in samples], dtype=np.str_
        ),
    )


def decide(rule: Rule, counts: Sequence[Counts], items: Items) -> NDArray[np.str_]:
    """Find the band of every question at once.

    Of `calibrated`, a question that passes both tests is weak: it is answered without its media
    more often than by chance, and whoever filters for the need of media would rather miss a
    question than train on that one. Its tests are corrected over the questions that were asked and
    can be judged; with fewer answers than the rule's it judges only where the rest cannot matter.

    Of `soft`, a question is strong if its contribution is surely positive, and otherwise weak if it
    is surely answered above chance without its media. A small contribution is no reason by itself:
    what is never answered at all has none either.

    Args:
        counts: as `asks(rule)` lists them.
        items: of all questions that are judged together, in the order of the counts.
    """
    judged = _judged(rule, counts, items)
    weak, strong = np.zeros_like(judged), np.zeros_like(judged)
    missing = np.zeros_like(judged)
    if isinstance(rule, VotingRule):
        votes, against = _votes(rule, counts, items)
        weak = votes >= rule.votes_needed
        strong = len(rule.voters) - against < rule.votes_needed
        missing = ~(weak | strong)
    elif isinstance(rule, CalibratedRule):
        weak[judged], strong[judged], missing[judged] = calibrated(
            rule, counts[0].n_correct[judged], counts[0].n[judged], items.chance[judged]
        )
    else:
        (full, ablated), chance = counts, items.chance
        weak, strong = soft(rule, (full.n_correct, ablated.n_correct), (full.n, ablated.n), chance)
        weak = weak & ~strong
        missing = np.minimum(full.n, ablated.n) < rule.answers
    band = np.full(len(judged), BANDS.index("undetermined"))
    band[strong] = BANDS.index("strong")
    band[weak] = BANDS.index("weak")
    band[missing] = BANDS.index("missing")
    band[~judged] = BANDS.index("unstable")
    band[items.undefined != ""] = BANDS.index("undefined")
    return np.array(BANDS)[band]


def settled(rule: Rule, counts: Sequence[Counts], items: Items) -> Bools:
    """Say of which questions it is pointless to ask for more answers.

    Either they have all that the rule asks for, or those to come cannot change their band, whatever
    they and all the others turn out to be. Asking on with the rest until all is settled therefore
    gives the bands that all answers give. `soft` is a number, which every answer changes.

    Args:
        items: of all questions that will be judged together, asked already or not; a part of them
            has false discoveries of its own.
    """
    judged = _judged(rule, counts, items)
    if isinstance(rule, VotingRule):
        votes, against = _votes(rule, counts, items)
        done = (votes >= rule.votes_needed) | (len(rule.voters) - against < rule.votes_needed)
    else:
        done = np.min([count.n for count in counts], axis=0) >= rule.answers
    if isinstance(rule, CalibratedRule):
        done[judged] |= sure(
            rule, counts[0].n_correct[judged], counts[0].n[judged], items.chance[judged]
        )
    return done | ~judged


def _judged(rule: Rule, counts: Sequence[Counts], items: Items) -> Bools:
    """Say which questions are defined and of a source that is large enough; compare sizes."""
    if len(counts) != len(asks(rule)):
        raise ValueError(
            f"There are {len(counts)} counts, but {rule.name} takes {len(asks(rule))}: give one "
            "for each entry of asks(rule)."
        )
    for count in counts:
        if len(count.n) != len(items.chance):
            raise ValueError(
                f"There are counts of {len(count.n)} questions, and {len(items.chance)} questions "
                "to decide on: both must list the same questions in the same order."
            )
    judged: Bools = items.undefined == ""
    if rule.min_questions > 1:
        sources = items.source.tolist()
        few = {name for name, n in Counter(sources).items() if n < rule.min_questions}
        if few:
            judged &= np.array([name not in few for name in sources], dtype=np.bool_)
    return judged


def _votes(rule: VotingRule, counts: Sequence[Counts], items: Items) -> tuple[Ints, Ints]:
    """Count the votes for weak and those against; the rest may become either."""
    weak_votes = np.zeros(len(items.chance), dtype=np.int64)
    wrong_votes = weak_votes.copy()
    for voter, count in zip(rule.voters, counts, strict=True):
        total = np.where(items.closed, voter.choice.total, voter.open.total)
        needed = np.where(items.closed, voter.choice.needed, voter.open.needed)
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
