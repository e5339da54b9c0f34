"""All intervals of tables: of means over questions, and of these over sets and seeds.

A mean of few questions, or of answers that are all alike, is not certain, and questions about one
recording rise and fall together. So intervals rest on an effective number of questions, and on
imagined ones at both ends of what a result can be. `python -m bench.coverage` simulates how often
they hold the true value.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

Floats = NDArray[np.float64]

Clusters = Sequence[str] | NDArray[np.str_]
"""What each question is about, such as its sample's `asset_id`."""

SHARE, DIFFERENCE = (0.0, 1.0), (-1.0, 1.0)
"""The least and the most that a result can be: right or wrong, and a difference of two such."""

FEWEST = 6
"""Clusters below which a table says that it cannot tell. Were questions as good as tossed coins,
five would still agree that one of two models is better with chance 2/32, more than 5%."""

ALIKE = 2.0
"""Clusters' worth of belief that the questions of a cluster are all right or all wrong."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over questions, and the interval that holds the true one."""

    mean: float
    """NaN where there is no question."""

    low: float
    """NaN, like high, where there are fewer than two clusters."""

    high: float
    n: int
    clusters: int

    @property
    def caveat(self) -> str:
        """Why there is no interval, or one that tells little; `""` where neither is so."""
        if self.n == 0:
            return "no interval, no questions"
        if self.clusters < 2:
            return f"no interval, all {self.n} questions share one cluster"
        if self.clusters < FEWEST:
            return f"{self.clusters} clusters cannot tell, it takes {FEWEST} or more"
        return ""


def mean_interval(
    values: ArrayLike,
    cluster: Clusters,
    *,
    confidence: float,
    reach: tuple[float, float] = SHARE,
) -> Interval:
    """Estimate a mean, with an interval for any number of questions and clusters.

        low, high = M ± t sqrt(S / N),  N = m + 2k,  within reach (a, b)
        M         = (m mean + k (a + b)) / N
        S         = (m (mean of squares) + k (a² + b²)) / N - M²
        k         = t²/2, of differences t²/4;  t = Student's of C - 1,  m = n / deff

    That is, k imagined questions at each end: of right and wrong answers the interval of Agresti
    and Coull (1998), with the few more of Bonett and Price (2012) for paired differences. n
    questions in C clusters count as m (Korn and Graubard 1998), see `_design_effect`.

    Args:
        values: a number for each question; right or wrong, partial credit, or a difference.
        reach: the least and the most that such a number can be.
    """
    if not 0 < confidence < 1:
        raise ValueError(
            f"confidence is {confidence}, but an interval needs one between 0 and 1: try 0.95."
        )
    x = vector(values)
    if len(x) != len(cluster):
        raise ValueError(
            f"There are {len(x)} results and {len(cluster)} clusters, but each question has one of "
            "both: list them in the same order."
        )
    least, most = reach
    assert np.all((x >= least - 1e-9) & (x <= most + 1e-9)), f"results outside of {reach}"
    names, member = np.unique(np.asarray(cluster, dtype=np.str_), return_inverse=True)
    n, clusters = len(x), len(names)
    mean = float(x.mean()) if n else math.nan
    if clusters < 2:
        return Interval(mean=mean, low=math.nan, high=math.nan, n=n, clusters=clusters)
    t = float(stdtrit(clusters - 1, (1 + confidence) / 2))
    m = n / _design_effect(x - mean, member)
    imagined = t**2 / (4 if least < 0 else 2)
    total = m + 2 * imagined
    center = (m * mean + imagined * (least + most)) / total
    squares = (m * float(x @ x) / n + imagined * (least**2 + most**2)) / total
    half = t * math.sqrt(max(0.0, squares - center**2) / total)
    low, high = max(least, center - half), min(most, center + half)
    return Interval(mean=mean, low=low, high=high, n=n, clusters=clusters)


def _design_effect(excess: Floats, member: NDArray[np.intp]) -> float:
    """Return how many questions in clusters count as one that stands alone (Kish 1965).

        deff = 1 + (D - 1) (A r + 2) / (A + 2),  D = Σ_c n_c² / n
        A    = (Σ_c E_c²)² / Σ_c E_c⁴,  E_c = Σ_{i in c} (x_i - mean)

    r is the correlation within clusters as found, from 0 to 1. Few clusters, or few wrong answers,
    say little of it, and effects that are only estimated make intervals too narrow (Franco et al.
    2019). So two clusters' worth of r = 1 are added to the A clusters that say something of it,
    which is all there is where all answers are alike.
    """
    n, sizes, sums = len(excess), np.bincount(member), np.bincount(member, excess)
    largest = float(sizes @ sizes) / n
    squares, total = sums**2, float(excess @ excess)
    if largest == 1 or total < 1e-12 * n:
        return largest
    ratio = len(sizes) / (len(sizes) - 1) * float(squares.sum()) / (n * total)
    found = min(1.0, max(0.0, (n * ratio / (1 + ratio) - 1) / (largest - 1)))
    telling = float(squares.sum()) ** 2 / fourth if (fourth := float(squares @ squares)) else 0.0
    return 1 + (largest - 1) * (telling * found + ALIKE) / (telling + ALIKE)


def combined(intervals: Sequence[Interval], weights: Sequence[float]) -> Interval:
    """Average means of different questions; the widths of their intervals add as squares.

    That is MOVER (Zou and Donner 2008). The sets are taken as given, so this does not generalize to
    other sets. Where one has no interval there is none.

    Args:
        weights: of the means, none below 0.
    """
    shares = np.asarray(weights, dtype=np.float64) / (sum(weights) or math.nan)
    means, lows, highs = (
        np.array([vars(each)[name] for each in intervals]) for name in ("mean", "low", "high")
    )
    mean = float(shares @ means)
    return Interval(
        mean=mean,
        low=mean - float(np.linalg.norm(shares * (means - lows))),
        high=mean + float(np.linalg.norm(shares * (highs - means))),
        n=sum(each.n for each in intervals),
        clusters=sum(each.clusters for each in intervals),
    )


def crossed_interval(
    values: ArrayLike,
    cluster: Clusters,
    *,
    confidence: float,
    reach: tuple[float, float] = DIFFERENCE,
) -> Interval:
    """Estimate a mean over seeds and questions, with an interval for the chance of both.

        half² = (half of the mean over seeds)² + t² var(seed's mean) / S,  t = Student's of S - 1

    Seeds are few, so what they say of their own spread is taken for as little as it is: with two,
    t is 12.7. Of one seed the interval holds the chance of the questions alone.

    Shapes: values (S, Q)
    """
    table = np.asarray(values, dtype=np.float64)
    over = mean_interval(table.mean(axis=0), cluster, confidence=confidence, reach=reach)
    seeds = len(table)
    if seeds < 2 or math.isnan(over.low):
        return over
    error = float(table.mean(axis=1).std(ddof=1)) / math.sqrt(seeds)
    half = float(stdtrit(seeds - 1, (1 + confidence) / 2)) * error
    return Interval(
        mean=over.mean,
        low=max(reach[0], over.mean - math.hypot(over.mean - over.low, half)),
        high=min(reach[1], over.mean + math.hypot(over.high - over.mean, half)),
        n=over.n,
        clusters=over.clusters,
    )


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


def without_nan(value: object) -> Any:  # what JSON can hold
    """Convert to JSON values, with null for NaN, which JSON lacks."""
    return json.loads(json.dumps(value), parse_constant=lambda _: None)
