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
from evaluation.statistics.intervals import Interval, crossed_interval, without_nan
from evaluation.statistics.tables import layout, percent

ALL, NEEDS_MEDIA = "all questions", "need the media"


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """One arm of training."""

    arm: str
    seeds: int
    accuracy: Mapping[str, float]
    """Mean over seeds, by group of questions."""

    steps: float
    """Optimizer steps of the whole chain behind the weights; mean over seeds."""

    tokens: float
    """Tokens trained on; NaN where a run did not count them."""

    difference: Mapping[str, Interval]
    """Accuracy of the baseline minus that of this arm, paired by seed and question; empty for the
    baseline itself."""

    by_seed: Mapping[str, Sequence[float]]
    """The same difference of each seed."""


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
        head += [f"{self.baseline} - arm: {group}" for group in groups] + ["by seed"]
        lines = layout(head, [_cells(row, groups) for row in self.rows])
        seeds = self.rows[0].seeds
        note = (
            f"{self.questions[ALL]} questions about {self.clusters} assets, seeds: {seeds}; "
            f"accuracy in percent, mean over seeds. {self.confidence:.0%} intervals "
            "for the chance of assets and of seeds; by seed: signs of the difference, "
            f"{groups[-1]}."
        )
        if seeds == 1:
            note += " Of one seed, intervals hold the chance of the questions only."
        elif seeds == 2:
            note += " Two seeds cannot tell how much chance there is in seeds."
        differences = [each for row in self.rows for each in row.difference.values()]
        caveats = dict.fromkeys(each.caveat for each in differences if each.caveat)
        note += "".join(f" {caveat.capitalize()}." for caveat in caveats)
        return "\n".join([*lines, note])


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

    ahead = {
        arm: {name: (right[baseline] - own)[:, group] for name, group in groups.items()}
        for arm, own in right.items()
        if arm != baseline
    }  # (S, Q) each
    rows = [
        ArmRow(
            arm=arm,
            seeds=len(runs),
            accuracy={name: float(right[arm][:, group].mean()) for name, group in groups.items()},
            steps=fmean(run.steps for run in runs),
            tokens=fmean(run.tokens for run in runs),
            difference={
                name: crossed_interval(own, first.clusters[groups[name]], confidence=confidence)
                for name, own in ahead.get(arm, {}).items()
            },
            by_seed={name: own.mean(axis=1).tolist() for name, own in ahead.get(arm, {}).items()},
        )
        for arm, runs in results.items()
    ]
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
    cells = [row.arm, str(row.seeds), *(f"{100 * row.accuracy[group]:.1f}" for group in groups)]
    cells += [f"{row.steps:.0f}", "-" if math.isnan(row.tokens) else f"{row.tokens:,.0f}"]
    if not row.difference:
        return cells + ["-"] * (len(groups) + 1)
    cells += [percent(row.difference[group], sign="+") for group in groups]
    signs = (np.sign(value) for value in row.by_seed[groups[-1]])
    return [*cells, "".join("0+-"[int(sign)] for sign in signs)]
