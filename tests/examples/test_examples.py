"""The examples work together: they are trained with, probed with, and scored with."""

import json
import re
import shutil
from pathlib import Path

import pytest

from configs.load import SCRIPTS, load_config
from configs.schema import Config
from evaluation.benchmarking.stage import benchmark
from evaluation.probing.stage import probe
from examples.my_rewards import loudness
from examples.my_verifier import tempo
from modules.rewards.completion import GradedCompletion
from modules.verifiers.verify import NOTHING, Verdict
from tests.conftest import make_sample
from training.run import train

EXAMPLES = Path(__file__).parents[2] / "examples"
ASK = make_sample("q7", options=(), answer="120", answer_type="text")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(EXAMPLES, tmp_path / "examples")


def config(folder: Path, *words: str) -> Config:
    own = [
        *("data=manifest", f"data.root={folder}", "data.train=clips", f"run.root={folder}/runs"),
        f"data.format={folder}/my_format.py:rows",
        f"data.verifiers=[{folder}/my_verifier.py:tempo]",
        "model.path=assets/tiny",
    ]
    return load_config([*own, *words], tuple(SCRIPTS))


@pytest.mark.parametrize(
    ("answer", "score"),
    [("120", 1), ("115.2 bpm", 1), ("115.1", 0), ("60", 0.5), ("240 BPM", 0.5), ("90", 0)],
)
def test_a_tempo_within_4_percent_is_right(answer, score):
    """4 percent of 120 are 4.8."""
    assert tempo(ASK, answer, {}) == score


def test_words_are_no_tempo():
    assert tempo(ASK, "fast", {}) is None


def judged(*, correct: bool) -> GradedCompletion:
    verdict: Verdict = vars(NOTHING) | {"correct": correct, "parsed": True}
    return GradedCompletion(text="", tokens=1, finished=True, verdict=Verdict(**verdict))


@pytest.mark.parametrize(("decibels", "reward"), [(-5, 0), (-10, 0), (-31, 0.7), (-50, 1)])
def test_a_right_answer_earns_more_the_quieter_its_recording_is(decibels, reward):
    """From 0 at -10 decibels to 1 at -40: at -31 it is 21/30."""
    facts = {"loudness": str(decibels)}
    assert loudness(ASK, judged(correct=True), facts) == pytest.approx(reward)
    assert loudness(ASK, judged(correct=False), facts) == 0


def test_they_are_trained_with(folder):
    words = ["trainer.max_steps=2", "trainer.batch_size=4", "trainer.log_every_n_steps=1"]
    reward = f"rlvr.reward.plugins=[{folder}/my_rewards.py:loudness:0.5]"
    export = train(config(folder, "stage=rlvr", "rlvr.log_rollouts_every=1", reward, *words))
    rows = [json.loads(row) for row in (export.parent / "metrics.jsonl").open()]
    assert [row["step"] for row in rows] == [1, 2]
    assert all("train/reward_loudness" in row for row in rows)
    shown = json.loads((export.parent / "rollouts.jsonl").read_text().splitlines()[0])
    assert "loudness" in shown["completions"][0]["parts"]
    kept = (export.parent / "config.yaml").read_text()
    assert re.search(r"my_rewards\.py:loudness:0\.5@[0-9a-f]{16}\n", kept)
    assert "my_rewards.py:loudness:0.5@" in (export / "README.md").read_text()


def test_they_are_probed_and_scored_with(folder):
    said = probe(config(folder, "stage=probe", "probe.split=clips", "probe.conditions=[full]"))
    assert re.search(r"full +absent +8 ", said)
    said = benchmark(config(folder, "stage=benchmark", "benchmark.sets=[clips]"))
    assert re.search(r"clips +tiny +8 ", said)


def test_a_reward_that_fails_ends_the_training_with_its_line_and_leaves_the_weights(folder):
    file = folder / "mine.py"
    file.write_text("def f(question, completion, facts):\n    return facts['volume']\n")
    words = [f"rlvr.reward.plugins=[{file}:f]", "trainer.max_steps=2", "trainer.batch_size=2"]
    with pytest.raises(ValueError, match=r"mine\.py:2 \(return facts\['volume'\]\) raised KeyErr"):
        train(config(folder, "stage=rlvr", "run.name=failed", *words))
    assert (folder / "runs/failed/stopped/model.safetensors").is_file()
