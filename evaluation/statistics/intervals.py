"""Means over questions with bootstrap intervals, and models side by side on the same questions."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from evaluation.statistics.bootstrap import (
    Bootstrap,
    Clusters,
    clustered_means,
    quantile_interval,
    vector,
)
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
    questions: str, correct: Mapping[str, ArrayLike], cluster: Clusters, bootstrap: Bootstrap
) -> ComparisonRow:
    """Compare models on one group of questions.

    Args:
        correct: by model, one entry for each question, all in one order.
    """
    scores = {name: cluster_interval(own, cluster, bootstrap) for name, own in correct.items()}
    if len(correct) != 2:
        return ComparisonRow(questions=questions, scores=scores, difference=None, p=None)
    first, second = pair(*correct.values())
    difference = cluster_interval(second - first, cluster, bootstrap)
    p = mcnemar(first, second) if np.isin([first, second], (0, 1)).all() else None
    return ComparisonRow(questions=questions, scores=scores, difference=difference, p=p)


def cluster_interval(correct: ArrayLike, cluster: Clusters, bootstrap: Bootstrap) -> Interval:
    """Estimate a mean with its percentile bootstrap interval over clusters.

    Args:
        correct: a number for each question; right or wrong, partial credit, or a difference.
    """
    values = vector(correct)
    mean = float(values.mean()) if len(values) else math.nan
    clusters = len({*cluster})
    draws = clustered_means([values], cluster, bootstrap)
    low, high = quantile_interval(draws[:, 0], bootstrap.confidence)
    return Interval(mean=mean, low=low, high=high, n=len(values), clusters=clusters)


def without_nan(value: object) -> Any:  # what JSON can hold
    """Convert to JSON values, with null for NaN, which JSON lacks."""
    return json.loads(json.dumps(value), parse_constant=lambda _: None)
