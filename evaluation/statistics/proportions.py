"""Shares of questions with intervals that allow for clusters, without resampling."""

import math

import numpy as np
from numpy.typing import NDArray

from datamodules.contribution.calibration import wilson
from evaluation.statistics.bootstrap import Clusters
from evaluation.statistics.intervals import Interval


def clustered_share(right: NDArray[np.bool_], cluster: Clusters, *, confidence: float) -> Interval:
    """Estimate a share with Wilson's interval for the effective number of questions.

        low, high = wilson(p m, m),  m = p (1 - p) / V,  at most n
        V         = C/(C - 1) * Σ_c (Σ_{i in c} (right_i - p))^2 / n^2

    A bootstrap has no width at a share of 0 or 1, which recalls come close to; there m = C.
    C clusters, n questions (Korn and Graubard 1998).
    """
    names, member = np.unique(np.asarray(cluster, dtype=np.str_), return_inverse=True)
    n, clusters = len(right), len(names)
    p = float(right.mean()) if n else math.nan
    if clusters < 2:
        return Interval(mean=p, low=math.nan, high=math.nan, n=n, clusters=clusters)
    excess = np.bincount(member, right - p)
    variance = clusters / (clusters - 1) * float(excess @ excess) / n**2
    effective: float = clusters
    if 0 < p < 1:
        effective = min(n, p * (1 - p) / variance) if variance else n
    bounds = wilson(np.array([p * effective]), np.array([effective]), confidence)
    low, high = float(bounds.low[0]), float(bounds.high[0])
    return Interval(mean=p, low=low, high=high, n=n, clusters=clusters)


def mean_share(a: Interval, b: Interval) -> Interval:
    """Average two shares of different questions; the widths of their intervals add as squares."""
    mean = (a.mean + b.mean) / 2
    return Interval(
        mean=mean,
        low=mean - math.hypot(a.mean - a.low, b.mean - b.low) / 2,
        high=mean + math.hypot(a.high - a.mean, b.high - b.mean) / 2,
        n=a.n + b.n,
        clusters=min(a.clusters, b.clusters),
    )
