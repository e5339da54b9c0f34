"""Compare arms of training, each run with several seeds.

A difference between two arms has two sources of chance: the questions and the seeds. Resampling
questions alone takes the runs as given, and makes every interval too narrow.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.benchmarking.results import BenchmarkResult, load_result
from evaluation.statistics.bootstrap import Bootstrap, Clusters, crossed_means, quantile_interval
from evaluation.statistics.intervals import without_nan
from evaluation.statistics.tables import layout

ALL, NEEDS_MEDIA = "all questions", "need the media"

USUAL = Bootstrap(resamples=2000, confidence=0.95, seed=0)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Accuracy of the baseline minus that of an arm, paired by seed and question."""

    mean: float
    low: float
    """NaN, like high, where there are fewer than two clusters of questions."""

    high: float
    by_seed: Sequence[float]


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

    difference: Mapping[str, Difference]
    """Baseline minus this arm; empty for the baseline itself."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All arms on the same questions."""

    baseline: str
    questions: Mapping[str, int]
    """By group."""

    clusters: int
    confidence: float
    resamples: int
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
            f"accuracy in percent, mean over seeds. {self.confidence:.0%} intervals by "
            f"{self.resamples} resamples of assets and seeds, crossed; by seed: signs of the "
            f"difference, {groups[-1]}."
        )
        if seeds == 1:
            note += " Of one seed, intervals hold the chance of the questions only."
        return "\n".join([*lines, note])


def compare_arms(
    arms: Mapping[str, Sequence[Path]],
    baseline: str,
    *,
    dataset: str | None = None,
    bootstrap: Bootstrap = USUAL,
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

    def difference(arm: str, group: NDArray[np.bool_]) -> Difference:
        return crossed_difference(
            (right[baseline] - right[arm])[:, group], first.clusters[group], bootstrap
        )

    rows = [
        ArmRow(
            arm=arm,
            seeds=len(runs),
            accuracy={name: float(right[arm][:, group].mean()) for name, group in groups.items()},
            steps=fmean(run.steps for run in runs),
            tokens=fmean(run.tokens for run in runs),
            difference={}
            if arm == baseline
            else {name: difference(arm, group) for name, group in groups.items()},
        )
        for arm, runs in results.items()
    ]
    return Comparison(
        baseline=baseline,
        questions={name: int(group.sum()) for name, group in groups.items()},
        clusters=len(set(first.clusters)),
        confidence=bootstrap.confidence,
        resamples=bootstrap.resamples,
        rows=rows,
    )


def crossed_difference(values: ArrayLike, cluster: Clusters, bootstrap: Bootstrap) -> Difference:
    """Estimate a mean over questions and seeds with an interval over both, see `crossed_means`.

    Of few seeds a bootstrap knows little, which is why the sign of each is shown.

    Shapes: values (S, Q)
    """
    table = np.asarray(values, dtype=np.float64)
    means = crossed_means(table, cluster, bootstrap)
    low, high = quantile_interval(means, bootstrap.confidence)
    by_seed = tuple(float(mean) for mean in table.mean(axis=1))
    return Difference(mean=float(table.mean()), low=low, high=high, by_seed=by_seed)


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
    for group in groups:
        value = row.difference[group]
        bounds = f"{100 * value.low:+.1f}, {100 * value.high:+.1f}"
        cells.append(f"{100 * value.mean:+.1f} [{'-' if math.isnan(value.low) else bounds}]")
    signs = (np.sign(value) for value in row.difference[groups[-1]].by_seed)
    return [*cells, "".join("0+-"[int(sign)] for sign in signs)]
