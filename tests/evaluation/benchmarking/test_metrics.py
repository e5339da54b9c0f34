"""Benchmarks by description: a checkpoint describes, and a reader who sees nothing answers."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs.load import load_config
from configs.schema import Config
from datamodules.loading.question_set import load_questions
from evaluation.benchmarking.stage import benchmark
from inference.generate import ask, load_frozen, load_reader
from inference.loading import build_encoder
from modules.policy.sampling import Sampling
from tests.datamodules.digits.test_build import root  # noqa: F401 - a fixture: a small digits set


def config(root: Path, runs: Path, *words: str) -> Config:  # noqa: F811
    common = [f"data.root={root}", f"run.root={runs}", "run.name=b", "benchmark.limit=24"]
    common += [f"benchmark.cache={runs / 'answers'}", "benchmark.conditions=[full]"]
    return load_config(
        ["stage=benchmark", "data=manifest", "benchmark.grade_by=description", *common, *words],
        ("benchmark",),
    )


@pytest.fixture
def scored(root, tmp_path) -> tuple[str, Path]:  # noqa: F811
    """What is printed, and the run directory, of a checkpoint beside its own baseline."""
    words = ["benchmark.checkpoints=[assets/tiny]", "benchmark.batch_size=9"]
    return benchmark(config(root, tmp_path, *words)), tmp_path / "b"


def rows_of(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_rows_hold_the_description_and_whether_it_is_honest(scored):
    _, run = scored
    rows = rows_of(run / "tiny.jsonl")
    assert len(rows) == 24
    assert all({"description", "honest", "extracted", "correct"} <= {*row} for row in rows)
    assert not any("completion" in row for row in rows)


def test_checkpoints_are_asked_to_describe_and_the_reader_answers(scored, root, tmp_path):  # noqa: F811
    """The same by hand, in other batches."""
    told = config(root, tmp_path)
    data = replace(told.data, task="describe")
    questions = load_questions(data, "test", build_encoder(told), run_dir=tmp_path)
    questions.samples = questions.samples[:24]
    greedy = Sampling(group_size=1, max_tokens=32, temperature=0.0)
    asked = ask(load_frozen(told), questions, greedy, batch_size=24, seed=0, label="by hand")
    described = [answers for batch in asked for answers in batch]
    by_hand = load_reader(told).grade(
        [one.completions[0] for one in described], [one.sample for one in described]
    )
    rows = rows_of(scored[1] / "tiny.jsonl")
    assert [row["description"] for row in rows] == [one.completions[0] for one in described]
    assert [row["extracted"] for row in rows] == [one.extracted for one in by_hand]
    assert [row["correct"] for row in rows] == [one.correct for one in by_hand]


def test_the_table_says_who_answered_and_how_many_descriptions_gave_an_answer_away(scored):
    told, run = scored
    results = json.loads((run / "results.json").read_text())
    rows = rows_of(run / "tiny.jsonl")
    dishonest = sum(not row["honest"] for row in rows) / len(rows)
    assert results["lines"][0]["given_away"] == pytest.approx(dishonest)
    assert results["lines"][0]["official"] is None
    assert results["rows"][0]["difference"]["mean"] == 0
    assert "answers are those of assets/tiny by descriptions alone" in told
    assert f"descriptions that give an answer away: tiny {dishonest:.1%}" in told
    assert "not asked" in told  # without media


def test_weights_of_the_reader_that_are_not_there_are_named(root, tmp_path):  # noqa: F811
    with pytest.raises(ValueError, match=r"runs/no-such is neither .*prealign.reader|no-such"):
        benchmark(config(root, tmp_path, "prealign.reader=runs/no-such"))
    assert not list(tmp_path.glob("*/tiny.jsonl"))


def test_descriptions_are_not_judged_as_answers(root, tmp_path):  # noqa: F811
    words = ("benchmark.grade_by=answer", "data.task=describe")
    match = (
        r"data\.task is describe.*by=answer judges answers.*set benchmark\.grade_by=description, or"
    )
    with pytest.raises(ValueError, match=match):
        benchmark(config(root, tmp_path, *words))
    assert not list(tmp_path.iterdir())


def test_checkpoints_can_be_asked_with_media_withheld(root, tmp_path):  # noqa: F811
    """The same by hand, in other batches; `hear` questions are left with their words."""
    words = [
        "benchmark.grade_by=answer",
        "benchmark.conditions=[no_audio]",
        "benchmark.batch_size=9",
    ]
    told = config(root, tmp_path, *words)
    assert "shown: no_audio" in benchmark(told)
    questions = load_questions(told.data, "test", build_encoder(told), run_dir=tmp_path)
    questions.samples = questions.samples[:24]
    greedy = Sampling(group_size=1, max_tokens=32, temperature=0.0)
    deaf = questions.under("no_audio", "absent")
    asked = ask(load_frozen(told), deaf, greedy, batch_size=24, seed=0, label="by hand")
    by_hand = [answers.completions[0] for batch in asked for answers in batch]
    assert [row["completion"] for row in rows_of(tmp_path / "b" / "tiny.jsonl")] == by_hand
