"""Tests of comparing: arms paired by question and by seed, and what their intervals allow for."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from evaluation.benchmarking.arms import (
    ALL,
    NEEDS_MEDIA,
    Comparison,
    compare_arms,
)
from evaluation.benchmarking.results import training_cost
from evaluation.statistics.intervals import SHARE, Interval, crossed_interval
from evaluation.statistics.significance import p_value
from tests.stored_scores import benchmark, training


@pytest.fixture
def arms(tmp_path: Path) -> dict[str, list[Path]]:
    """Two seeds of each of two ways of training."""
    right = {"filtered": ("111", "011"), "full": ("110", "100")}
    return {
        arm: [
            benchmark(tmp_path / f"{arm}-{seed}" / "benchmark", {"base": "000", "rlvr": scored})
            for seed, scored in enumerate(seeds)
        ]
        for arm, seeds in right.items()
    }


def compared(arms: dict[str, list[Path]]) -> Comparison:
    return compare_arms(arms, "filtered")


def means(values: Mapping[str, Interval]) -> dict[str, float]:
    return {group: value.mean for group, value in values.items()}


def test_accuracy_is_the_mean_over_seeds_of_the_checkpoint_scored_last(arms):
    """Filtered: 3 of 3 and 2 of 3; of the two that need media, all. Full: 2 and 1 of 3; 1 and 0."""
    filtered, full = compared(arms).rows
    assert means(filtered.accuracy) == {ALL: pytest.approx(5 / 6), NEEDS_MEDIA: 1.0}
    assert means(full.accuracy) == {ALL: pytest.approx(3 / 6), NEEDS_MEDIA: 0.25}
    right = [[1, 1, 0], [1, 0, 0]]
    whole = crossed_interval(right, ["x", "x", "y"], confidence=0.95, reach=SHARE)
    assert full.accuracy[ALL] == whole and whole.low < 0.5 < whole.high


def test_texts_may_hold_what_unicode_calls_a_line_break(arms):
    before = compared(arms)
    for file in (folder / "rlvr.jsonl" for folder in arms["full"]):
        rows = [json.loads(line) | {"completion": "B\u2028\x85"} for line in file.open()]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]  # as benchmarks do
        file.write_text("".join(lines))
    assert compared(arms) == before


def test_the_difference_is_the_arm_minus_the_baseline_seed_by_seed(arms):
    """All: 2/3 - 3/3 and 1/3 - 2/3. Need the media: 1/2 - 2/2 and 0/2 - 2/2."""
    filtered, full = compared(arms).rows
    assert filtered.difference == filtered.p == {}
    assert full.by_seed[ALL] == pytest.approx((-1 / 3, -1 / 3))
    assert full.by_seed[NEEDS_MEDIA] == [-0.5, -1.0]
    assert full.difference[NEEDS_MEDIA].mean == -0.75
    table = [[0.0, -1.0], [-1.0, -1.0]]
    assert full.difference[NEEDS_MEDIA] == crossed_interval(table, ["x", "y"], confidence=0.95)


def test_p_is_that_of_the_interval_beside_it(arms):
    _, full = compared(arms).rows
    assert full.p[ALL] == p_value([[0, 0, -1], [1, -1, -1]], ["x", "x", "y"])
    assert full.p[NEEDS_MEDIA] == p_value([[0, -1], [-1, -1]], ["x", "y"])


def test_weights_of_no_seed_count_once(arms):
    arms["before"] = [arms["full"][0] / "base.jsonl"] * 2
    before = compared(arms).rows[-1]
    assert (before.seeds, before.accuracy[ALL].mean) == (1, 0)


def test_a_file_names_another_checkpoint_than_the_last(arms):
    arms["base"] = [folder / "base.jsonl" for folder in arms["filtered"]]
    assert compared(arms).rows[2].accuracy[ALL].mean == 0.0


def test_without_a_truth_there_is_one_group(tmp_path):
    folder = benchmark(tmp_path / "benchmark", {"rlvr": "110"}, truth=False)
    assert [*compare_arms({"a": [folder]}, "a").questions] == [ALL]


def test_the_table_shows_signs_by_seed_and_what_intervals_hold(arms):
    text = compared(arms).text
    assert text.splitlines()[0].split()[:2] == ["arm", "seeds"]
    assert text.splitlines()[2].split()[-1] == "-"
    assert text.splitlines()[3].endswith("--")
    assert "3 questions about 2 assets, seeds: 2" in text
    assert "for the chance of assets and of seeds" in text
    assert "Two seeds cannot tell" in text
    assert text.endswith("\n2 clusters cannot tell, it takes 6 or more.")


def test_one_seed_is_called_what_it_is(arms):
    one = {arm: paths[:1] for arm, paths in arms.items()}
    assert "chance of the questions only" in compared(one).text
    assert "chance of the questions only" not in compared(arms).text


def test_numbers_that_are_not_known_are_null_in_json(tmp_path):
    training(tmp_path / "rlvr", steps=4)
    folder = benchmark(tmp_path / "benchmark", {"rlvr": "110"})
    told = json.loads(compare_arms({"a": [folder]}, "a").json)
    assert told["rows"][0]["tokens"] is None
    assert told["rows"][0]["steps"] == 4


def test_steps_and_tokens_are_counted_back_to_the_first_weights(tmp_path):
    """30 + 5 steps, 700 + 200 tokens; what the chain began with was made by no run."""
    sft = training(tmp_path / "sft", steps=30, tokens=700, start=tmp_path / "published")
    rlvr = training(tmp_path / "rlvr", steps=5, tokens=200, start=sft)
    assert training_cost(rlvr) == (35, 900)
    assert training_cost(sft) == (30, 700)


def test_weights_of_no_run_have_no_steps(tmp_path):
    assert training_cost(tmp_path / "published") == (0, 0)


def test_uncounted_tokens_make_the_sum_unknown(tmp_path):
    sft = training(tmp_path / "sft", steps=30)
    steps, tokens = training_cost(training(tmp_path / "rlvr", steps=5, tokens=200, start=sft))
    assert steps == 35
    assert math.isnan(tokens)


def test_arms_with_other_numbers_of_seeds_are_refused(arms):
    with pytest.raises(ValueError, match=r"'full': 1.*paired seed by seed.*the same seeds"):
        compared(arms | {"full": arms["full"][:1]})


def test_a_baseline_that_is_no_arm_is_refused(arms):
    with pytest.raises(ValueError, match=r"baseline is 'best'.*filtered, full: name one"):
        compare_arms(arms, "best")


def test_other_questions_are_refused(arms):
    file = arms["full"][1] / "rlvr.jsonl"
    file.write_text(file.read_text().replace("hash of q2", "another"))
    with pytest.raises(ValueError, match=r"full-1.*2 of them are not the same.*benchmark.limit"):
        compared(arms)


def test_a_benchmark_that_did_not_finish_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no results.json.*name its run directory"):
        compare_arms({"a": [tmp_path]}, "a")


@pytest.mark.parametrize(
    "other", [{"condition": "no_audio"}, {"condition": "no_audio:silent"}, {"by": "description"}]
)
def test_arms_that_were_asked_differently_are_refused(tmp_path, other):
    here = benchmark(tmp_path / "a" / "b", {"rlvr": "110"})
    there = benchmark(tmp_path / "c" / "d", {"rlvr": "110"}, **other)
    match = r"d was benchmarked on test under .* b on|.*all else is alike.*the same first condition"
    with pytest.raises(ValueError, match=match):
        compare_arms({"x": [here], "y": [there]}, "x")


def test_arms_are_compared_by_the_first_condition(tmp_path):
    folder = benchmark(tmp_path / "b", {"rlvr": "110"}, condition="no_audio:silent")
    [row] = compare_arms({"a": [folder]}, "a").rows
    assert row.accuracy[ALL].mean == pytest.approx(2 / 3)


def test_of_several_sets_one_is_named(tmp_path):
    folder = benchmark(tmp_path / "b", {"rlvr": "110"})
    results = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(results | {"sets": ["test", "another"]}))
    with pytest.raises(ValueError, match=r"scored test, another.*one set, not on None: name one"):
        compare_arms({"a": [folder]}, "a")
    [row] = compare_arms({"a": [folder]}, "a", dataset="test").rows
    assert row.accuracy[ALL].mean == pytest.approx(2 / 3)
    [other] = compare_arms({"a": [folder]}, "a", dataset="another").rows
    assert other.accuracy[ALL].mean == 0
