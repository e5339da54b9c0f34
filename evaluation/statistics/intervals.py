"""Means over questions with bootstrap intervals, and models side by side on the same questions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evaluation.statistics.bootstrap import clustered_means, quantile_interval, vector
from evaluation.statistics.significance import mcnemar, pair


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over questions, and its interval when clusters are resampled."""

    mean: float
    """NaN where there is no question."""

    low: float
    """NaN, like high, where there are fewer than two clusters."""

    high: float
    n: int
    clusters: int

    @property
    def caveat(self) -> str:
        """Why there is no interval; `""` if there is one."""
        if self.n == 0:
            return "no questions"
        return "" if self.clusters > 1 else f"all {self.n} questions share one cluster"


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
    questions: str,
    correct: Mapping[str, ArrayLike],
    cluster: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> ComparisonRow:
    """Compare models on one group of questions.

    Args:
        correct: by model, one entry for each question, all in one order.
        cluster: what each question is about, such as its sample's `asset_id`.
    """
    scores = {
        name: cluster_interval(
            right, cluster, resamples=resamples, confidence=confidence, seed=seed
        )
        for name, right in correct.items()
    }
    if len(correct) != 2:
        return ComparisonRow(questions=questions, scores=scores, difference=None, p=None)
    first, second = correct.values()
    difference = paired_difference(
        first, second, cluster, resamples=resamples, confidence=confidence, seed=seed
    )
    binary = np.isin([*pair(first, second)], (0, 1)).all()
    p = mcnemar(first, second) if binary else None
    return ComparisonRow(questions=questions, scores=scores, difference=difference, p=p)


def cluster_interval(
    correct: ArrayLike,
    cluster: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Estimate a mean with its percentile bootstrap interval over clusters.

    Args:
        correct: a number for each question; right or wrong, partial credit, or a difference.
        confidence: the share of resampled means inside the interval, such as 0.95.
    """
    values = vector(correct)
    mean = float(values.mean()) if len(values) else math.nan
    clusters = len({*cluster})
    draws = clustered_means([values], cluster, resamples=resamples, seed=seed)
    low, high = quantile_interval(draws[:, 0], confidence)
    return Interval(mean=mean, low=low, high=high, n=len(values), clusters=clusters)


def paired_difference(
    first: ArrayLike,
    second: ArrayLike,
    cluster: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Estimate the second model's accuracy minus the first's, paired by question."""
    a, b = pair(first, second)
    return cluster_interval(b - a, cluster, resamples=resamples, confidence=confidence, seed=seed)
