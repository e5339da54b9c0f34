"""Judge questions by every rule for which the cache holds answers, and compare the outcomes."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from configs.inputs import ContributionConfig, RuleName
from datamodules.contribution.calibration import guesser_share, jaccard
from datamodules.contribution.decide import (
    BANDS,
    Counts,
    QuestionFeatures,
    apply_rule,
    question_features,
)
from datamodules.contribution.presets import (
    Rule,
    probe_command,
    queries,
    rule_of,
)
from datamodules.contribution.probe_matching import (
    PooledProbes,
    counts_by_voter,
    find_voters,
    satisfies,
)
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.selection import BANDS_KEPT
from datamodules.sample import Sample
from evaluation.auditing.truth import JUDGED, Check, answerable, check, clustered_share
from evaluation.statistics.intervals import Interval


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """What one rule makes of every question."""

    name: str
    """The rule's, and where several probes could vote for it, the probe's."""

    rule: Rule
    voters: tuple[str, ...]
    """Keys of the probes whose answers it read."""

    items: QuestionFeatures
    counts: Sequence[Counts]
    """What was answered, an entry for each of `asks(rule)`."""

    bands: NDArray[np.str_]

    @property
    def missing(self) -> int:
        """Questions that were asked too seldom for a decision."""
        return int((self.bands == "missing").sum())

    @property
    def judged(self) -> NDArray[np.bool_]:
        """The questions about which the rule says something, if only that it cannot tell."""
        return np.isin(self.bands, JUDGED)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """The questions on which keep=strong trains."""
        return np.isin(self.bands, BANDS_KEPT["strong"])


@dataclass(frozen=True, kw_only=True)
class Unjudged:
    """A rule for which answers are lacking."""

    name: str
    reason: str
    commands: list[str]
    """What to run so that there are enough."""


@dataclass(frozen=True, kw_only=True)
class RuleRow:
    """One rule in numbers."""

    name: str
    condition: str
    how: str
    voters: tuple[str, ...]
    kept: int
    bands: Mapping[str, int]
    weak: Interval
    """Share of weak questions among those that the rule judges: the others are undefined, unstable
    or missing."""

    guesser: float
    """Share of those questions that it would call weak if a blind guesser had answered."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How alike the questions are that each two rules keep."""

    names: list[str]
    jaccard: list[list[float]]
    conditions: int
    """Conditions, and ways of withholding, among these rules."""


def judge_all(
    wanted: ContributionConfig,
    cache: Path,
    samples: Sequence[Sample],
    scores: Mapping[str, Scores],
) -> tuple[list[Judged], list[Unjudged]]:
    """Judge by every rule that the probes suffice for; say of the others what they lack.

    Args:
        wanted: its numbers are laid over the rule that it names, whose voters it may name too, or
            over every rule if it names none.
        scores: of the probes that may vote, by their keys.
    """
    judged: list[Judged] = []
    lacking: list[Unjudged] = []
    for name in get_args(RuleName):
        mine = wanted if wanted.rule in (name, "none") else ContributionConfig()
        named = wanted.probes if wanted.rule == name else []
        mine = replace(mine, rule=name, weighted=False, probes=named)
        try:
            rule = rule_of(mine)
        except ValueError as error:  # a number that other rules know and this one does not
            lacking.append(Unjudged(name=name, reason=str(error), commands=[]))
            continue
        found = judge(mine, cache, samples, scores)
        few = min((one.missing for one in found), default=0)
        enough = [one for one in found if one.missing == few and (one.judged.any() or not few)]
        judged += enough
        seldom = [asked_too_seldom(one) for one in found if one not in enough]
        lacking += [replace(one, commands=[]) if enough else one for one in seldom]
        if not found:
            lacking.append(not_asked(rule))
    return judged, lacking


def judge(
    wanted: ContributionConfig,
    cache: Path,
    samples: Sequence[Sample],
    scores: Mapping[str, Scores],
) -> list[Judged]:
    """Judge by one rule, once by each seating of its voters, or with those that are named alone."""
    rule = rule_of(wanted)
    if wanted.probes:
        seatings = [(tuple(wanted.probes), find_voters(wanted, cache, samples))]
    else:
        seatings = _seatings(rule, scores)
    digits = next(n for n in range(4, 33) if len({key[:n] for key in scores}) == len(scores))
    items = question_features(samples, rule.condition, rule.how)
    found = []
    for keys, voters in seatings:
        title = rule.name if len(seatings) == 1 else f"{rule.name}/{keys[0][:digits]}"
        counts = counts_by_voter(rule, voters)
        bands = apply_rule(rule, counts, items)
        found.append(
            Judged(name=title, rule=rule, voters=keys, items=items, counts=counts, bands=bands)
        )
    return found


def _seatings(
    rule: Rule, scores: Mapping[str, Scores]
) -> list[tuple[tuple[str, ...], list[PooledProbes]]]:
    """Seat the probes that answered what a rule asks, as training would with just these.

    A rule of one voter hears each of them by itself. Voters that differ have to be named.
    """
    wanted = queries(rule)
    seats = {ask.voter: (ask.choice, ask.open) for ask in wanted}
    suited = [key for key, one in scores.items() if satisfies(rule, one)]
    if len(seats) == 1:
        return [((key,), [[scores[key]]]) for key in suited]
    if len(suited) != len(seats) or len(set(seats.values())) > 1:
        return []
    return [(tuple(suited), [[scores[key]] for key in suited])]


def asked_too_seldom(one: Judged) -> Unjudged:
    """Say that there are answers, but too few."""
    reason = (
        f"{one.missing} questions were asked too seldom under {_kinds(one.rule)} by "
        + ", ".join(key[:8] for key in one.voters)
    )
    return Unjudged(name=one.name, reason=reason, commands=probe_command(one.rule).splitlines())


def not_asked(rule: Rule) -> Unjudged:
    """Say that nobody can vote, or that it is not plain who does."""
    voters = len({ask.voter for ask in queries(rule)})
    reason = f"no probe was asked under {_kinds(rule)}"
    if voters > 1:
        reason = (
            f"{voters} probes vote, asked under {_kinds(rule)}; name them with "
            f"data.contribution.rule={rule.name} 'data.contribution.probes=[A,B,C]', or ask first"
        )
    return Unjudged(name=rule.name, reason=reason, commands=probe_command(rule).splitlines())


def _kinds(rule: Rule) -> str:
    return " and ".join(dict.fromkeys(f"{ask.condition}/{ask.how}" for ask in queries(rule)))


def rule_row(one: Judged, cluster: Sequence[str], *, confidence: float) -> RuleRow:
    """Put what a rule makes of the questions into numbers."""
    told = one.judged
    kinds = Counter(zip(one.items.chance[told].tolist(), one.items.closed[told], strict=True))
    guessed = [guesser_share(one.rule, chance, closed=bool(closed)) for chance, closed in kinds]
    counts = Counter(one.bands.tolist())
    return RuleRow(
        name=one.name,
        condition=one.rule.condition,
        how=one.rule.how,
        voters=one.voters,
        kept=int(one.kept.sum()),
        bands={band: counts[band] for band in BANDS},
        weak=clustered_share(
            one.bands[told] == "weak", np.asarray(cluster)[told], confidence=confidence
        ),
        guesser=float(np.average(guessed, weights=list(kinds.values()))) if guessed else math.nan,
    )


def agree(judged: Sequence[Judged]) -> Agreement:
    """Compare what the rules keep, each with each; one that lacks answers keeps too little."""
    judged = [one for one in judged if one.judged.any() and not one.missing]
    return Agreement(
        names=[one.name for one in judged],
        jaccard=[[jaccard(one.kept, other.kept) for other in judged] for one in judged],
        conditions=len({(one.rule.condition, one.rule.how) for one in judged}),
    )


def check_all(
    judged: Sequence[Judged],
    samples: Sequence[Sample],
    truth: Mapping[str, Mapping[str, str]],
    *,
    confidence: float,
) -> dict[str, Check]:
    """Compare every rule with the truth, over the questions of which it is known."""
    known = np.array([sample.id in truth for sample in samples], dtype=np.bool_)
    if not known.any():
        return {}
    evidence = [truth[sample.id]["evidence"] for sample in samples if sample.id in truth]
    cluster = [sample.asset_id for sample in samples if sample.id in truth]
    return {
        one.name: check(
            one.bands[known],
            np.array([not answerable(needed, one.rule.condition) for needed in evidence]),
            cluster,
            confidence=confidence,
        )
        for one in judged
    }
