"""Compare models on the same questions: intervals, p-values that agree with them, and power."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import bdtri

from evaluation.statistics.intervals import (
    DIFFERENCE,
    Clusters,
    Interval,
    crossed_interval,
    mean_interval,
    vector,
)

FINEST = 1e-12
"""Below this, floats no longer tell confidences from 1."""


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """Scores of several models on one group of questions."""

    questions: str
    scores: Mapping[str, Interval]
    """Accuracy by model; the same models in every row of a table."""

    difference: Interval | None
    """The second model's accuracy minus the first's; None unless there are two."""

    p: float | None
    """Of that difference, see `p_value`."""


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
        p = p_value(second - first, cluster)
    return ComparisonRow(questions=questions, scores=scores, difference=difference, p=p)


def p_value(differences: ArrayLike, cluster: Clusters) -> float:
    """Return the smallest alpha whose interval of 1 - alpha leaves zero out, at least 1e-12.

    So p < 0.05 says the same as a 95% interval beside it that does not hold zero. Where questions
    stand alone and right or wrong, it is close to McNemar's exact test, but less shy. NaN where
    there is no interval.

    Shapes: differences (S, Q), or (Q,) of one seed -> ()
    """
    table = np.atleast_2d(np.asarray(differences, dtype=np.float64))
    usual = crossed_interval(table, cluster, confidence=0.95)
    if math.isnan(usual.low):
        return math.nan
    away = table * math.copysign(1, usual.mean)

    def bound(log_alpha: float) -> float:  # falls with alpha
        return crossed_interval(away, cluster, confidence=-math.expm1(log_alpha)).low

    least, most = math.log(FINEST), math.log1p(-1e-9)
    if bound(most) <= 0:  # no difference, but for what floats make of it
        return 1.0
    return FINEST if bound(least) > 0 else math.exp(brentq(bound, least, most))


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
    do so for McNemar's exact test. The design effect is Kish's (1965), and never below 1. NaN where
    the models never differ or there are fewer than two clusters: nothing is known then; infinity
    where m pairs are too few even if all differ.
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
