"""Wilson's interval with clusters: hand-worked shares."""

import math

import numpy as np
import pytest

from evaluation.statistics.intervals import Interval
from evaluation.statistics.proportions import clustered_share, mean_share


def test_wilson_counts_as_many_questions_as_the_clusters_are_worth():
    """Four assets of two questions: 2, 0, 1 and 2 right.

    p = 5/8; the clusters' excesses .75, -1.25, -.25, .75 square to 2.75
    V = 4/3 * 2.75 / 64 = .0572917; m = .234375 / V = 4.0909 instead of 8; z = 1.95996
    center = (.625 + z^2/2m) / (1 + z^2/m) = .56447; half = .34230
    """
    interval = clustered_share(
        np.array([1, 1, 0, 0, 1, 0, 1, 1], bool), list("aabbccdd"), confidence=0.95
    )
    assert (interval.mean, interval.n, interval.clusters) == (0.625, 8, 4)
    assert (interval.low, interval.high) == pytest.approx((0.22217, 0.90676), abs=1e-5)


def test_wilson_of_independent_questions_is_the_textbook_one():
    """7 of 10, each about its own asset: V = .21 / 9, so m = 9."""
    right = np.arange(10) < 7
    interval = clustered_share(right, list("abcdefghij"), confidence=0.95)
    z2 = 1.959964**2
    center = (0.7 + z2 / 18) / (1 + z2 / 9)
    half = math.sqrt(z2 * (0.21 / 9 + z2 / (4 * 81))) / (1 + z2 / 9)
    assert (interval.low, interval.high) == pytest.approx((center - half, center + half))


def test_a_perfect_share_is_not_certain_and_its_assets_count_once():
    """Six of six about three assets: low = 3 / (3 + z^2) = 3 / 6.84146."""
    interval = clustered_share(np.ones(6, bool), list("aabbcc"), confidence=0.95)
    assert (interval.mean, interval.high) == (1.0, 1.0)
    assert interval.low == pytest.approx(3 / 6.84146, abs=1e-5)


def test_questions_about_one_asset_have_no_interval():
    interval = clustered_share(np.array([True, False]), ["a", "a"], confidence=0.95)
    assert interval.mean == 0.5 and math.isnan(interval.low)


def test_the_bounds_of_a_mean_of_two_shares_add_as_squares():
    """(.8 [.5, .9] + .6 [.2, .84]) / 2: .7 - hypot(.3, .4)/2 = .45; .7 + hypot(.1, .24)/2 = .83"""
    a = Interval(mean=0.8, low=0.5, high=0.9, n=5, clusters=4)
    b = Interval(mean=0.6, low=0.2, high=0.84, n=7, clusters=3)
    mean = mean_share(a, b)
    assert (mean.mean, mean.low, mean.high, mean.n) == pytest.approx((0.7, 0.45, 0.83, 12))
