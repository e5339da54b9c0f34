"""Probes and benchmarks, end to end on a small digits set."""

import json
from pathlib import Path

import pytest

from configs.load import load_config
from configs.schema import Config
from datamodules.contribution.probe_cache import read_rows
from evaluation.benchmarking.models import unique_names
from evaluation.benchmarking.stage import benchmark
from evaluation.probing.stage import probe
from training.run import train

STAGES = ("rlvr", "probe", "benchmark")


def config(root: Path, runs: Path, *words: str) -> Config:
    common = ["data=manifest", f"data.root={root}", f"run.root={runs}"]
    cache = f"data.contribution.cache={runs / 'probes'}"
    answers = f"benchmark.cache={runs / 'answers'}"
    return load_config([*common, cache, answers, *words], STAGES)


@pytest.fixture
def probed(root, tmp_path) -> tuple[Path, str]:
    """Run directory and summary of a probe of 40 questions."""
    words = ["stage=probe", "probe.limit=40", "probe.conditions=[full,text_only]"]
    return tmp_path, probe(config(root, tmp_path, *words))


def test_a_probe_keeps_counts_of_all_it_could_ask(probed):
    """`full` of all 40 questions; `text_only` of those that have media to withhold."""
    runs, told = probed
    rows = read_rows(runs / "probes").to_pylist()
    full = [row for row in rows if row["condition"] == "full"]
    text_only = {row["sample_id"] for row in rows if row["condition"] == "text_only"}
    assert len(full) == 40
    assert text_only and text_only < {row["sample_id"] for row in full}
    assert not any("-text-" in name for name in text_only)
    assert all(row["n"] == 1 and row["n_correct"] + row["n_unparsed"] <= 1 for row in rows)
    assert "python eval.py stage=audit" in told and "text_only" in told


def test_a_second_probe_asks_only_what_is_missing(probed, root):
    runs, _ = probed
    before = read_rows(runs / "probes")
    words = ["stage=probe", "probe.limit=50", "probe.conditions=[full,text_only]"]
    probe(config(root, runs, *words))
    after = read_rows(runs / "probes")
    known = {row["time"] for row in before.to_pylist()}
    asked = [row for row in after.to_pylist() if row["time"] not in known]
    assert 10 <= len(asked) <= 20


def test_training_reads_the_probe(probed, root):
    runs, _ = probed
    words = ["stage=rlvr", "run.name=filtered", "trainer.max_steps=2", "trainer.batch_size=2"]
    words += ["data.contribution.rule=vidground", "data.contribution.on_missing=drop"]
    export = train(config(root, runs, *words))
    assert (export / "model.safetensors").exists()
    rows = map(json.loads, (runs / "filtered" / "selection.jsonl").read_text().splitlines())
    bands = {row["band"]: row["kept"] for row in rows}
    assert bands["strong"] and bands["undefined"]
    assert not bands["weak"] and not bands["missing"]


def test_a_model_does_not_differ_from_itself(root, tmp_path):
    words = ["stage=benchmark", "benchmark.checkpoints=[assets/tiny]", "benchmark.limit=60"]
    told = benchmark(config(root, tmp_path, *words, "run.name=b"))
    results = json.loads((tmp_path / "b" / "results.json").read_text())
    everything = results["rows"][0]
    assert everything["difference"]["mean"] == 0 and everything["p"] == 1
    assert [row["questions"] for row in results["rows"]][:2] == ["all questions", "need the media"]
    answers = [(tmp_path / "b" / f"{name}.jsonl").read_text() for name in results["checkpoints"]]
    assert answers[0] == answers[1] and len(answers[0].splitlines()) == 120  # with media, without
    assert "all questions" in told and "unparsed" in told
    assert "The two never differ" in told


def test_scores_do_not_depend_on_the_batch(root, tmp_path):
    """Every completion, alone or with 31 others."""
    said = []
    for size in (1, 32):
        words = ["stage=benchmark", f"benchmark.batch_size={size}", "benchmark.limit=32"]
        words += [f"benchmark.cache={tmp_path / str(size)}"]
        benchmark(config(root, tmp_path, *words, f"run.name=b{size}"))
        said.append((tmp_path / f"b{size}" / "tiny.jsonl").read_text())
    assert said[0] == said[1]


def test_names_of_checkpoints_stay_apart():
    assert unique_names(["a", "a-2", "a", "b", "a"]) == ["a", "a-2", "a-3", "b", "a-4"]


def test_weights_that_are_not_there_are_named_before_any_work(root, tmp_path):
    words = ["stage=benchmark", "benchmark.checkpoints=[runs/no-such/export]"]
    with pytest.raises(ValueError, match=r"runs/no-such/export is neither .*RUN/export"):
        benchmark(config(root, tmp_path, *words))
    assert not list(tmp_path.glob("*/tiny.jsonl"))
