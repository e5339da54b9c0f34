"""Compare ways of training, each run with several seeds: one table, and the same as rows.

A difference between two arms of training has two sources of chance: which questions were asked,
and how the runs happened to go. Resampling questions alone takes the runs for given, and makes
every interval too narrow.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluation.benchmarking.results import Left, read_left
from evaluation.statistics.intervals import DRAWS_AT_ONCE

ALL, NEEDS_MEDIA = "all questions", "need the media"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much better the baseline did than an arm, over the seeds that both were run with."""

    mean: float
    low: float
    """NaN, like high, where there are fewer than two clusters of questions."""

    high: float
    by_seed: Sequence[float]


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """One way of training."""

    arm: str
    seeds: int
    accuracy: Mapping[str, float]
    """Mean over seeds, by group of questions."""

    steps: float
    """Optimizer steps behind the weights, from those that the chain began with; mean over seeds."""

    tokens: float
    """Tokens that they learned from; NaN where a run did not count them."""

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
        """Everything as numbers; null where there is none."""
        numbers = json.loads(json.dumps(asdict(self)), parse_constant=lambda _: None)
        return json.dumps(numbers, indent=2)

    @property
    def text(self) -> str:
        """One table, in percent, and what its intervals are."""
        groups = list(self.questions)
        head = ["arm", "seeds", *groups, "steps", "tokens"]
        head += [f"{self.baseline} - arm: {group}" for group in groups] + ["by seed"]
        cells = [head, *(_cells(row, groups) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
            for line in cells
        ]
        seeds = self.rows[0].seeds
        note = (
            f"{self.questions[ALL]} questions about {self.clusters} assets, seeds: {seeds}; "
            f"accuracy in percent, mean over seeds. {self.confidence:.0%} intervals by "
            f"{self.resamples} resamples of assets and seeds, crossed; by seed: signs of the "
            f"difference, {groups[-1]}."
        )
        if seeds == 1:
            note += " Of one seed, intervals hold the chance of the questions only."
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], note])


def compare_arms(
    arms: Mapping[str, Sequence[Path]],
    baseline: str,
    *,
    name: str | None = None,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Read what stage=benchmark left behind, and hold every arm against one of them.

    Args:
        arms: by name, one benchmark for each seed, in the same order of seeds: its run directory,
            for the checkpoint scored last, or the file of another checkpoint in it.
        baseline: the arm that the others are compared with.
        name: the set that is compared; may be left out where the benchmarks have one.
    """
    _check_seeds(arms, baseline)
    read = {arm: [read_left(path, name) for path in paths] for arm, paths in arms.items()}
    first = read[baseline][0]
    for arm, runs in read.items():
        for path, run in zip(arms[arm], runs, strict=True):
            _check_same_questions(first, run, arms[baseline][0], path)
    groups = {ALL: np.ones(len(first.right), dtype=np.bool_)}
    if first.needs_media is not None and first.needs_media.any():
        groups[NEEDS_MEDIA] = first.needs_media
    right = {arm: np.stack([run.right for run in runs]) for arm, runs in read.items()}  # (S, Q)

    def difference(arm: str, asked: NDArray[np.bool_]) -> Difference:
        return crossed_difference(
            (right[baseline] - right[arm])[:, asked],
            [name for name, one in zip(first.clusters, asked, strict=True) if one],
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        )

    rows = [
        ArmRow(
            arm=arm,
            seeds=len(runs),
            accuracy={group: float(right[arm][:, asked].mean()) for group, asked in groups.items()},
            steps=fmean(run.steps for run in runs),
            tokens=fmean(run.tokens for run in runs),
            difference={}
            if arm == baseline
            else {group: difference(arm, asked) for group, asked in groups.items()},
        )
        for arm, runs in read.items()
    ]
    return Comparison(
        baseline=baseline,
        questions={group: int(asked.sum()) for group, asked in groups.items()},
        clusters=len(set(first.clusters)),
        confidence=confidence,
        resamples=resamples,
        rows=rows,
    )


def crossed_difference(
    values: ArrayLike, cluster: Sequence[str], *, resamples: int, confidence: float, seed: int
) -> Difference:
    """Estimate a mean over questions and seeds, and where it falls when both are drawn anew.

    Crossed bootstrap (Owen, 2007): every resample draws as many seeds and as many clusters as
    there are, with replacement, and averages over all cells where a drawn seed meets a question of
    a drawn cluster:

        mean = Σ_s Σ_c w_s v_c t_sc / (S Σ_c v_c n_c)

    with w and v how often each was drawn, t_sc the sum over questions of a cluster and n_c their
    number. It counts the variance that seeds and questions share twice, so it rather errs to the
    wide side; but of few seeds a bootstrap knows little, which is why each one's sign is shown.

    Shapes: values (S, Q)
    """
    table = np.asarray(values, dtype=np.float64)
    names, member = np.unique(np.asarray(cluster, dtype=np.str_), return_inverse=True)
    by_seed = tuple(float(mean) for mean in table.mean(axis=1))
    mean = float(table.mean())
    if len(names) < 2:
        return Difference(mean=mean, low=math.nan, high=math.nan, by_seed=by_seed)
    total = np.stack([np.bincount(member, row, len(names)) for row in table])  # (S, C)
    size = np.bincount(member)  # (C,)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, DRAWS_AT_ONCE // len(names))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        seeds = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), size=rows)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=rows)
        sums = ((seeds @ total) * drawn).sum(axis=1)  # (rows,)
        means[start : start + rows] = sums / (len(table) * (drawn @ size))
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Difference(mean=mean, low=float(low), high=float(high), by_seed=by_seed)


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


def _check_same_questions(first: Left, other: Left, here: Path, there: Path) -> None:
    """Refuse to pair answers to different questions, or to the same put differently."""
    if first.put != other.put:
        raise ValueError(
            f"{there} was benchmarked on {other.put} and {here} on {first.put}, but a difference "
            "is one of checkpoints only if all else is alike: give both benchmarks the same "
            "benchmark.sets, the same first condition, and the same benchmark.grade_by."
        )
    if list(first.hashes.items()) != list(other.hashes.items()):
        pairs = {*first.hashes.items()} ^ {*other.hashes.items()}
        raise ValueError(
            f"{there} answers {len(other.hashes)} questions and {here} {len(first.hashes)}, but "
            f"{len(pairs)} of them are not the same, and a difference is paired question by "
            "question: run both benchmarks on the same set with the same benchmark.limit."
        )


def _cells(row: ArmRow, groups: Sequence[str]) -> list[str]:
    """Lay out one row of the table."""
    cells = [row.arm, str(row.seeds), *(f"{100 * row.accuracy[group]:.1f}" for group in groups)]
    cells += [f"{row.steps:.0f}", "-" if math.isnan(row.tokens) else f"{row.tokens:,.0f}"]
    if not row.difference:
        return cells + ["-"] * (len(groups) + 1)
    for group in groups:
        told = row.difference[group]
        interval = "-" if math.isnan(told.low) else f"{100 * told.low:+.1f}, {100 * told.high:+.1f}"
        cells.append(f"{100 * told.mean:+.1f} [{interval}]")
    signs = (np.sign(value) for value in row.difference[groups[-1]].by_seed)
    return [*cells, "".join("0+-"[int(sign)] for sign in signs)]
