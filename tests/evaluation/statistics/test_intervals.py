"""Intervals that respect clusters, and paired differences."""

import math
from dataclasses import replace

import numpy as np
import pytest

from evaluation.statistics.bootstrap import Bootstrap, clustered_means
from evaluation.statistics.intervals import Interval, cluster_interval, compare_models
from evaluation.statistics.significance import mcnemar

USUAL = Bootstrap(resamples=2000, confidence=0.95, seed=11)


def test_where_all_are_right_there_is_no_doubt():
    found = cluster_interval([True] * 5, list("aabbc"), USUAL)
    assert found == Interval(mean=1.0, low=1.0, high=1.0, n=5, clusters=3)


def test_the_mean_is_over_questions_and_not_over_clusters():
    """Cluster a: 0 of 3, b: 1 of 1; 1 of 4 questions, whereas the clusters' means average 1/2."""
    assert cluster_interval([0, 0, 0, 1], list("aaab"), USUAL).mean == 0.25


def test_two_clusters_give_the_four_draws_there_are():
    """aa: 0, ab and ba: 1/4, bb: 1, with chances 1/4, 1/2, 1/4: the middle 40 % are 1/4, and the
    middle 95 % reach from 0 to 1."""
    narrow = cluster_interval(
        [0, 0, 0, 1], list("aaab"), replace(USUAL, resamples=4000, confidence=0.4)
    )
    assert (narrow.low, narrow.high) == (0.25, 0.25)
    wide = cluster_interval([0, 0, 0, 1], list("aaab"), USUAL)
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_an_interval_of_independent_questions_matches_the_normal_one():
    """500 questions, 30 % right: 1.96 * sqrt(0.3 * 0.7 / 500) = 0.0402 to either side."""
    correct = np.arange(500) % 10 < 3
    found = cluster_interval(correct, [str(i) for i in range(500)], USUAL)
    assert found.low == pytest.approx(0.3 - 0.0402, abs=0.006)
    assert found.high == pytest.approx(0.3 + 0.0402, abs=0.006)


def test_questions_that_share_their_fate_widen_the_interval():
    """In 50 clusters of 10 that are right or wrong as one, 500 questions weigh as 50 do: the
    interval grows by sqrt(10)."""
    correct = np.repeat(np.arange(50) % 10 < 3, 10)
    together = cluster_interval(correct, [str(i // 10) for i in range(500)], USUAL)
    apart = cluster_interval(correct, [str(i) for i in range(500)], USUAL)
    growth = (together.high - together.low) / (apart.high - apart.low)
    assert growth == pytest.approx(math.sqrt(10), rel=0.15)


def test_the_seed_alone_decides_the_interval():
    generator = np.random.default_rng(2)
    correct, cluster = generator.random(300), [str(i // 3) for i in range(300)]
    first = cluster_interval(correct, cluster, USUAL)
    assert cluster_interval(correct, cluster, USUAL) == first
    assert cluster_interval(correct, cluster, replace(USUAL, seed=12)) != first


def test_the_difference_is_the_second_minus_the_first_on_the_same_questions():
    """Right on 1 of 4 and on 3 of 4, and better in both clusters by 1 of 2: no doubt at all."""
    answers = {"old": [1, 0, 0, 0], "new": [1, 1, 0, 1]}
    found = compare_models("all", answers, list("aabb"), USUAL).difference
    assert found is not None
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


def test_partial_credit_has_an_interval_but_no_mcnemar():
    assert cluster_interval([0.5, 0.25], ["a", "b"], USUAL).mean == 0.375
    with pytest.raises(ValueError, match=r"neither 0 nor 1.*cluster_interval"):
        mcnemar([0.5, 1.0], [1.0, 1.0])


def test_results_that_do_not_line_up_are_refused():
    with pytest.raises(ValueError, match="2 results and 3 clusters"):
        cluster_interval([1, 0], list("abc"), USUAL)
    with pytest.raises(ValueError, match="answered 2 and 1 questions"):
        mcnemar([1, 0], [1])
    with pytest.raises(ValueError, match="1 entries that are not finite"):
        cluster_interval([1, math.nan], list("ab"), USUAL)
    with pytest.raises(ValueError, match="confidence is 95"):
        cluster_interval([1, 0], list("ab"), replace(USUAL, confidence=95))


def test_resampling_in_pieces_covers_every_resample(monkeypatch):
    monkeypatch.setattr("evaluation.statistics.bootstrap.DRAWS_AT_ONCE", 7)
    found = cluster_interval([0, 0, 0, 1], list("aaab"), replace(USUAL, resamples=1001))
    assert (found.low, found.high) == (0.0, 1.0)


def test_columns_are_averaged_over_the_same_draws():
    """One column is the other's complement in every draw, so that their sum is 1 throughout."""
    means = clustered_means([[1, 0, 0], [0, 1, 1]], list("aab"), USUAL)
    assert means.shape == (2000, 2)
    assert means.sum(axis=1) == pytest.approx(1)
    assert len({*means[:, 0]}) > 1
    assert clustered_means([[1, 0]], ["a", "a"], USUAL).shape == (0, 1)
