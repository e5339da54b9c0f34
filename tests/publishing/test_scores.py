"""Scores are those of the very weights that are pushed, as a benchmark wrote them."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.statistics.intervals import Interval
from publishing.scores import scores_of

SETTINGS = "data: {name: digits}\nbenchmark: {confidence: 0.9, limit: 50}\n"


def interval(mean: float, low: float | None = 0.25) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": low and 0.75, "n": 50, "clusters": 31}


def line(dataset: str, name: str, mean: float, **fields: Any) -> dict[str, Any]:
    return {
        **{"set": dataset, "checkpoint": name, "score": interval(mean)},
        **{"text_only": 0.2, "unparsed": 0.0, **fields},
    }


@pytest.fixture
def scored(tmp_path: Path) -> Path:
    results = {
        **{"sets": ["test", "other"], "conditions": ["full", "text_only"], "by": "answer"},
        "checkpoints": {"tiny": "assets/tiny", "mine": "runs/mine/export"},
        "weights": {"tiny": "aaa", "mine": "bbb"},
        "lines": [
            line("test", "tiny", 0.5),
            line("test", "mine", 0.625),
            line("other", "tiny", 0.25),
            line("other", "mine", 0.375, text_only=None),
        ],
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    (tmp_path / "config.yaml").write_text(SETTINGS)
    return tmp_path


def changed(scored: Path, **fields: Any) -> Path:
    results = json.loads((scored / "results.json").read_text()) | fields
    (scored / "results.json").write_text(json.dumps(results))
    return scored


def test_the_row_of_the_weights_stands_beside_the_baseline(scored):
    table = scores_of("bbb", scored)
    test, other = table.rows
    assert test.own == Interval(mean=0.625, low=0.25, high=0.75, n=50, clusters=31)
    assert test.base == Interval(mean=0.5, low=0.25, high=0.75, n=50, clusters=31)
    assert (test.data, test.set, test.text_only) == ("digits", "test", 0.2)
    assert (other.own.mean, other.base.mean, other.text_only) == (0.375, 0.25, None)
    assert (table.base, table.condition, table.by) == ("tiny", "full", "answer")
    assert (table.confidence, table.limit) == (0.9, 50)


def test_weights_that_were_the_baseline_have_none(scored):
    test, _ = scores_of("aaa", scored).rows
    assert test.own.mean == 0.5 and test.base is None


def test_a_checkpoint_that_equals_the_baseline_is_shown_beside_it(scored):
    changed(scored, weights={"tiny": "bbb", "mine": "bbb"})
    test, _ = scores_of("bbb", scored).rows
    assert (test.own.mean, test.base.mean) == (0.625, 0.5)


@pytest.mark.parametrize("weights", [{"tiny": "aaa", "mine": "ccc"}, {}])
def test_other_weights_and_those_of_an_earlier_version_are_refused(scored, weights):
    changed(scored, weights=weights)
    with pytest.raises(ValueError, match=r"scored tiny, mine, and none .*not asked again\."):
        scores_of("bbb", scored)


@pytest.mark.parametrize("text", ["{", "[]", '{"weights": {"a": "bbb"}}', '{"weights": 3}'])
def test_damaged_results_are_a_sentence(scored, text):
    (scored / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json is damaged .*repeat the benchmark"):
        scores_of("bbb", scored)
