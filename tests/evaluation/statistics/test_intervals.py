"""Intervals that hold at any number of questions, clusters and seeds."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from evaluation.statistics.intervals import (
    DIFFERENCE,
    Interval,
    combined,
    crossed_interval,
    mean_interval,
)


def usual_interval(values, cluster, **words):
    return mean_interval(values, list(cluster), confidence=0.95, **words)


def bounds(interval):
    return interval.low, interval.high


def test_a_share_of_single_questions_is_agresti_and_coull_s():
    """3 of 4, t of 3 degrees = 3.18245, k = 5.0640: M = 8.0640 / 14.128 = .57079.

    half = 3.18245 sqrt(.57079 * .42921 / 14.128) = .41908
    """
    found = usual_interval([1, 1, 0, 1], "abcd")
    assert (found.mean, found.n, found.clusters) == (0.75, 4, 4)
    assert bounds(found) == pytest.approx((0.15170, 0.98986), abs=1e-5)


def test_answers_that_are_all_alike_are_not_certain_and_count_by_cluster():
    """Six of six about three assets count as three: t = 4.30265, k = 9.25642, N = 21.51284.

    M = 12.25642 / 21.51284 = .56973; half = 4.30265 sqrt(.56973 * .43027 / 21.51284) = .45930
    """
    found = usual_interval([1] * 6, "aabbcc")
    assert bounds(found) == pytest.approx((0.11043, 1.0), abs=1e-5)
    assert bounds(usual_interval([0] * 6, "aabbcc")) == pytest.approx((0.0, 1 - 0.11043), abs=1e-5)


def test_a_difference_has_half_as_many_imagined_questions_at_its_ends():
    """Two questions, both better: t = 12.7062, k = t²/4 = 40.362, N = 82.724.

    M = 2 / 82.724 = .02418; S = 1 - .02418² = .99942; half = 12.7062 sqrt(S / N) = 1.39659
    """
    found = usual_interval([1, 1], "ab", reach=DIFFERENCE)
    assert (found.mean, found.low, found.high) == (1.0, -1.0, 1.0)
    six = usual_interval([1] * 6, "abcdef", reach=DIFFERENCE)  # t = 2.57058, k = 1.65197
    center, half = 6 / 9.30394, 2.57058 * math.sqrt((1 - (6 / 9.30394) ** 2) / 9.30394)
    assert bounds(six) == pytest.approx((center - half, 1.0), abs=1e-4)
    assert 0 < six.low < 0.01


def test_models_that_never_differ_may_still_differ_a_little():
    """k = 1.98422² / 4 of each end among 100: half = t sqrt(2k / N) / sqrt(N) = t² / (√2 N)."""
    found = usual_interval([0] * 100, [str(n) for n in range(100)], reach=DIFFERENCE)
    expected = 1.98422**2 / (math.sqrt(2) * (100 + 1.98422**2 / 2))
    assert bounds(found) == pytest.approx((-expected, expected), abs=1e-5)


def test_the_mean_is_over_questions_and_not_over_clusters():
    """Cluster a: 0 of 3, b: 1 of 1; 1 of 4 questions, whereas the clusters' means average 1/2."""
    assert usual_interval([0, 0, 0, 1], "aaab").mean == 0.25


def test_an_interval_of_many_single_questions_is_the_normal_one():
    """5,000 questions, 30 % right: 1.96 * sqrt(0.3 * 0.7 / 5000) = 0.0127 to either side."""
    found = usual_interval(np.arange(5000) % 10 < 3, [str(n) for n in range(5000)])
    assert bounds(found) == pytest.approx((0.3 - 0.0127, 0.3 + 0.0127), abs=3e-4)


def test_questions_that_share_their_fate_count_once():
    """50 clusters of ten that are right or wrong as one are fifty questions, to the last digit."""
    right = np.arange(50) % 10 < 3
    single = usual_interval(right, [str(n) for n in range(50)])
    together = usual_interval(np.repeat(right, 10), [str(n // 10) for n in range(500)])
    assert bounds(together) == pytest.approx(bounds(single))


def test_what_is_known_of_a_correlation_widens_by_two_clusters_worth():
    """Six pairs, of which five have one right answer and one has two.

    p = 7/12; E = -1/6 five times, and 5/6: Σ E² = 30/36, Σ E⁴ = 630/1296, A = .69444 / .48611
    E vary less than those of unrelated answers would: r = 0, D = 2, deff = 1 + 2 / (A + 2)
    """
    pairs = usual_interval([1, 0] * 5 + [1, 1], "aabbccddeeff")
    t, m = 2.570582, 12 / (1 + 2 / (1.428571 + 2))
    k = t**2 / 2
    center = (m * 7 / 12 + k) / (m + 2 * k)
    half = t * math.sqrt(center * (1 - center) / (m + 2 * k))
    assert bounds(pairs) == pytest.approx((center - half, center + half), abs=1e-5)


@pytest.mark.parametrize("chance", [0.02, 0.06, 0.35, 0.5, 0.98])
@pytest.mark.parametrize("n", [2, 3, 7, 20, 60])
def test_shares_of_single_questions_hold_the_truth_as_often_as_they_claim(n, chance):
    """Exactly: the probability of each count, summed where its interval holds the truth."""
    names = [str(number) for number in range(n)]
    held = 0.0
    for right in range(n + 1):
        found = usual_interval(np.arange(n) < right, names)
        assert found.low < found.high
        held += binom.pmf(right, n, chance) * (found.low <= chance <= found.high)
    assert held >= 0.93


def test_one_cluster_has_no_interval_and_few_a_caveat():
    alone = usual_interval([1, 0], "aa")
    assert alone.mean == 0.5 and math.isnan(alone.low) and math.isnan(alone.high)
    assert alone.caveat == "no interval, all 2 questions share one cluster"
    assert usual_interval([], "").caveat == "no interval, no questions"
    five, six = (usual_interval([1] * n, "abcdef"[:n]) for n in (5, 6))
    assert five.caveat == "5 clusters cannot tell, it takes 6 or more"
    assert six.caveat == ""


def test_results_that_do_not_line_up_are_refused():
    with pytest.raises(ValueError, match="2 results and 3 clusters"):
        usual_interval([1, 0], "abc")
    with pytest.raises(ValueError, match="1 entries that are not finite"):
        usual_interval([1, math.nan], "ab")
    with pytest.raises(ValueError, match="confidence is 95"):
        mean_interval([1, 0], list("ab"), confidence=95)


def test_the_bounds_of_a_mean_over_sets_add_as_squares():
    """(.8 [.5, .9] + .6 [.2, .84]) / 2: .7 - hypot(.3, .4)/2 = .45; .7 + hypot(.1, .24)/2 = .83"""
    a = Interval(mean=0.8, low=0.5, high=0.9, n=5, clusters=4)
    b = Interval(mean=0.6, low=0.2, high=0.84, n=7, clusters=3)
    mean = combined((a, b), (2, 2))
    assert (mean.mean, mean.low, mean.high, mean.n) == pytest.approx((0.7, 0.45, 0.83, 12))


def test_seeds_that_disagree_widen_the_interval_by_students_t():
    """Seeds' means .1, .2, .6 of mean .3: error sqrt(.07 / 3) = .152753, times t = 4.30265."""
    each = np.tile([0.0, 1.0, 0.0, -1.0], 100)
    table = np.stack([0.5 * each + 0.1, 0.5 * each + 0.2, 0.3 * each + 0.6])
    names = [str(number) for number in range(400)]
    over = usual_interval(table.mean(axis=0), names, reach=DIFFERENCE)
    both = crossed_interval(table, names, confidence=0.95)
    assert over.mean == both.mean == pytest.approx(0.3)
    expected = math.hypot(over.mean - over.low, 4.30265 * 0.152753)
    assert both.mean - both.low == pytest.approx(expected, abs=1e-5)


def test_one_seed_has_the_interval_of_its_questions():
    values = [0.0, 1.0, 1.0, -1.0, 1.0, 0.0]
    alone = crossed_interval([values], list("aabbcd"), confidence=0.9)
    assert alone == mean_interval(values, list("aabbcd"), confidence=0.9, reach=DIFFERENCE)
    assert math.isnan(crossed_interval([[0.0, 1.0]] * 3, ["x", "x"], confidence=0.9).low)
