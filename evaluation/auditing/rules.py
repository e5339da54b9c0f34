"""Apply every rule for which the cache holds answers, and compare the results."""

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
from datamodules.contribution.presets import Rule, probe_command, queries, rule_of
from datamodules.contribution.probe_matching import (
    PooledProbes,
    counts_by_voter,
    find_voters,
    satisfies,
)
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.selection import BANDS_KEPT
from datamodules.sample import Sample
from datamodules.truth import answerable
from evaluation.auditing.truth import APPLICABLE, Check, check
from evaluation.statistics.intervals import Interval, mean_interval


@dataclass(frozen=True, kw_only=True, eq=False)
class RuleResult:
    """The band of every question by one rule."""

    name: str
    """The rule's, with the probe's where several could vote."""

    rule: Rule
    voters: tuple[str, ...]
    """Keys of the probes that voted."""

    items: QuestionFeatures
    counts: Sequence[Counts]
    """What was answered, an entry for each of `asks(rule)`."""

    bands: NDArray[np.str_]

    @property
    def missing(self) -> int:
        """Questions with too few answers for a decision."""
        return int((self.bands == "missing").sum())

    @property
    def applies(self) -> NDArray[np.bool_]:
        """The questions that the rule applies to, even if it leaves them undetermined."""
        return np.isin(self.bands, APPLICABLE)

    @property
    def kept(self) -> NDArray[np.bool_]:
        """The questions on which keep=strong trains."""
        return np.isin(self.bands, BANDS_KEPT["strong"])


@dataclass(frozen=True, kw_only=True)
class UnansweredRule:
    """A rule that lacks answers."""

    name: str
    reason: str
    commands: list[str]
    """What to run to get them."""


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
    """Share of weak questions among those that the rule applies to: the others are undefined,
    unstable or missing."""

    guesser: float
    """Share of those questions that it would call weak if a blind guesser had answered."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement of each two rules on which questions to keep."""

    names: list[str]
    jaccard: list[list[float]]
    conditions: int
    """Conditions, and ways of withholding, among these rules."""


def all_rule_results(
    wanted: ContributionConfig, cache: Path, samples: Sequence[Sample], scores: Mapping[str, Scores]
) -> tuple[list[RuleResult], list[UnansweredRule]]:
    """Apply every rule for which there are answers; say what the others lack.

    Args:
        wanted: its numbers override those of the rule that it names, or of every rule if it names
            none; it may also name the voters of its rule.
        scores: of the probes that may vote, by their keys.
    """
    results: list[RuleResult] = []
    lacking: list[UnansweredRule] = []
    for name in get_args(RuleName):
        config = wanted if wanted.rule in (name, "none") else ContributionConfig()
        named = wanted.probes if wanted.rule == name else []
        config = replace(config, rule=name, weighted=False, probes=named)
        try:
            rule = rule_of(config)
        except ValueError as error:  # a number that other rules have and this one does not
            lacking.append(UnansweredRule(name=name, reason=str(error), commands=[]))
            continue
        own = rule_results(config, cache, samples, scores)
        fewest = min((result.missing for result in own), default=0)
        best = [r for r in own if r.missing == fewest and (r.applies.any() or not fewest)]
        results += best
        others = [too_few_answers(result) for result in own if result not in best]
        lacking += [replace(other, commands=[]) if best else other for other in others]
        if not own:
            lacking.append(no_answers(rule))
    return results, lacking


def rule_results(
    wanted: ContributionConfig, cache: Path, samples: Sequence[Sample], scores: Mapping[str, Scores]
) -> list[RuleResult]:
    """Apply one rule, once for each choice of its voters, or with those that are named alone."""
    rule = rule_of(wanted)
    if wanted.probes:
        choices = [(tuple(wanted.probes), find_voters(wanted, cache, samples))]
    else:
        choices = _voter_choices(rule, scores)
    digits = next(n for n in range(4, 33) if len({key[:n] for key in scores}) == len(scores))
    items = question_features(samples, rule.condition, rule.how)
    results = []
    for keys, voters in choices:
        title = rule.name if len(choices) == 1 else f"{rule.name}/{keys[0][:digits]}"
        counts = counts_by_voter(rule, voters)
        bands = apply_rule(rule, counts, items)
        results.append(
            RuleResult(name=title, rule=rule, voters=keys, items=items, counts=counts, bands=bands)
        )
    return results


def _voter_choices(
    rule: Rule, scores: Mapping[str, Scores]
) -> list[tuple[tuple[str, ...], list[PooledProbes]]]:
    """List the choices of voters among the probes that satisfy a rule, as training makes them.

    For a rule of one voter each probe is a choice. Voters that differ have to be named.
    """
    votes = {query.voter: (query.choice, query.open) for query in queries(rule)}
    suited = [key for key, own in scores.items() if satisfies(rule, own)]
    if len(votes) == 1:
        return [((key,), [[scores[key]]]) for key in suited]
    if len(suited) != len(votes) or len(set(votes.values())) > 1:
        return []
    return [(tuple(suited), [[scores[key]] for key in suited])]


def too_few_answers(result: RuleResult) -> UnansweredRule:
    """Say that there are answers, but too few."""
    reason = (
        f"{result.missing} questions were asked too seldom under {_conditions(result.rule)} by "
        + ", ".join(key[:8] for key in result.voters)
    )
    commands = probe_command(result.rule).splitlines()
    return UnansweredRule(name=result.name, reason=reason, commands=commands)


def no_answers(rule: Rule) -> UnansweredRule:
    """Say that no probe can vote, or that the voters are ambiguous."""
    voters = len({query.voter for query in queries(rule)})
    reason = f"no probe was asked under {_conditions(rule)}"
    if voters > 1:
        reason = (
            f"{voters} probes vote, asked under {_conditions(rule)}; name them with "
            f"data.contribution.rule={rule.name} 'data.contribution.probes=[A,B,C]', or ask first"
        )
    return UnansweredRule(name=rule.name, reason=reason, commands=probe_command(rule).splitlines())


def _conditions(rule: Rule) -> str:
    return " and ".join(dict.fromkeys(f"{q.condition}/{q.how}" for q in queries(rule)))


def rule_row(result: RuleResult, cluster: Sequence[str], *, confidence: float) -> RuleRow:
    """Summarize the result of a rule in numbers."""
    rule, applies, items = result.rule, result.applies, result.items
    kinds = Counter(zip(items.chance[applies].tolist(), items.closed[applies], strict=True))
    guessed = [guesser_share(rule, chance, closed=bool(closed)) for chance, closed in kinds]
    counts = Counter(result.bands.tolist())
    return RuleRow(
        name=result.name,
        condition=rule.condition,
        how=rule.how,
        voters=result.voters,
        kept=int(result.kept.sum()),
        bands={band: counts[band] for band in BANDS},
        weak=mean_interval(
            result.bands[applies] == "weak", np.asarray(cluster)[applies], confidence=confidence
        ),
        guesser=float(np.average(guessed, weights=list(kinds.values()))) if guessed else math.nan,
    )


def agree(results: Sequence[RuleResult]) -> Agreement:
    """Compare the kept questions of all pairs of rules that lack no answers."""
    results = [result for result in results if result.applies.any() and not result.missing]
    return Agreement(
        names=[result.name for result in results],
        jaccard=[[jaccard(a.kept, b.kept) for b in results] for a in results],
        conditions=len({(result.rule.condition, result.rule.how) for result in results}),
    )


def check_all(
    results: Sequence[RuleResult],
    samples: Sequence[Sample],
    truth: Mapping[str, Mapping[str, str]],
    *,
    confidence: float,
) -> dict[str, Check]:
    """Check every rule against the truth, over the questions for which it is known."""
    known = np.array([sample.id in truth for sample in samples], dtype=np.bool_)
    if not known.any():
        return {}
    evidence = [truth[sample.id]["evidence"] for sample in samples if sample.id in truth]
    cluster = [sample.asset_id for sample in samples if sample.id in truth]
    return {
        result.name: check(
            result.bands[known],
            np.array([not answerable(needed, result.rule.condition) for needed in evidence]),
            cluster,
            confidence=confidence,
        )
        for result in results
    }
