"""Twenty steps of every named objective and reward, as they were when somebody last looked closely.

    GOLDEN=write python -m pytest tests/training/test_golden_losses.py

writes tests/golden/losses.json again, where a change is meant; look at its difference.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor

from configs.load import choices, load_config
from configs.schema import OptimConfig
from datamodules.batch import Batch
from modules.policy.omni import OmniModel
from modules.rewards.verifier_reward import VerifierReward
from modules.rlvr import RlvrModule
from modules.step.policy_module import FitSettings
from tests.fitting import train

FILE = Path(__file__).parents[1] / "golden" / "losses.json"
STEPS = 20
ROWS = [(group, name) for group in ("objective", "reward") for name in choices(group)]
SMALL = ["rlvr.group_size=4", "rlvr.max_completion_tokens=6", "rlvr.temperature=1.5"]
TOLERANCE = 1e-4
"""Relative to the largest of the twenty: other processors round otherwise, and twenty steps of Adam
let that grow. A change of meaning is larger by orders of magnitude."""


def fresh(quiz: Batch, number: int, attempt: int) -> Batch:
    """Offer a question of the quiz as one that was not asked before."""
    one = replace(quiz, step=number).select([attempt % 4])
    return replace(one, samples=[replace(one.samples[0], id=f"fresh{attempt}")])


def losses(policy: OmniModel, quiz: Batch, group: str, name: str) -> list[float]:
    """Train on the quiz, which other draws make another round of each time."""
    seen = replace(quiz, views=dict.fromkeys(("blind", "shuffled"), quiz.views["blind"]))
    config = load_config(["stage=rlvr", f"{group}={name}", *SMALL], ("rlvr",))
    rlvr = replace(config.rlvr, num_iterations=2)  # else every ratio is 1
    if name == "omniboost":
        rlvr = replace(rlvr, reward=replace(rlvr.reward, early_steps=STEPS // 2))
    module = RlvrModule(
        policy,
        FitSettings(optim=OptimConfig(lr=1e-4), max_steps=STEPS, seed=5),
        rlvr,
        reward_function=VerifierReward(rlvr),
        accumulate=1,
        fresh_prompts=lambda number, attempt: fresh(seen, number, attempt),
    )
    rounds = [[replace(seen, step=step)] for step in range(STEPS // 2)]
    found: list[float] = []
    record = module.metrics.record

    def listening(values: Mapping[str, Tensor | float], **how: float) -> None:
        found.extend(float(value) for name, value in values.items() if name == "loss")
        record(values, **how)

    module.metrics.record = listening  # type: ignore[method-assign]
    train(module, rounds, steps=STEPS)
    return found


def test_every_preset_is_listed():
    golden = json.loads(FILE.read_text())
    assert sorted(golden) == sorted(f"{group}={name}" for group, name in ROWS)
    assert all(len(values) == STEPS for values in golden.values())
    assert len({tuple(values) for values in golden.values()}) > len(ROWS) / 2


@pytest.mark.parametrize(("group", "name"), ROWS, ids=lambda word: word)
def test_losses_are_those_of_before(tiny_policy, quiz, group, name):
    if os.environ.get("GOLDEN") == "write":
        kept = json.loads(FILE.read_text()) if FILE.exists() else {}
        kept[f"{group}={name}"] = losses(tiny_policy, quiz, group, name)
        FILE.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n")
        pytest.skip("written, not compared")
    golden = json.loads(FILE.read_text())[f"{group}={name}"]
    largest = max(map(abs, golden))
    found = losses(tiny_policy, quiz, group, name)
    assert found == pytest.approx(golden, abs=TOLERANCE * largest, rel=0)
