"""One number for several sets: the mean of their scores, and the mean of all their questions."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.intervals import Interval, resampled_means, spread


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Results of one set: a number for each question, and what the question is about."""

    right: NDArray[np.float64]
    cluster: Sequence[str]


def macro_mean(scores: Sequence[float]) -> float:
    """Weigh every set alike, however few of its questions are left."""
    return sum(scores) / len(scores)


def weighted_mean(scores: Sequence[float], counts: Sequence[int]) -> float:
    """Weigh every question alike, so that the largest set has the loudest voice."""
    return sum(s * n for s, n in zip(scores, counts, strict=True)) / sum(counts)


def over_sets(
    sets: Sequence[Scored], *, weighted: bool, resamples: int, confidence: float, seed: int
) -> Interval:
    """Average over sets, and estimate where that falls when the clusters of each are drawn anew.

    The sets are given, and what two of them share counts as different; so this says nothing of
    other benchmarks. Where a set has fewer than two clusters there is no interval.
    """
    sizes = [len(one.right) for one in sets]
    n, clusters = sum(sizes), sum(len({*one.cluster}) for one in sets)
    if not all(sizes):
        return Interval(mean=nan, low=nan, high=nan, n=n, clusters=clusters)
    means = [float(one.right.mean()) for one in sets]
    draws = [
        resampled_means([one.right], one.cluster, resamples=resamples, seed=seed + number)[:, 0]
        for number, one in enumerate(sets)
    ]
    low, high = nan, nan
    if all(map(len, draws)):
        weights = np.array(sizes if weighted else [1] * len(sets), dtype=np.float64)
        low, high = spread(np.average(draws, axis=0, weights=weights), confidence)
    mean = weighted_mean(means, sizes) if weighted else macro_mean(means)
    return Interval(mean=mean, low=low, high=high, n=n, clusters=clusters)
