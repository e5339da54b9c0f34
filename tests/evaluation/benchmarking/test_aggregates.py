"""Means over sets: OmniClean's published ones reproduced, and intervals that respect every set."""

import math

import numpy as np
import pytest

from evaluation.benchmarking.aggregates import ClusteredScores, over_sets
from evaluation.statistics.intervals import Interval, combined

RETAINED = {
    "Daily": 237,
    "Intent": 660,
    "V-Holmes": 885,
    "WorldS": 875,
    "OmniB": 417,
    "UNO": 228,
    "CG-AV": 376,
    "OmniVid": 318,
    "AV-Ody": 4555,
}
"""Questions left in each benchmark (2605.12034): 376 and 4,555 and their sum as published, the
others read back from its scores."""

TABLE_2 = {
    "Qwen2.5-Omni-3B": (27.53, 29.57, 24.36, 24.91, 27.14, 21.41, 12.73, 27.67, 29.00),
    "Qwen2.5-Omni-7B": (31.78, 31.61, 27.37, 24.25, 32.12, 24.84, 15.13, 29.25, 30.16),
    "Qwen3-Omni-30B-Instruct": (31.22, 32.46, 40.94, 23.79, 32.97, 29.17, 18.57, 32.90, 32.61),
    "Qwen3-Omni-30B-Thinking": (42.62, 36.42, 46.33, 27.70, 32.15, 37.55, 20.28, 31.27, 40.02),
    "stage 1": (27.43, 30.15, 31.53, 24.11, 32.13, 23.68, 16.22, 25.16, 28.00),
    "stage 2": (38.05, 36.46, 47.07, 27.53, 43.24, 21.97, 19.65, 21.00, 27.87),
    "stage 3": (38.82, 37.03, 44.46, 24.71, 40.29, 23.35, 16.49, 22.33, 31.80),
}
"""Scores in the order of `RETAINED`."""

TABLE_3_ORDER = (
    *("AV-Ody", "CG-AV", "Daily", "Intent", "OmniB", "OmniVid", "UNO", "V-Holmes", "WorldS"),
)
TABLE_3 = {
    "F1": (28.47, 15.16, 30.38, 31.06, 29.74, 23.90, 25.44, 34.46, 23.09),
    "F2": (28.96, 14.36, 34.60, 28.64, 29.50, 25.79, 28.95, 36.38, 25.60),
    "F3": (30.03, 15.69, 32.07, 30.75, 28.78, 22.33, 25.88, 31.98, 26.29),
}

PUBLISHED = {
    "Qwen2.5-Omni-3B": (24.92, 27.05),
    "Qwen2.5-Omni-7B": (27.39, 28.68),
    "Qwen3-Omni-30B-Instruct": (30.51, 31.84),
    "Qwen3-Omni-30B-Thinking": (34.93, 37.56),
    "stage 1": (26.49, 27.58),
    "stage 2": (31.43, 30.74),
    "stage 3": (31.03, 32.15),
    "F1": (26.86, 28.02),
    "F2": (28.09, 28.78),
    "F3": (27.09, 28.87),
}
"""Macro and query-weighted means as the tables have them."""

SURE = {"confidence": 0.95}


@pytest.mark.parametrize("model", PUBLISHED)
def test_omniclean_s_means_follow_from_its_scores(model):
    """All twenty, to the last digit that is printed."""
    scores = TABLE_2.get(model) or TABLE_3[model]
    order = TABLE_3_ORDER if model in TABLE_3 else tuple(RETAINED)
    counts = [RETAINED[name] for name in order]
    macro, weighted = PUBLISHED[model]
    sets = [
        Interval(mean=score, low=score, high=score, n=n, clusters=n)
        for score, n in zip(scores, counts, strict=True)
    ]
    assert combined(sets, [1] * 9).mean == pytest.approx(macro, abs=0.005)
    assert combined(sets, counts).mean == pytest.approx(weighted, abs=0.005)


def test_the_retained_counts_sum_to_the_published_number():
    assert sum(RETAINED.values()) == 8551


def test_means_by_hand():
    """1 of 4 and 1 of 2 are right: (1/4 + 1/2)/2 = 3/8 by set, 2/6 by question."""
    sets = [
        ClusteredScores(right=np.array([1.0, 0, 0, 0]), cluster=list("abcd")),
        ClusteredScores(right=np.array([1.0, 0]), cluster=list("ef")),
    ]
    macro = over_sets(sets, **SURE, weighted=False)
    weighted = over_sets(sets, **SURE, weighted=True)
    assert (macro.mean, macro.n, macro.clusters) == (3 / 8, 6, 6)
    assert weighted.mean == pytest.approx(1 / 3)


def test_an_interval_over_sets_is_that_of_independent_ones():
    """Standard errors of sqrt(.25/400) and sqrt(.25/100) average to sqrt(.025^2 + .05^2)/2 = .028,
    and weighted by 4 and 1 to sqrt((4 * .025)^2 + .05^2)/5 = .0224; times 1.96."""
    sets = [
        ClusteredScores(right=np.arange(n) % 2.0, cluster=[str(i) for i in range(n)])
        for n in (400, 100)
    ]
    for weighted, half in ((False, 0.0548), (True, 0.0438)):
        found = over_sets(sets, **SURE, weighted=weighted)
        assert found.mean == 0.5
        assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.08)


def test_two_sets_alike_are_two_sets():
    """Taken for one, two copies of a set would have its interval: sqrt(2) too wide."""
    one = ClusteredScores(right=np.arange(200) % 2.0, cluster=[str(i) for i in range(200)])
    alone, both = (over_sets(sets, **SURE, weighted=False) for sets in ([one], [one, one]))
    ratio = (alone.high - alone.low) / (both.high - both.low)
    assert ratio == pytest.approx(math.sqrt(2), rel=0.1)


def test_a_set_about_one_asset_leaves_no_interval():
    sets = [
        ClusteredScores(right=np.array([1.0, 0]), cluster=["a", "a"]),
        ClusteredScores(right=np.array([1.0, 1]), cluster=["b", "c"]),
    ]
    found = over_sets(sets, **SURE, weighted=False)
    assert found.mean == 0.75
    assert math.isnan(found.low) and math.isnan(found.high)


def test_a_set_of_which_nothing_is_left_leaves_no_mean():
    sets = [
        ClusteredScores(right=np.array([]), cluster=[]),
        ClusteredScores(right=np.ones(2), cluster=["b", "c"]),
    ]
    assert math.isnan(over_sets(sets, **SURE, weighted=True).mean)
