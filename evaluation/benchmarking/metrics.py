"""The numbers of a benchmark: scores that say what they rest on, and what they are compared with.

Every share is between 0 and 1 here; tables show percent.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.benchmark import parse_condition
from evaluation.benchmarking.aggregates import Scored, over_sets
from evaluation.benchmarking.datasets import BenchmarkSet
from evaluation.benchmarking.grounding import MUTED, SWAPPED, audio_score, swap_grid
from evaluation.benchmarking.scoring import Outcome
from evaluation.statistics.intervals import (
    Interval,
    Row,
    cluster_interval,
    compare,
    smallest_difference,
)

TEXT_ONLY = ("text_only", "absent")
"""The condition that is blind: with other media, or words for them, there is something to go by."""

POWER = 0.8
"""Chance of being found that `Comparison.smallest` is told for."""


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How intervals are drawn."""

    resamples: int
    confidence: float
    seed: int


@dataclass(frozen=True, kw_only=True)
class Line:
    """One checkpoint on one set, with all that its score needs to be read."""

    set: str
    checkpoint: str
    score: Interval
    """Over all questions of the set; what is missing or unparsed is wrong."""

    unparsed: float
    missing: float
    first_option: float
    longest_option: float
    text_only: float | None
    """None where that was not asked."""

    clean: Mapping[str, Interval]
    """By rule, the score on the questions that are left."""

    official: Mapping[str, float] | None
    """None where no rule of the publisher is known."""

    all_orders: float | None
    """Share of questions that were right in every order; None where there is one."""

    given_away: float | None
    """Share of descriptions that state an answer; None where answers are judged."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """One checkpoint over all sets."""

    checkpoint: str
    macro: Interval
    weighted: Interval
    clean: Mapping[str, tuple[Interval, Interval]]
    """Macro and weighted, by the rules that have a view of every set."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The model itself, alone or beside one checkpoint, on groups of questions of one set."""

    set: str
    rows: Sequence[Row]
    smallest: float | None
    """Smallest true difference on all questions that would have been found with `POWER`."""

    discordance: float | None = None
    """Mean square of the differences: of right and wrong, the share of answers that differ."""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What is left when a checkpoint is shown less, on the questions that then lack something."""

    set: str
    setting: str
    checkpoint: str
    full: Interval
    left: Interval
    difference: Interval
    """Full minus left, paired."""


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """What hearing or seeing is worth to a checkpoint."""

    set: str
    checkpoint: str
    measure: str
    value: Interval


@dataclass(frozen=True, kw_only=True)
class Report:
    """All tables of one benchmark."""

    heading: str
    lines: Sequence[Line]
    means: Sequence[Mean]
    """Empty where there is one set."""

    comparisons: Sequence[Comparison]
    ablations: Sequence[Ablation]
    groundings: Sequence[Grounding]
    notes: Sequence[str] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Write everything as JSON does it; null where there is no number."""
        told = asdict(self) | {"rows": [row for each in self.comparisons for row in _rows(each)]}
        del told["comparisons"]
        flat: dict[str, Any] = json.loads(json.dumps(told), parse_constant=lambda _: None)
        return flat


def _rows(comparison: Comparison) -> list[dict[str, object]]:
    """Write the groups of a comparison; its power is told beside the first, which is all."""
    nothing = dict.fromkeys(("smallest", "discordance"))
    return [
        {"set": comparison.set}
        | asdict(row)
        | {"questions": row.questions.strip()}
        | (nothing if number else {name: vars(comparison)[name] for name in nothing})
        for number, row in enumerate(comparison.rows)
    ]


def line(
    one: BenchmarkSet,
    checkpoint: str,
    found: Mapping[str, Outcome],
    *,
    official: Mapping[str, float] | None,
    described: bool,
    drawing: Drawing,
) -> Line:
    """Put together what is told about one checkpoint on one set.

    Args:
        found: by condition; the first is what is scored.
    """
    main = next(iter(found.values()))
    blind = next((own for name, own in found.items() if parse_condition(name) == TEXT_ONLY), None)
    return Line(
        set=one.name,
        checkpoint=checkpoint,
        score=cluster_interval(main.right, one.clusters, **vars(drawing)),
        unparsed=float(main.unparsed.mean()),
        missing=float(main.missing.mean()),
        first_option=float(main.first_option.mean()),
        longest_option=float(main.longest_option.mean()),
        text_only=None if blind is None else float(blind.right.mean()),
        clean={
            rule: cluster_interval(*_kept(one, main, rule), **vars(drawing)) for rule in one.views
        },
        official=official,
        all_orders=float(main.all_right.mean()) if one.turns != 1 else None,
        given_away=float(main.given_away.mean()) if described else None,
    )


def _kept(one: BenchmarkSet, found: Outcome, rule: str) -> tuple[NDArray[np.float64], list[str]]:
    """Take the questions of a view; malformed rows are in none."""
    kept = np.flatnonzero(one.views[rule])
    return found.right[kept], [one.clusters[n] for n in kept]


def mean_of(
    checkpoint: str, sets: Sequence[BenchmarkSet], found: Sequence[Outcome], drawing: Drawing
) -> Mean:
    """Average one checkpoint over all sets, raw and clean."""

    def both(scored: Sequence[Scored]) -> tuple[Interval, Interval]:
        return (
            over_sets(scored, weighted=False, **vars(drawing)),
            over_sets(scored, weighted=True, **vars(drawing)),
        )

    pairs = list(zip(sets, found, strict=True))
    macro, weighted = both([Scored(right=own.right, cluster=one.clusters) for one, own in pairs])
    clean = {}
    for rule in sets[0].views:
        if all(rule in one.views for one in sets):
            kept = [_kept(one, own, rule) for one, own in pairs]
            clean[rule] = both([Scored(right=right, cluster=names) for right, names in kept])
    return Mean(checkpoint=checkpoint, macro=macro, weighted=weighted, clean=clean)


def comparison(
    one: BenchmarkSet,
    found: Mapping[str, Outcome],
    groups: Mapping[str, Sequence[int]],
    drawing: Drawing,
) -> Comparison:
    """Compare two checkpoints, or show one, group by group."""
    rows = [
        compare(
            group,
            {name: own.right[list(indices)] for name, own in found.items()},
            [one.clusters[n] for n in indices],
            **vars(drawing),
        )
        for group, indices in groups.items()
    ]
    smallest = discordance = None
    if len(found) == 2:
        first, second = (own.right for own in found.values())
        smallest = smallest_difference(
            first, second, one.clusters, confidence=drawing.confidence, power=POWER
        )
        discordance = float(((second - first) ** 2).mean())
    return Comparison(set=one.name, rows=rows, smallest=smallest, discordance=discordance)


def ablations(
    one: BenchmarkSet, checkpoint: str, found: Mapping[str, Outcome], drawing: Drawing
) -> list[Ablation]:
    """Hold every condition against full, over the questions that could be shown both ways."""
    if "full" not in found:
        return []
    told = []
    for setting in found:
        if setting == "full":
            continue
        asked = one.touched(setting) & _shown(found, ("full", setting))
        full, left = found["full"].right[asked], found[setting].right[asked]
        names = [one.clusters[n] for n in np.flatnonzero(asked)]
        told.append(
            Ablation(
                set=one.name,
                setting=setting,
                checkpoint=checkpoint,
                full=cluster_interval(full, names, **vars(drawing)),
                left=cluster_interval(left, names, **vars(drawing)),
                difference=cluster_interval(full - left, names, **vars(drawing)),
            )
        )
    return told


def groundings(
    one: BenchmarkSet, checkpoint: str, found: Mapping[str, Outcome], drawing: Drawing
) -> list[Grounding]:
    """Measure what the conditions that were asked allow, over questions that have what they take.

    The swap grid takes questions with both sound and pictures, of a film or of several media.
    """
    told: dict[str, Interval] = {}
    if all(setting in found for setting in MUTED):
        asked = one.touched(MUTED[-1]) & _shown(found, MUTED)
        full, silent, mismatched = (found[setting].right[asked] for setting in MUTED)
        names = [one.clusters[n] for n in np.flatnonzero(asked)]
        told["audio score S"] = audio_score(full, silent, mismatched, names, **vars(drawing))
    if all(setting in found for setting in SWAPPED):
        asked = one.touched(SWAPPED[1]) & one.touched(SWAPPED[2]) & _shown(found, SWAPPED)
        names = [one.clusters[n] for n in np.flatnonzero(asked)]
        grid = swap_grid(
            [found[setting].right[asked] for setting in SWAPPED], names, **vars(drawing)
        )
        told["sound's effect E_A"] = grid.audio
        told["pictures' effect E_V"] = grid.visual
        told["interaction"] = grid.interaction
        told["shortcut index"] = grid.shortcut
    return [
        Grounding(set=one.name, checkpoint=checkpoint, measure=name, value=value)
        for name, value in told.items()
    ]


def _shown(found: Mapping[str, Outcome], settings: Sequence[str]) -> NDArray[np.bool_]:
    """Mark the questions that could be shown in all of some conditions: where one could not, an
    answer that is wrong for that reason says nothing of what was withheld."""
    shown: NDArray[np.bool_] = np.all([found[name].missing == 0 for name in settings], axis=0)
    return shown
