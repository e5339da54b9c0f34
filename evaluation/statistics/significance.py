"""Compare models on the same questions: intervals, McNemar's test, and power."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtri, stdtr

from evaluation.statistics.intervals import (
    DIFFERENCE,
    Clusters,
    Interval,
    mean_interval,
    vector,
)


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """Scores of several models on one group of questions."""

    questions: str
    scores: Mapping[str, Interval]
    """Accuracy by model; the same models in every row of a table."""

    difference: Interval | None
    """The second model's accuracy minus the first's; None unless there are two."""

    p: float | None
    """McNemar's exact p-value of that difference; None also where results are not 0 or 1."""


def compare_models(
    questions: str, correct: Mapping[str, ArrayLike], cluster: Clusters, *, confidence: float
) -> ComparisonRow:
    """Compare models on one group of questions.

    Args:
        correct: by model, one entry for each question, all in one order.
    """
    scores = {
        name: mean_interval(own, cluster, confidence=confidence) for name, own in correct.items()
    }
    difference = p = None
    if len(correct) == 2:
        first, second = pair(*correct.values())
        difference = mean_interval(second - first, cluster, confidence=confidence, reach=DIFFERENCE)
        p = mcnemar(first, second) if np.isin([first, second], (0, 1)).all() else None
    return ComparisonRow(questions=questions, scores=scores, difference=difference, p=p)


def mcnemar(first: ArrayLike, second: ArrayLike) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    Of the questions that exactly one of two models got right, b and c each:

        p = min(1, 2 P(X <= min(b, c))),  X ~ Binomial(b + c, 1/2)

    It takes questions for independent; where clusters are large, trust the interval of the
    difference instead.
    """
    a, b = pair(first, second)
    if not np.isin([a, b], (0, 1)).all():
        raise ValueError(
            "McNemar's test counts right and wrong answers, but some results are neither 0 nor 1: "
            "leave partial credit to mean_interval."
        )
    lost, won = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    return min(1.0, 2 * float(bdtr(min(lost, won), lost + won, 0.5)))


def crossed_test(differences: ArrayLike, cluster: Clusters) -> float:
    """Return the two-sided p-value of a mean difference over questions and seeds, both of chance.

        t   = mean / sqrt(V_s + V_c),  df = (V_s + V_c)^2 / (V_s^2 / (S - 1) + V_c^2 / (C - 1))
        V_s = Σ_s (mean_s - mean)^2 / (S (S - 1))
        V_c = C/(C - 1) * Σ_c (Σ_{s, i in c} (d_si - mean))^2 / (S Q)^2

    The variances of the mean over S seeds and over C clusters, with Welch's degrees of freedom.
    What both share is counted twice, so that it errs to the wide side (Cameron, Gelbach and Miller
    2011 subtract it). NaN with fewer than two seeds or clusters, and where nothing varies.

    Shapes: differences (S, Q) -> ()
    """
    d = np.asarray(differences, dtype=np.float64)
    names, member = np.unique(np.asarray(cluster, dtype=np.str_), return_inverse=True)
    seeds, clusters, mean = len(d), len(names), d.mean()
    if seeds < 2 or clusters < 2:
        return math.nan
    of_seeds = float(d.mean(axis=1).var(ddof=1)) / seeds
    excess = np.bincount(member, (d - mean).sum(axis=0))
    of_clusters = clusters / (clusters - 1) * float(excess @ excess) / d.size**2
    variance = of_seeds + of_clusters
    if not variance:
        return math.nan
    df = variance**2 / (of_seeds**2 / (seeds - 1) + of_clusters**2 / (clusters - 1))
    return 2 * float(stdtr(df, -abs(mean) / math.sqrt(variance)))


def smallest_difference(
    first: ArrayLike, second: ArrayLike, cluster: Clusters, *, confidence: float, power: float
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
    d = np.subtract(*pair(first, second))
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
    return float(bdtri(k - 1, m, 1 - power)) if m > k else power ** (1 / m) if m == k else math.inf


def pair(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check that two models have results on the same number of questions."""
    a, b = vector(first), vector(second)
    if len(a) != len(b):
        raise ValueError(
            f"The models answered {len(a)} and {len(b)} questions, but a paired comparison needs "
            "the same ones, in the same order: drop what only one of them was asked."
        )
    return a, b
