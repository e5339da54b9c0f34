"""A table that never pretends: a dash, and why, where a number would have no meaning."""

from evaluation.statistics.bootstrap import Bootstrap
from evaluation.statistics.intervals import compare_models
from evaluation.statistics.tables import comparison_table

USUAL = Bootstrap(resamples=2000, confidence=0.95, seed=11)


def test_the_table_lines_models_up():
    """Right on 1 and then on 3 of 4 questions, better by one in either cluster."""
    rows = [
        compare_models("hear", {"old": [1, 0, 0, 0], "new": [1, 1, 0, 1]}, list("aabb"), USUAL),
        compare_models("see", {"old": [1, 0], "new": [1, 0]}, list("ab"), USUAL),
    ]
    header, rule, first, second = comparison_table(rows).splitlines()
    assert header.split() == ["questions", "n", "clusters", "old", "new", "difference", "p"]
    assert set(rule) == {"-"}
    assert first == (
        "hear       4         2   25.0 [0.0, 50.0]  75.0 [50.0, 100.0]  +50.0 [+50.0, +50.0]  0.500"
    )
    assert second.endswith("50.0 [0.0, 100.0]     +0.0 [+0.0, +0.0]  1.000")
    assert len({len(line) for line in (header, rule, first, second)}) == 1


def test_a_single_model_needs_no_difference():
    text = comparison_table([compare_models("all", {"base": [1, 0]}, list("ab"), USUAL)])
    assert "difference" not in text
    assert "50.0 [0.0, 100.0]" in text


def test_what_means_nothing_is_a_dash_with_its_reason():
    nothing = compare_models("none", {"a": [], "b": []}, [], USUAL)
    one = compare_models("one", {"a": [1, 0], "b": [1, 1]}, ["clip", "clip"], USUAL)
    lines = comparison_table([nothing, one]).splitlines()
    assert lines[2].split() == ["none", "0", "0", "-", "-", "-", "-"]
    assert " ".join(lines[3].split()) == "one 2 1 50.0 [-] 100.0 [-] +50.0 [-] 1.000"
    assert lines[4] == "none: no interval, no questions."
    assert lines[5] == "one: no interval, all 2 questions share one cluster."


def test_a_table_without_rows_says_so():
    assert comparison_table([]) == "There is nothing to compare: no group of questions was given."


def test_partial_credit_is_compared_without_mcnemar():
    row = compare_models("turned", {"a": [0.5, 1], "b": [1, 1]}, list("ab"), USUAL)
    assert row.p is None and row.difference is not None
    assert row.difference.mean == 0.25
    assert comparison_table([row]).splitlines()[2].endswith("-")
