"""A run that learns nothing is warned of once, and its rows say it."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from configs.rewards import RewardConfig
from tests.fitting import train
from tests.modules.test_rlvr import rlvr_module
from training.callbacks import signs
from training.callbacks.metrics import MetricsWriter
from training.callbacks.signs import SignWatch
from training.wandb_curves import Curves

NOTHING = {"signs/constant_reward": 1.0, "signs/no_gradient": 1.0, "signs/no_spread": 1.0}


@pytest.fixture
def fit(tiny_policy, quiz, tmp_path):
    """Train for some steps; the rows of metrics with their signs."""

    def fitted(steps: int, every: int = 1, **weights: float) -> list[dict[str, Any]]:
        reward = RewardConfig(**weights)
        module = rlvr_module(tiny_policy, reward=reward, group_size=2, max_completion_tokens=8)
        path = tmp_path / "metrics.jsonl"
        batches = [[replace(quiz, step=step)] for step in range(steps)]
        watching = (SignWatch(path, every=every), MetricsWriter(path, every=every))
        train(module, batches, steps=steps, callbacks=watching)
        return rows(path)

    return fitted


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def marks(row: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in row.items() if name.startswith("signs/")}


def test_a_run_whose_reward_is_0_says_so_from_its_tenth_row_on_and_warns_once(fit, caplog):
    with caplog.at_level(logging.WARNING, "training.callbacks.signs"):
        found = fit(13, accuracy=0, format=0)
    assert [marks(row) for row in found] == [{}] * 9 + [NOTHING] * 4
    [said] = [one.getMessage() for one in caplog.records if one.name == signs.__name__]
    assert said.startswith(
        "step 10: this run may learn nothing: the mean reward has been 0 all the time"
    )
    assert said.endswith(" (also: no_spread, no_gradient); docs/results.md has the signs")


def test_after_an_hour_it_warns_again(fit, caplog, monkeypatch):
    monkeypatch.setattr(signs, "HOUR", 0.0)
    with caplog.at_level(logging.WARNING, "training.callbacks.signs"):
        fit(12, accuracy=0, format=0)
    assert len([one for one in caplog.records if one.name == signs.__name__]) == 3


def test_a_run_that_earns_something_is_left_in_peace(fit, caplog):
    with caplog.at_level(logging.WARNING, "training.callbacks.signs"):
        found = fit(12)
    assert len({row["train/reward"] for row in found}) > 1
    assert "signs/constant_reward" not in found[-1]


def test_a_resumed_run_has_the_signs_of_one_that_was_not_killed(fit, tmp_path):
    """Its first row is the tenth in which the reward is 0; rows of validations, and of a last step
    off the beat, count for nothing."""
    dull = {"train/reward": 0.0, "train/loss": 0.0, "train/grad_norm": 0.0}
    before = [{"step": 2 * number, **dull} for number in range(1, 10)]
    before[4:4] = [{"step": 8, "val/accuracy": 0.5}, {"step": 9, **dull, "train/reward": 1.0}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in before))
    found = fit(2, every=2, accuracy=0, format=0)
    assert marks(found[-1]) == {"signs/constant_reward": 1.0, "signs/no_gradient": 1.0}


def test_weights_and_biases_gets_the_words():
    told: list[dict[str, str]] = []
    run = SimpleNamespace(alert=lambda **words: told.append(words), summary={})
    Curves(project="x", experiment=run).log_warning("step 10: nothing")
    assert told == [{"title": "This run may learn nothing", "text": "step 10: nothing"}]
    assert run.summary == {"warning": "step 10: nothing"}
