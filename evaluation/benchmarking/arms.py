"""Compare arms of training, each run with several seeds.

A difference between two arms has two sources of chance: the questions and the seeds. An interval
for questions alone takes the runs as given, and is too narrow.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np

from evaluation.benchmarking.results import BenchmarkResult, load_result
from evaluation.statistics.intervals import (
    DIFFERENCE,
    SHARE,
    Interval,
    crossed_interval,
    without_nan,
)
from evaluation.statistics.significance import p_value
from evaluation.statistics.tables import layout, p_text, percent

ALL, NEEDS_MEDIA = "all questions", "need the media"


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """One arm of training."""

    arm: str
    seeds: int
    """Runs of it; 1 also where weights that no seed has made stand beside several seeds."""

    accuracy: Mapping[str, Interval]
    """By group of questions."""

    accuracy_by_seed: Mapping[str, Sequence[float]]

    steps: float
    """Optimizer steps of the whole chain behind the weights; mean over seeds."""

    tokens: float
    """Tokens trained on; NaN where a run did not count them."""

    difference: Mapping[str, Interval]
    """This arm minus the baseline, paired by seed and question; empty for the baseline itself."""

    by_seed: Mapping[str, Sequence[float]]
    """The same difference of each seed."""

    p: Mapping[str, float]
    """Of that difference, see `p_value`; NaN where there is none."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All arms on the same questions."""

    baseline: str
    questions: Mapping[str, int]
    """By group."""

    clusters: int
    confidence: float
    rows: Sequence[ArmRow]

    @property
    def json(self) -> str:
        """All numbers as JSON, with null for NaN."""
        return json.dumps(without_nan(asdict(self)), indent=2)

    @property
    def text(self) -> str:
        """The table, in percent, with a note on its intervals."""
        groups = list(self.questions)
        head = ["arm", "seeds", *groups, "steps", "tokens"]
        for group in groups:
            head += [f"minus {self.baseline}: {group}", "p"]
        lines = layout([*head, "by seed"], [_cells(row, groups) for row in self.rows])
        seeds = max(row.seeds for row in self.rows)
        notes = [
            f"{self.questions[ALL]} questions about {self.clusters} assets, seeds: {seeds}; "
            "accuracy in percent, mean over seeds.",
            f"{self.confidence:.0%} intervals for the chance of assets and of seeds.",
            "p: the smallest alpha whose interval leaves zero out.",
            f"By seed: signs of the difference, {groups[-1]}.",
        ]
        if seeds == 1:
            notes.append("Of one seed, intervals hold the chance of the questions only.")
        elif seeds == 2:
            notes.append("Two seeds cannot tell how much chance there is in seeds.")
        both = [each for row in self.rows for each in (row.accuracy, row.difference)]
        found = [value.caveat for each in both for value in each.values() if value.caveat]
        notes += dict.fromkeys(f"{caveat.capitalize()}." for caveat in found)
        return "\n".join([*lines, *notes])


def compare_arms(
    arms: Mapping[str, Sequence[Path]],
    baseline: str,
    *,
    dataset: str | None = None,
    confidence: float = 0.95,
) -> Comparison:
    """Load the results of stage=benchmark, and compare every arm with one of them.

    Args:
        arms: by name, one benchmark for each seed, in the same order of seeds: its run directory,
            for the checkpoint scored last, or the file of another checkpoint in it.
        baseline: the arm that the others are compared with.
        dataset: the set to compare; may be left out where the benchmarks have one.
    """
    _check_seeds(arms, baseline)
    results = {arm: [load_result(path, dataset) for path in paths] for arm, paths in arms.items()}
    first = results[baseline][0]
    for arm, runs in results.items():
        for path, run in zip(arms[arm], runs, strict=True):
            _check_same_questions(first, run, arms[baseline][0], path)
    groups = {ALL: np.ones(len(first.right), dtype=np.bool_)}
    if first.needs_media is not None and first.needs_media.any():
        groups[NEEDS_MEDIA] = first.needs_media
    right = {arm: np.stack([run.right for run in runs]) for arm, runs in results.items()}  # (S, Q)

    def row(arm: str, runs: Sequence[BenchmarkResult]) -> ArmRow:
        own = {name: right[arm][:, group] for name, group in groups.items()}
        gain = {name: own[name] - right[baseline][:, group] for name, group in groups.items()}
        gain = {} if arm == baseline else gain
        clusters = {name: first.clusters[group] for name, group in groups.items()}
        return ArmRow(
            arm=arm,
            seeds=len({*arms[arm]}),
            accuracy={
                n: crossed_interval(own[n], clusters[n], confidence=confidence, reach=SHARE)
                for n in own
            },
            accuracy_by_seed={n: own[n].mean(axis=1).tolist() for n in own},
            steps=fmean(run.steps for run in runs),
            tokens=fmean(run.tokens for run in runs),
            difference={
                n: crossed_interval(gain[n], clusters[n], confidence=confidence, reach=DIFFERENCE)
                for n in gain
            },
            by_seed={n: gain[n].mean(axis=1).tolist() for n in gain},
            p={n: p_value(gain[n], clusters[n]) for n in gain},
        )

    rows = [row(arm, runs) for arm, runs in results.items()]
    return Comparison(
        baseline=baseline,
        questions={name: int(group.sum()) for name, group in groups.items()},
        clusters=len(set(first.clusters)),
        confidence=confidence,
        rows=rows,
    )


def _check_seeds(arms: Mapping[str, Sequence[Path]], baseline: str) -> None:
    """Refuse arms that cannot be paired."""
    if baseline not in arms:
        raise ValueError(
            f"the baseline is {baseline!r}, but the arms are {', '.join(arms) or 'none'}: name one "
            "of them."
        )
    counts = {arm: len(paths) for arm, paths in arms.items()}
    if len(set(counts.values())) > 1 or not counts[baseline]:
        raise ValueError(
            f"the arms were run with {counts} seeds, but differences are paired seed by seed: give "
            "every arm the same seeds, and at least one."
        )


def _check_same_questions(
    first: BenchmarkResult, other: BenchmarkResult, here: Path, there: Path
) -> None:
    """Refuse to pair answers to different questions, or under different settings."""
    if first.setup != other.setup:
        raise ValueError(
            f"{there} was benchmarked on {other.setup} and {here} on {first.setup}, but a "
            "difference is one of checkpoints only if all else is alike: give both benchmarks the "
            "same benchmark.sets, the same first condition, and the same benchmark.grade_by."
        )
    if list(first.hashes.items()) != list(other.hashes.items()):
        pairs = {*first.hashes.items()} ^ {*other.hashes.items()}
        raise ValueError(
            f"{there} answers {len(other.hashes)} questions and {here} {len(first.hashes)}, but "
            f"{len(pairs)} of them are not the same, and a difference is paired question by "
            "question: run both benchmarks on the same set with the same benchmark.limit."
        )


def _cells(row: ArmRow, groups: Sequence[str]) -> list[str]:
    """Write one row of the table."""
    cells = [row.arm, str(row.seeds), *(percent(row.accuracy[group]) for group in groups)]
    cells += [f"{row.steps:.0f}", "-" if math.isnan(row.tokens) else f"{row.tokens:,.0f}"]
    if not row.difference:
        return cells + ["-"] * (2 * len(groups) + 1)
    for group in groups:
        cells += [percent(row.difference[group], sign="+"), p_text(row.p[group])]
    signs = (np.sign(value) for value in row.by_seed[groups[-1]])
    return [*cells, "".join("0+-"[int(sign)] for sign in signs)]
