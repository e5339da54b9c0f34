"""Macro and weighted means of scores over several sets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.bootstrap import Bootstrap, Clusters, clustered_means, quantile_interval
from evaluation.statistics.intervals import Interval


@dataclass(frozen=True, kw_only=True)
class ClusteredScores:
    """Scores of the questions of one set, and their clusters."""

    right: NDArray[np.float64]
    cluster: Clusters


def macro_mean(scores: Sequence[float]) -> float:
    """Weigh every set equally, whatever its size."""
    return sum(scores) / len(scores)


def weighted_mean(scores: Sequence[float], counts: Sequence[int]) -> float:
    """Weigh every question equally, so that large sets dominate."""
    return sum(s * n for s, n in zip(scores, counts, strict=True)) / sum(counts)


def over_sets(sets: Sequence[ClusteredScores], bootstrap: Bootstrap, *, weighted: bool) -> Interval:
    """Average over sets, with a bootstrap interval over the clusters of each.

    The sets are taken as given, and clusters that two of them share count as different, so this
    does not generalize to other benchmarks. Where a set has fewer than two clusters there is no
    interval.
    """
    sizes = [len(dataset.right) for dataset in sets]
    n, clusters = sum(sizes), sum(len({*dataset.cluster}) for dataset in sets)
    if not all(sizes):
        return Interval(mean=nan, low=nan, high=nan, n=n, clusters=clusters)
    means = [float(dataset.right.mean()) for dataset in sets]
    apart = [replace(bootstrap, seed=bootstrap.seed + number) for number in range(len(sets))]
    draws = [
        clustered_means([dataset.right], dataset.cluster, own)[:, 0]
        for dataset, own in zip(sets, apart, strict=True)
    ]
    low, high = nan, nan
    if all(map(len, draws)):
        weights = np.array(sizes if weighted else [1] * len(sets), dtype=np.float64)
        means_drawn = np.average(draws, axis=0, weights=weights)
        low, high = quantile_interval(means_drawn, bootstrap.confidence)
    mean = weighted_mean(means, sizes) if weighted else macro_mean(means)
    return Interval(mean=mean, low=low, high=high, n=n, clusters=clusters)
