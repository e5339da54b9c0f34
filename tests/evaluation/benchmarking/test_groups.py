"""Rows of a benchmark's tables: groups that nobody names are refused before anything is asked."""

import json
from pathlib import Path

import pytest

from evaluation.benchmarking.stage import benchmark
from tests.evaluation.benchmarking.test_answers import (
    answers_in,
    config,
    results_of,
    rows_of,
    write,
)
from tests.evaluation.benchmarking.test_answers import small as small  # a fixture: five choices


def state(place: Path, name: str = "test", **truth: str) -> None:
    """Write a truth file that says the same of every question."""
    (place / "truth").mkdir(exist_ok=True)
    rows = [{"id": row["id"], "evidence": "audio", **truth} for row in rows_of(place, name)]
    (place / "truth" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_a_field_that_nobody_has_is_refused_before_anything_is_asked(small):
    write(small, [row | {"facts": {"task": "music"}} for row in rows_of(small)])
    state(small, family="count")
    match = r"group_by is tsak, but no question of test .*choose from evidence, family, task, or"
    with pytest.raises(ValueError, match=match):
        benchmark(config(small, "a", "benchmark.group_by=tsak"))
    assert answers_in(small) == []


def test_a_field_is_refused_where_no_question_has_any(small):
    write(small, [{**row, "facts": {}} for row in rows_of(small)])
    with pytest.raises(ValueError, match=r"leave it out, they have no fields"):
        benchmark(config(small, "a", "benchmark.group_by=task"))


def test_a_truth_file_without_the_field_is_refused_before_anything_is_asked(small):
    """The other set has it, as a fact; a truth file beside facts is not asked for it."""
    write(small, [row | {"facts": {"task": "music"}} for row in rows_of(small)], "other")
    state(small, "other")
    words = ("benchmark.sets=[test,other]", "benchmark.group_by=task")
    benchmark(config(small, "a", words[1], "benchmark.sets=[other]", "benchmark.conditions=[full]"))
    assert [row["questions"] for row in results_of(small, "a")["rows"]] == [
        "all questions",
        "need the media",
        "music",
    ]
    known = len(answers_in(small))
    state(small)
    with pytest.raises(ValueError, match=r"truth/test\.jsonl:1 has no 'task'.*another group_by"):
        benchmark(config(small, "b", *words))
    assert len(answers_in(small)) == known


def test_one_checkpoint_has_no_table_that_says_its_overview_again(small):
    write(small, rows_of(small)[:2], "other")
    told = benchmark(config(small, "a", "benchmark.sets=[test,other]"))
    assert "all questions" not in told
    assert told.count("was trained on is not known here") == 1


def test_a_view_that_is_not_there_is_made_by_a_command_that_shells_take(small):
    match = r"stage=clean 'clean.sets=\[test\]' 'clean.rules=\[calibrated\]'`, or"
    with pytest.raises(ValueError, match=match):
        benchmark(config(small, "a", "benchmark.clean_view=calibrated"))
