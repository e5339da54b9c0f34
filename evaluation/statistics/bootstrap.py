"""Bootstrap over clusters: draw whole clusters anew, so that intervals allow for dependence.

Questions about one recording rise and fall together; taking them for independent makes every
interval too narrow. Seeds of training are a second source of chance, crossed with the first.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS_AT_ONCE = 2_000_000
"""Cluster indices held in memory while resampling."""

Floats = NDArray[np.float64]

Clusters = Sequence[str] | NDArray[np.str_]
"""What each question is about, such as its sample's `asset_id`."""


@dataclass(frozen=True, kw_only=True)
class Bootstrap:
    """Settings of bootstrap intervals."""

    resamples: int
    confidence: float
    """Share of the resampled means inside an interval, such as 0.95."""

    seed: int


def clustered_means(
    columns: Sequence[ArrayLike], cluster: Clusters, bootstrap: Bootstrap
) -> Floats:
    """Draw as many clusters as there are, with replacement, and average each column over them.

    All columns share the draws, so that what is computed from several of them is paired. With fewer
    than two clusters there are no rows.

    Shapes: K columns of (Q,) -> (resamples, K)
    """
    values = [vector(column) for column in columns]
    if any(len(column) != len(cluster) for column in values):
        raise ValueError(
            f"There are {len(values[0])} results and {len(cluster)} clusters, but each question "
            "has one of both: list them in the same order."
        )
    totals, size = _by_cluster(values, cluster)  # (K, C), (C,)
    if len(size) < 2:
        return np.empty((0, len(values)))
    rng = np.random.default_rng(bootstrap.seed)
    means = np.empty((bootstrap.resamples, len(values)))
    for rows in _chunks(means, len(size)):
        drawn = rng.integers(len(size), size=(len(rows), len(size)))
        count = size[drawn].sum(axis=1)
        for column, total in enumerate(totals):
            rows[:, column] = total[drawn].sum(axis=1) / count
    return means


def crossed_means(values: ArrayLike, cluster: Clusters, bootstrap: Bootstrap) -> Floats:
    """Draw as many seeds and as many clusters as there are, and average over all drawn cells.

    Crossed bootstrap (Owen, 2007):

        mean = Σ_s Σ_c w_s v_c t_sc / (S Σ_c v_c n_c)

    with w and v how often each was drawn, t_sc the sum over questions of a cluster and n_c their
    number. It counts the variance that seeds and questions share twice, so it errs to the wide
    side. With fewer than two clusters there are no rows.

    Shapes: values (S, Q) -> (resamples,)
    """
    totals, size = _by_cluster([*np.asarray(values, dtype=np.float64)], cluster)  # (S, C), (C,)
    if len(size) < 2:
        return np.empty(0)
    rng = np.random.default_rng(bootstrap.seed)
    means = np.empty(bootstrap.resamples)
    even_seeds, even_clusters = (np.full(n, 1 / n) for n in totals.shape)
    for rows in _chunks(means, len(size)):
        seeds = rng.multinomial(len(totals), even_seeds, size=len(rows))
        drawn = rng.multinomial(len(size), even_clusters, size=len(rows))
        sums = ((seeds @ totals) * drawn).sum(axis=1)
        rows[:] = sums / (len(totals) * (drawn @ size))
    return means


def quantile_interval(draws: Floats, confidence: float) -> tuple[float, float]:
    """Return the bounds of the middle share of some draws; NaN where there are none."""
    if not 0 < confidence < 1:
        raise ValueError(
            f"confidence is {confidence}, but an interval needs one between 0 and 1: try 0.95."
        )
    if not len(draws):
        return math.nan, math.nan
    low, high = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def vector(values: ArrayLike) -> Floats:
    """Check that there is one finite number for each question."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError(
            f"Results have shape {array.shape} and {int((~np.isfinite(array)).sum())} entries "
            "that are not finite, but there must be one number for each question: count what "
            "could not be read as wrong."
        )
    return array


def _by_cluster(columns: Sequence[Floats], cluster: Clusters) -> tuple[Floats, NDArray[np.int64]]:
    """Sum each column by cluster, and count the questions of each. Shapes: (K, C), (C,)"""
    names, member = np.unique(np.asarray(cluster, dtype=np.str_), return_inverse=True)
    totals = np.array([np.bincount(member, column, len(names)) for column in columns])
    return totals.reshape(len(columns), len(names)), np.bincount(member)


def _chunks(means: Floats, clusters: int) -> Iterator[Floats]:
    """View the rows to fill in chunks that bound the memory of draws."""
    step = max(1, DRAWS_AT_ONCE // clusters)
    return (means[start : start + step] for start in range(0, len(means), step))
