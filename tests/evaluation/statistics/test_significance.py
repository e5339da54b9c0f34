"""McNemar's test by hand, and the power of a comparison by its definition."""

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from evaluation.statistics.significance import crossed_test, mcnemar, smallest_difference


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


def test_a_test_over_questions_and_seeds_by_hand():
    """Means 2/3 and 1/3: V_s = 1/36. Clusters are off by 0, -1 and 1: V_c = 3/2 * 2/36 = 1/12. So
    t = 0.5 / (1/3), and df = (4/36)^2 / ((1/36)^2 / 1 + (3/36)^2 / 2) = 32/11."""
    found = crossed_test([[1, 0, 1], [0, 0, 1]], ["x", "y", "z"])
    assert found == pytest.approx(2 * t.sf(1.5, 32 / 11))
    assert crossed_test([[-1, 0, -1], [0, 0, -1]], ["x", "y", "z"]) == found


def test_where_seeds_agree_it_is_the_t_test_of_the_clusters():
    """Two questions about each of three assets, with means 0.5, 1 and 0."""
    same = np.tile([1, 0, 1, 1, 0, 0], (4, 1))
    plain = ttest_1samp([0.5, 1, 0], 0).pvalue
    assert crossed_test(same, ["x", "x", "y", "y", "z", "z"]) == pytest.approx(plain)


@pytest.mark.parametrize(
    ("values", "names"), [([[1, 0]], "xy"), ([[1, 0], [0, 0]], "xx"), ([[1, 1], [1, 1]], "xy")]
)
def test_of_one_seed_or_asset_or_without_any_variance_there_is_no_test(values, names):
    assert math.isnan(crossed_test(values, [*names]))
