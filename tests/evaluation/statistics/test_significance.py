"""P-values that agree with their intervals, and the power of a comparison by its definition."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import t

from evaluation.statistics.intervals import crossed_interval
from evaluation.statistics.significance import p_value, smallest_difference


@pytest.mark.parametrize(("differ", "of"), [(6, 6), (6, 10), (6, 60), (5, 5), (5, 60)])
def test_of_single_questions_that_differ_one_way_six_are_significant_as_of_mcnemars_test(
    differ, of
):
    """McNemar's: 2 / 2^6 = 0.031, and 2 / 2^5 = 0.063, whatever is alike."""
    names = [str(number) for number in range(of)]
    found = p_value([1.0] * differ + [0.0] * (of - differ), names)
    assert (found < 0.05) == (differ == 6)


def test_a_p_value_by_hand():
    """Four clusters of one, +1 +1 +1 0: mean 3/4, m = 4, and with u = t²: N = 4 + u/2, M = 3/N,
    S + M² = (3 + u/2)/N. Zero is the bound where M² N = u S: 9 (4 + 1.5 u) = u (3 + u/2)(4 + u/2).
    """
    u = max(np.roots([0.25, 3.5, 12 - 13.5, -36]).real)
    assert 9 * (4 + 1.5 * u) == pytest.approx(u * (3 + u / 2) * (4 + u / 2))
    found = p_value([1, 1, 1, 0], list("abcd"))
    assert found == pytest.approx(2 * t.sf(math.sqrt(u), 3))
    assert p_value([-1, -1, -1, 0], list("abcd")) == pytest.approx(found)


def made(seeds: int, n: int, per_asset: int, shift: float) -> tuple[np.ndarray, list[str]]:
    """Differences of two arms over seeds and questions, the better one by about a shift."""
    draw = np.random.default_rng([seeds, n, per_asset, round(100 + 100 * shift)])
    common = draw.random((1, n // per_asset + 1)).repeat(per_asset, axis=1)[:, :n]
    drawn = 0.6 * common + 0.4 * draw.random((seeds, n)) + 0.05 * draw.standard_normal((seeds, 1))
    won, lost = drawn > 0.75 - shift, drawn < 0.25 - shift
    return won.astype(float) - lost, [str(i // per_asset) for i in range(n)]


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_p_is_below_alpha_exactly_where_the_interval_leaves_zero_out(seeds):
    """Both outcomes are among the results, near the bound too."""
    outside = []
    for n, per_asset, shift in product((2, 7, 40, 200), (1, 4), (-0.2, -0.1, 0.0, 0.05, 0.1, 0.2)):
        values, names = made(seeds, n, per_asset, shift)
        p = p_value(values, names)
        for alpha in (0.01, 0.05, 0.2):
            own = crossed_interval(values, names, confidence=1 - alpha)
            outside.append(own.low > 0 or own.high < 0)
            assert (p < alpha) == outside[-1], (n, per_asset, shift, alpha, p, own)
    assert 10 < sum(outside) < len(outside) - 10


def test_p_of_two_seeds_is_above_that_of_their_spread_alone():
    """Better by 30 and by 90 of 200: mean 0.3, error 0.15, so t = 2 of one degree of freedom."""
    table = np.zeros((2, 200))
    table[0, :30] = table[1, :90] = 1
    names = [str(number) for number in range(200)]
    assert p_value(table, names) > 2 * t.sf(2, 1)


def test_without_a_difference_p_is_1_and_without_an_interval_there_is_none():
    assert p_value([1, -1, 0], list("abc")) == p_value(np.zeros((2, 3)), list("abc")) == 1.0
    thirds = [[1 / 3, 1 / 3, 1 / 3], [1 / 3, 1 / 3, -1 + 1e-16], [-1 / 3, -1 / 3, 0]]
    assert 0 < abs(np.mean(np.mean(thirds, axis=0))) < 1e-15 and p_value(thirds, list("abc")) == 1.0
    assert p_value(np.ones(5000), [str(number) for number in range(5000)]) == 1e-12
    assert math.isnan(p_value([[1, 0], [0, 0]], ["x", "x"]))
    assert math.isnan(p_value([], []))


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


def test_a_comparison_finds_the_smallest_difference_as_often_as_promised():
    """20 % differ, by 3.96 points: 119.8 against 80.2 of 1,000, four times of five."""
    generator, delta, psi = np.random.default_rng(0), 0.0396, 0.2
    found, names = 0, [str(number) for number in range(1000)]
    for _ in range(400):
        drawn = generator.random(1000)
        won, lost = drawn < (psi + delta) / 2, drawn > 1 - (psi - delta) / 2
        found += p_value(won.astype(float) - lost, names) < 0.05
    assert 0.74 < found / 400 < 0.86


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
    names = [str(number) for number in range(100)]
    found = [p_value(generator.random(100) < delta, names) < 0.05 for _ in range(400)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.06)


def test_ten_questions_find_large_differences_and_five_find_none():
    """Five of five one way have p = 1/16; with fewer than 3 questions no formula holds."""
    settings = {"confidence": 0.95, "power": 0.8}
    assert 0.6 < smallest_difference(*differing(10, 0.2), **settings) < 0.75
    assert math.isinf(smallest_difference([1, 0, 0, 0, 0], [0] * 5, list("abcde"), **settings))
    assert smallest_difference([1, *[0] * 5], [0] * 6, list("abcdef"), **settings) > 0.9
    assert math.isinf(smallest_difference([1, 0], [0, 1], list("ab"), **settings))
