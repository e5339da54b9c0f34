"""Macro and weighted means of scores over several sets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.intervals import Clusters, Interval, combined, mean_interval


@dataclass(frozen=True, kw_only=True)
class ClusteredScores:
    """Scores of the questions of one set, and their clusters."""

    right: NDArray[np.float64]
    cluster: Clusters


def over_sets(sets: Sequence[ClusteredScores], *, confidence: float, weighted: bool) -> Interval:
    """Average over sets, with an interval for the choice of questions in each.

    Every set counts alike, or else every question, so that large sets dominate. Clusters that two
    sets share count as different.
    """
    means = [mean_interval(own.right, own.cluster, confidence=confidence) for own in sets]
    return combined(means, [own.n if weighted else 1 for own in means])
