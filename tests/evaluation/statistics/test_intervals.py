"""Intervals that respect clusters, paired differences, and a table that never pretends."""

import math

import numpy as np
import pytest

from evaluation.statistics.intervals import (
    Interval,
    cluster_interval,
    compare,
    mcnemar,
    paired_difference,
    resampled_means,
    smallest_difference,
    table,
)

USUAL = {"resamples": 2000, "confidence": 0.95, "seed": 11}


def test_where_all_are_right_there_is_no_doubt():
    found = cluster_interval([True] * 5, list("aabbc"), **USUAL)
    assert found == Interval(mean=1.0, low=1.0, high=1.0, n=5, clusters=3)


def test_the_mean_is_over_questions_and_not_over_clusters():
    """Cluster a: 0 of 3, b: 1 of 1; 1 of 4 questions, whereas the clusters' means average 1/2."""
    assert cluster_interval([0, 0, 0, 1], list("aaab"), **USUAL).mean == 0.25


def test_two_clusters_give_the_four_draws_there_are():
    """aa: 0, ab and ba: 1/4, bb: 1, with chances 1/4, 1/2, 1/4: the middle 40 % are 1/4, and the
    middle 95 % reach from 0 to 1."""
    narrow = cluster_interval([0, 0, 0, 1], list("aaab"), resamples=4000, confidence=0.4, seed=5)
    assert (narrow.low, narrow.high) == (0.25, 0.25)
    wide = cluster_interval([0, 0, 0, 1], list("aaab"), **USUAL)
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_an_interval_of_independent_questions_matches_the_normal_one():
    """500 questions, 30 % right: 1.96 * sqrt(0.3 * 0.7 / 500) = 0.0402 to either side."""
    correct = np.arange(500) % 10 < 3
    found = cluster_interval(correct, [str(i) for i in range(500)], **USUAL)
    assert found.low == pytest.approx(0.3 - 0.0402, abs=0.006)
    assert found.high == pytest.approx(0.3 + 0.0402, abs=0.006)


def test_questions_that_share_their_fate_widen_the_interval():
    """In 50 clusters of 10 that are right or wrong as one, 500 questions weigh as 50 do: the
    interval grows by sqrt(10)."""
    correct = np.repeat(np.arange(50) % 10 < 3, 10)
    together = cluster_interval(correct, [str(i // 10) for i in range(500)], **USUAL)
    apart = cluster_interval(correct, [str(i) for i in range(500)], **USUAL)
    growth = (together.high - together.low) / (apart.high - apart.low)
    assert growth == pytest.approx(math.sqrt(10), rel=0.15)


def test_the_seed_alone_decides_the_interval():
    generator = np.random.default_rng(2)
    correct, cluster = generator.random(300), [str(i // 3) for i in range(300)]
    first = cluster_interval(correct, cluster, **USUAL)
    assert cluster_interval(correct, cluster, **USUAL) == first
    assert cluster_interval(correct, cluster, **{**USUAL, "seed": 12}) != first


def test_resampling_in_pieces_covers_every_resample(monkeypatch):
    monkeypatch.setattr("evaluation.statistics.intervals.DRAWS_AT_ONCE", 7)
    found = cluster_interval([0, 0, 0, 1], list("aaab"), resamples=1001, confidence=0.95, seed=1)
    assert (found.low, found.high) == (0.0, 1.0)


def test_the_difference_is_the_second_minus_the_first_on_the_same_questions():
    """Right on 1 of 4 and on 3 of 4, and better in both clusters by 1 of 2: no doubt at all."""
    found = paired_difference([1, 0, 0, 0], [1, 1, 0, 1], list("aabb"), **USUAL)
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("lost", "won", "p"), [(1, 9, 22 / 1024), (9, 1, 22 / 1024), (0, 6, 1 / 32)]
)
def test_mcnemar_by_hand(lost, won, p):
    """1 against 9: 2 * (C(10, 0) + C(10, 1)) / 2^10 = 22/1024; questions both know add nothing."""
    a = np.array([1] * lost + [0] * won + [1, 1, 0])
    b = np.array([0] * lost + [1] * won + [1, 1, 0])
    assert mcnemar(a, b) == pytest.approx(p)


def test_an_even_split_is_no_evidence():
    assert mcnemar([1, 0], [0, 1]) == 1.0
    assert mcnemar([1, 1, 0], [1, 1, 0]) == 1.0
    assert mcnemar([], []) == 1.0


def test_mcnemar_stays_exact_for_thousands_of_disagreements():
    """4,850 against 5,150 is 3 standard deviations (less a half) of 10,000 coins: p = 0.0028."""
    a = np.array([1] * 4850 + [0] * 5150)
    assert mcnemar(a, 1 - a) == pytest.approx(math.erfc(299 / 100 / math.sqrt(2)), rel=0.01)
    assert mcnemar(np.zeros(10_000), np.ones(10_000)) == 0.0


def test_partial_credit_has_an_interval_but_no_mcnemar():
    assert cluster_interval([0.5, 0.25], ["a", "b"], **USUAL).mean == 0.375
    with pytest.raises(ValueError, match=r"neither 0 nor 1.*paired_difference"):
        mcnemar([0.5, 1.0], [1.0, 1.0])


def test_results_that_do_not_line_up_are_refused():
    with pytest.raises(ValueError, match="2 results and 3 clusters"):
        cluster_interval([1, 0], list("abc"), **USUAL)
    with pytest.raises(ValueError, match="answered 2 and 1 questions"):
        paired_difference([1, 0], [1], list("ab"), **USUAL)
    with pytest.raises(ValueError, match="1 entries that are not finite"):
        cluster_interval([1, math.nan], list("ab"), **USUAL)
    with pytest.raises(ValueError, match="confidence is 95"):
        cluster_interval([1, 0], list("ab"), resamples=10, confidence=95, seed=0)


def test_the_table_lines_models_up():
    """Right on 1 and then on 3 of 4 questions, better by one in either cluster."""
    rows = [
        compare("hear", {"old": [1, 0, 0, 0], "new": [1, 1, 0, 1]}, list("aabb"), **USUAL),
        compare("see", {"old": [1, 0], "new": [1, 0]}, list("ab"), **USUAL),
    ]
    header, rule, first, second = table(rows).splitlines()
    assert header.split() == ["questions", "n", "clusters", "old", "new", "difference", "p"]
    assert set(rule) == {"-"}
    assert first == (
        "hear       4         2   25.0 [0.0, 50.0]  75.0 [50.0, 100.0]  +50.0 [+50.0, +50.0]  0.500"
    )
    assert second.endswith("50.0 [0.0, 100.0]     +0.0 [+0.0, +0.0]  1.000")
    assert len({len(line) for line in (header, rule, first, second)}) == 1


def test_a_single_model_needs_no_difference():
    text = table([compare("all", {"base": [1, 0]}, list("ab"), **USUAL)])
    assert "difference" not in text
    assert "50.0 [0.0, 100.0]" in text


def test_what_means_nothing_is_a_dash_with_its_reason():
    nothing = compare("none", {"a": [], "b": []}, [], **USUAL)
    one = compare("one", {"a": [1, 0], "b": [1, 1]}, ["clip", "clip"], **USUAL)
    lines = table([nothing, one]).splitlines()
    assert lines[2].split() == ["none", "0", "0", "-", "-", "-", "-"]
    assert " ".join(lines[3].split()) == "one 2 1 50.0 [-] 100.0 [-] +50.0 [-] 1.000"
    assert lines[4] == "none: no interval, no questions."
    assert lines[5] == "one: no interval, all 2 questions share one cluster."


def test_a_table_without_rows_says_so():
    assert table([]) == "There is nothing to compare: no group of questions was given."


def test_columns_are_averaged_over_the_same_draws():
    """One column is the other's complement in every draw, so that their sum is 1 throughout."""
    means = resampled_means([[1, 0, 0], [0, 1, 1]], list("aab"), resamples=30, seed=2)
    assert means.shape == (30, 2)
    assert means.sum(axis=1) == pytest.approx(1)
    assert len({*means[:, 0]}) > 1
    assert resampled_means([[1, 0]], ["a", "a"], resamples=30, seed=2).shape == (0, 1)


def test_partial_credit_is_compared_without_mcnemar():
    row = compare("turned", {"a": [0.5, 1], "b": [1, 1]}, list("ab"), **USUAL)
    assert row.p is None and row.difference is not None
    assert row.difference.mean == 0.25
    assert table([row]).splitlines()[2].endswith("-")


def differing(n: int, psi: float, each: int = 1) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Answers of two models that differ on a share of the questions, one way as often as the
    other, and alike on all questions of a cluster."""
    lots = round(n * psi / 2 / each)
    first = np.repeat([1] * lots + [0] * lots + [0] * (n // each - 2 * lots), each)
    second = np.repeat([0] * lots + [1] * lots + [0] * (n // each - 2 * lots), each)
    return first, second, [str(i // each) for i in range(n)]


def test_the_smallest_difference_is_the_one_that_so_many_pairs_are_needed_for():
    """Connor's n = ((1.960 sqrt(psi) + 0.842 sqrt(psi - delta^2)) / delta)^2 at psi = 0.2."""
    delta = smallest_difference(*differing(1000, 0.2), confidence=0.95, power=0.8)
    needed = ((1.95996 * math.sqrt(0.2) + 0.84162 * math.sqrt(0.2 - delta**2)) / delta) ** 2
    assert needed == pytest.approx(1000, rel=1e-4)
    assert delta == pytest.approx(0.0396, abs=1e-4)


def test_mcnemar_finds_the_smallest_difference_as_often_as_promised():
    """20 % differ, by 3.96 points: 119.8 against 80.2 of 1,000, four times of five."""
    generator, delta, psi = np.random.default_rng(0), 0.0396, 0.2
    found = 0
    for _ in range(400):
        drawn = generator.random(1000)
        won, lost = drawn < (psi + delta) / 2, drawn > 1 - (psi - delta) / 2
        found += mcnemar(lost, won) < 0.05
    assert 0.7 < found / 400 < 0.86  # the exact test is a little shy


def test_what_shares_its_fate_hides_larger_differences():
    """In clusters of 4 that fare alike, 4,000 questions weigh as 1,000 do."""
    alone = smallest_difference(*differing(1000, 0.2), confidence=0.95, power=0.8)
    together = smallest_difference(*differing(4000, 0.2, each=4), confidence=0.95, power=0.8)
    assert together == pytest.approx(alone, rel=1e-3)


def test_where_nothing_differs_nothing_is_known_of_the_power():
    settings = {"confidence": 0.95, "power": 0.8}
    assert math.isnan(smallest_difference([1, 0], [1, 0], list("ab"), **settings))
    assert math.isnan(smallest_difference([1, 0], [0, 1], list("aa"), **settings))
    assert math.isnan(smallest_difference([], [], [], **settings))


def test_where_few_answers_differ_all_of_them_are_taken_to_differ_one_way():
    """At 2 % of 100 questions no difference is found; 6 of 6 one way are significant (p = 1/32),
    and at 7.82 % there are 6 of 100 four times of five."""
    delta = smallest_difference(*differing(100, 0.02), confidence=0.95, power=0.8)
    few = sum(math.comb(100, j) * delta**j * (1 - delta) ** (100 - j) for j in range(6))
    assert few == pytest.approx(0.2, abs=1e-4)
    assert delta == pytest.approx(0.0782, abs=1e-3)
    generator = np.random.default_rng(0)
    found = [mcnemar([0] * 100, generator.random(100) < delta) < 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)


def test_ten_questions_find_large_differences_and_five_find_none():
    """Five of five one way have p = 1/16; with fewer than 3 questions no formula holds."""
    settings = {"confidence": 0.95, "power": 0.8}
    assert 0.6 < smallest_difference(*differing(10, 0.2), **settings) < 0.75
    assert math.isinf(smallest_difference([1, 0, 0, 0, 0], [0] * 5, list("abcde"), **settings))
    assert smallest_difference([1, *[0] * 5], [0] * 6, list("abcdef"), **settings) > 0.9
    assert math.isinf(smallest_difference([1, 0], [0, 1], list("ab"), **settings))
