"""What a reinforced run writes beside its weights: rows by optimizer step, whatever a round is."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning as L
import pytest
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from modules.rlvr import RlvrModule
from tests.modules.test_rlvr import rlvr_module
from training.callbacks.metrics import MetricsWriter
from training.callbacks.rollouts import RolloutTable, Timings


class Recorder(Logger):
    """Keep what a service would be sent."""

    name = "recorder"
    version = "0"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int | None, dict[str, float]]] = []

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, metrics))

    def log_hyperparams(self, *words: Any, **settings: Any) -> None:
        """Nothing is asked for."""


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def watched(tiny_policy, quiz, tmp_path) -> tuple[Path, Recorder, RlvrModule]:
    """Five rounds of two updates, rows wanted every four steps: the last round is off the beat."""
    module, recorder = rlvr_module(tiny_policy, num_iterations=2), Recorder()
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=10,
        logger=recorder,
        log_every_n_steps=4,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            MetricsWriter(tmp_path / "metrics.jsonl", every=4),
            RolloutTable(tmp_path / "rollouts.jsonl", every=4, prompts=1),
            Timings(tmp_path / "timings.jsonl", every=4),
        ],
    )
    rounds = [[replace(quiz, step=step)] for step in range(5)]
    trainer.fit(module, DataLoader(rounds, batch_size=None))
    return tmp_path, recorder, module


def test_rows_are_numbered_by_optimizer_steps_and_the_last_one_is_written(watched):
    folder, recorder, _ = watched
    assert [row["step"] for row in rows(folder / "metrics.jsonl")] == [4, 8, 10]
    assert [row["step"] for row in rows(folder / "timings.jsonl")] == [4, 8, 10]
    sent = [step for step, metrics in recorder.rows if "train/reward" in metrics]
    assert sent == [4, 8, 10]


def test_a_service_is_sent_what_the_file_says(watched):
    folder, recorder, _ = watched
    written = {row.pop("step"): row for row in rows(folder / "metrics.jsonl")}
    sent = {step: values for step, values in recorder.rows if "train/reward" in values}
    assert sent == written


def test_seconds_add_up(watched):
    for row in rows(watched[0] / "timings.jsonl"):
        laps = [v for n, v in row.items() if n.startswith("time/") and n.count("_") == 0]
        assert sum(laps) == pytest.approx(2 * row["time/step"])
        assert {"time/data", "time/towers", "time/decode", "time/update", "time/other"} <= {*row}


def test_whole_groups_are_written_with_what_they_earned(watched):
    folder, _, module = watched
    table = rows(folder / "rollouts.jsonl")
    assert [row["step"] for row in table] == [2, 4, 8]  # and the first round of all
    for row in table:
        assert row["id"] == "q0"
        assert len(row["completions"]) == module.rlvr.group_size
        for said in row["completions"]:
            parts = said["parts"]
            paid = 0.9 * parts["accuracy"] + 0.1 * parts["format"]
            assert said["reward"] == pytest.approx(paid, abs=1e-6)
            assert said["correct"] == (parts["accuracy"] == 1)
