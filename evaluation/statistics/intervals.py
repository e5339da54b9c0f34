"""Compare models on the same questions, with the uncertainty that the questions leave.

Questions about one recording rise and fall together, so intervals resample recordings, not
questions; taking them for independent makes every interval too narrow. Differences are paired:
both models answered the same questions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS_AT_ONCE = 2_000_000
"""Cluster indices held in memory while resampling."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over questions and the range that resampling its clusters gives."""

    mean: float
    """NaN where there is no question."""

    low: float
    """NaN, like high, where there are fewer than two clusters."""

    high: float
    n: int
    clusters: int

    @property
    def caveat(self) -> str:
        """Why there is no interval, or `""`."""
        if self.n == 0:
            return "no questions"
        return "" if self.clusters > 1 else f"all {self.n} questions share one cluster"


@dataclass(frozen=True, kw_only=True)
class Row:
    """Models side by side on one group of questions."""

    questions: str
    scores: Mapping[str, Interval]
    """Accuracy by the name of the model, the same names in every row of a table."""

    difference: Interval | None
    """Of exactly two models, the second's accuracy minus the first's; else None."""

    p: float | None
    """McNemar's exact p of that difference; None also where results are not just right or wrong."""


def compare(
    questions: str,
    correct: Mapping[str, ArrayLike],
    cluster: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Row:
    """Make the row of one group of questions, from what each model got right.

    Args:
        correct: by the name of the model, one entry for each question, all in one order.
        cluster: what each question is about, such as its sample's `asset_id`.
    """
    scores = {
        name: cluster_interval(
            right, cluster, resamples=resamples, confidence=confidence, seed=seed
        )
        for name, right in correct.items()
    }
    if len(correct) != 2:
        return Row(questions=questions, scores=scores, difference=None, p=None)
    first, second = correct.values()
    difference = paired_difference(
        first, second, cluster, resamples=resamples, confidence=confidence, seed=seed
    )
    whole = np.isin([*_pair(first, second)], (0, 1)).all()
    p = mcnemar(first, second) if whole else None
    return Row(questions=questions, scores=scores, difference=difference, p=p)


def cluster_interval(
    correct: ArrayLike,
    cluster: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Estimate a mean, and between which values it falls when its clusters are drawn anew.

    Percentile bootstrap: draw as many clusters as there are, with replacement, and average over all
    their questions.

    Args:
        correct: a number for each question; right or wrong, partial credit, or a difference.
        confidence: the share of resampled means inside the interval, such as 0.95.
    """
    values = _vector(correct)
    mean = float(values.mean()) if len(values) else math.nan
    clusters = len({*cluster})
    draws = resampled_means([values], cluster, resamples=resamples, seed=seed)
    low, high = spread(draws[:, 0], confidence)
    return Interval(mean=mean, low=low, high=high, n=len(values), clusters=clusters)


def resampled_means(
    columns: Sequence[ArrayLike], cluster: Sequence[str], *, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Draw clusters anew, each time as many as there are, and average each column over them.

    All columns see the same draws, so that what is computed from several of them is paired. With
    fewer than two clusters nothing can be drawn, and there are no rows.

    Shapes: K columns of (Q,) -> (resamples, K)
    """
    values = [_vector(column) for column in columns]
    if any(len(column) != len(cluster) for column in values):
        raise ValueError(
            f"There are {len(values[0])} results and {len(cluster)} clusters, but each question "
            "has one of both: list them in the same order."
        )
    if resamples < 1:
        raise ValueError(
            f"resamples is {resamples}, but an interval needs at least one: try 10000."
        )
    names, member = np.unique(np.asarray(cluster, dtype=np.str_), return_inverse=True)
    if len(names) < 2:
        return np.empty((0, len(values)))
    totals = [np.bincount(member, column) for column in values]  # of each cluster
    size = np.bincount(member)
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, len(values)))
    step = max(1, DRAWS_AT_ONCE // len(names))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(len(names), size=(rows, len(names)))
        count = size[drawn].sum(axis=1)
        for column, total in enumerate(totals):
            means[start : start + rows, column] = total[drawn].sum(axis=1) / count
    return means


def spread(draws: NDArray[np.float64], confidence: float) -> tuple[float, float]:
    """Return the bounds that hold the middle share of some draws; NaN where there are none."""
    if not 0 < confidence < 1:
        raise ValueError(
            f"confidence is {confidence}, but an interval needs one between 0 and 1: try 0.95."
        )
    if not len(draws):
        return math.nan, math.nan
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    cluster: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Estimate how much better the second model did on the very questions the first one saw."""
    a, b = _pair(first, second)
    return cluster_interval(b - a, cluster, resamples=resamples, confidence=confidence, seed=seed)


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Return how often a fair coin would split the disagreements at least this unevenly.

    Exact and two-sided, over the questions that exactly one of the two models got right:

        p = min(1, 2 Σ_{k <= min(b, c)} C(b + c, k) / 2^(b + c))

    It takes questions for independent; where clusters are large, trust the interval of the
    difference instead.
    """
    a, b = _pair(first, second)
    if not np.isin([a, b], (0, 1)).all():
        raise ValueError(
            "McNemar's test counts right and wrong answers, but some results are neither 0 nor 1: "
            "leave partial credit to paired_difference."
        )
    lost, won = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    term = tail = 1  # whole numbers throughout, so that nothing underflows
    for k in range(min(lost, won)):
        term = term * (lost + won - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << (lost + won)))


def smallest_difference(
    first: ArrayLike, second: ArrayLike, cluster: Sequence[str], *, confidence: float, power: float
) -> float:
    """Return the smallest true difference that such a comparison would find with a given power.

        delta = sqrt(psi) * (a sqrt(m) + b sqrt(m - a^2 + b^2)) / (m + b^2)
        m     = n / deff,  psi = mean of d^2,  a = z_{1 - (1 - confidence)/2},  b = z_power
        deff  = [C/(C - 1) * Σ_c (Σ_{i in c} (d_i - mean d))^2] / [n/(n - 1) * Σ_i (d_i - mean d)^2]

    d is the difference of each of n questions in C clusters. The first line solves for delta how
    many pairs McNemar's test needs, n = ((a sqrt(psi) + b sqrt(psi - delta^2)) / delta)^2 (Connor
    1987); psi, the share of questions on which the models differ, stays as it was found. Where that
    is too few, all that differ are taken to differ one way, psi = delta, and of m pairs enough must
    do so for the exact test. The design effect is Kish's (1965), and never below 1. NaN where the
    models never differ or there are fewer than two clusters: nothing is known then; infinity where
    m pairs are too few even if all differ.
    """
    d = np.subtract(*_pair(first, second))
    names, member = np.unique(np.asarray(cluster, dtype=np.str_), return_inverse=True)
    n, clusters, psi = len(d), len(names), float((d**2).mean()) if len(d) else 0.0
    if not psi or clusters < 2:
        return math.nan
    excess = d - d.mean()
    alone = n / (n - 1) * float(excess @ excess)
    together = clusters / (clusters - 1) * float((np.bincount(member, excess) ** 2).sum())
    m = n / max(1.0, together / alone if alone else 1.0)
    a, b = NormalDist().inv_cdf((1 + confidence) / 2), NormalDist().inv_cdf(power)
    root = math.sqrt(max(0.0, m - a**2 + b**2))  # 0 where too few to count on the first line
    delta = math.sqrt(psi) * (a * math.sqrt(m) + b * root) / (m + b**2)
    return delta if root and delta <= psi else max(psi, _one_way(int(m + 1e-6), confidence, power))


def _one_way(m: int, confidence: float, power: float) -> float:
    """Solve P(at least k of m pairs differ) = power for their share; k in a row are significant."""
    k = math.ceil(math.log2(2 / (1 - confidence)))
    low, high = 0.0, 1.0
    while high - low > 1e-9:
        p = (low + high) / 2
        few = math.fsum(math.comb(m, j) * p**j * (1 - p) ** (m - j) for j in range(k))
        low, high = (p, high) if few > 1 - power else (low, p)
    return high if m >= k else math.inf


def table(rows: Sequence[Row]) -> str:
    """Lay rows out as plain text, in percent; a dash where a number would mean nothing, and why."""
    if not rows:
        return "There is nothing to compare: no group of questions was given."
    names = list(rows[0].scores)
    paired = any(row.difference is not None for row in rows)
    cells = [["questions", "n", "clusters", *names, *(["difference", "p"] if paired else [])]]
    notes = []
    for row in rows:
        any_score = row.scores[names[0]]
        line = [row.questions, str(any_score.n), str(any_score.clusters)]
        line += [percent(row.scores[name]) for name in names]
        if paired:
            line += ["-" if row.difference is None else percent(row.difference, sign="+")]
            p = math.nan if row.p is None or any_score.n == 0 else row.p
            line += ["-" if math.isnan(p) else "<0.001" if p < 0.001 else f"{p:.3f}"]
        cells.append(line)
        if any_score.caveat:
            notes.append(f"{row.questions}: no interval, {any_score.caveat}.")
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *notes])


def percent(interval: Interval, *, sign: str = "") -> str:
    """Write a mean with its interval in percent; dashes where there is none."""
    if math.isnan(interval.mean):
        return "-"
    mean = f"{100 * interval.mean:{sign}.1f}"
    if math.isnan(interval.low):
        return f"{mean} [-]"
    return f"{mean} [{100 * interval.low:{sign}.1f}, {100 * interval.high:{sign}.1f}]"


def _vector(values: ArrayLike) -> NDArray[np.float64]:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise ValueError(
            f"Results have shape {vector.shape} and {int((~np.isfinite(vector)).sum())} entries "
            "that are not finite, but there must be one number for each question: count what "
            "could not be read as wrong."
        )
    return vector


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = _vector(first), _vector(second)
    if len(a) != len(b):
        raise ValueError(
            f"The models answered {len(a)} and {len(b)} questions, but a paired comparison needs "
            "the same ones, in the same order: drop what only one of them was asked."
        )
    return a, b
