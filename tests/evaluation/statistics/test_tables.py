"""A table that never pretends: a dash, and why, where a number would have no meaning."""

from functools import partial

import pytest

from evaluation.statistics.intervals import Interval
from evaluation.statistics.significance import compare_models, p_value
from evaluation.statistics.tables import comparison_table, percent, percent_bounds

compare = partial(compare_models, confidence=0.95)


def test_the_table_lines_models_up():
    """Right on 1 and then on 3 of 4 questions, better by one in either cluster."""
    rows = [
        compare("hear", {"old": [1, 0, 0, 0], "new": [1, 1, 0, 1]}, list("aabb")),
        compare("see", {"old": [1, 0], "new": [1, 0]}, list("ab")),
    ]
    header, rule, first, second, *notes = comparison_table(rows).splitlines()
    assert header.split() == ["questions", "n", "clusters", "old", "new", "difference", "p"]
    assert set(rule) == {"-"}
    assert " ".join(first.split()) == (
        "hear 4 2 25.0 [0.0, 99.2] 75.0 [0.8, 100.0] +50.0 [-100.0, +100.0] 0.510"
    )
    assert second.endswith("50.0 [0.3, 99.7]   +0.0 [-100.0, +100.0]  1.000")
    assert notes[0] == "hear: 2 clusters cannot tell, it takes 6 or more."
    assert notes[1] == "see: 2 clusters cannot tell, it takes 6 or more."
    assert len({len(line) for line in (header, rule, first, second)}) == 1


def test_a_single_model_needs_no_difference():
    text = comparison_table([compare("all", {"base": [1, 0]}, list("ab"))])
    assert "difference" not in text
    assert "50.0 [0.3, 99.7]" in text


def test_what_means_nothing_is_a_dash_with_its_reason():
    nothing = compare("none", {"a": [], "b": []}, [])
    one = compare("one", {"a": [1, 0], "b": [1, 1]}, ["clip", "clip"])
    lines = comparison_table([nothing, one]).splitlines()
    assert lines[2].split() == ["none", "0", "0", "-", "-", "-", "-"]
    assert " ".join(lines[3].split()) == "one 2 1 50.0 [-] 100.0 [-] +50.0 [-] -"
    assert lines[4] == "none: no interval, no questions."
    assert lines[5] == "one: no interval, all 2 questions share one cluster."


def test_a_table_without_rows_says_so():
    assert comparison_table([]) == "There is nothing to compare: no group of questions was given."


def test_partial_credit_is_compared_alike():
    row = compare("turned", {"a": [0.5, 1], "b": [1, 1]}, list("ab"))
    assert row.difference is not None and row.difference.mean == 0.25
    assert row.p == p_value([0.5, 0], list("ab"))


@pytest.mark.parametrize("n", [2, 3, 10, 200, 100_000])
def test_no_interval_is_without_a_width(n):
    """Also where all answers are alike, and where so many are that both bounds are 100.0."""
    names = [str(number) for number in range(n)]
    row = compare(
        "all",
        {
            "old": [0] * n,
            "new": [1] * n,
        },
        names,
    )
    same = compare("all", {"old": [1] * n, "new": [1] * n}, names)
    for found in (*row.scores.values(), row.difference, same.difference):
        for digits in (0, 1):
            low, high = percent_bounds(found, digits)
            assert low < high
            assert low <= 100 * found.low < 100 * found.high <= high


def test_bounds_are_rounded_outwards():
    """12.34 and 56.71 of 100; what is exact stays, whatever floats make of 0.29 * 100."""
    share = Interval(mean=0.3, low=0.1234, high=0.5671, n=9, clusters=9)
    assert percent(share) == "30.0 [12.3, 56.8]"
    assert percent(share, digits=0) == "30 [12, 57]"
    assert percent(Interval(mean=0.3, low=0.29, high=0.57, n=9, clusters=9)) == "30.0 [29.0, 57.0]"
