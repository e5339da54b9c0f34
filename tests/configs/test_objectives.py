"""The objective that settings amount to, told without the word that chose it."""

from dataclasses import asdict

import pytest

from configs.load import choices, load_config
from configs.names import flatten
from configs.objectives import OWN, objective_of


def settings(*words: str) -> dict[str, object]:
    return flatten(asdict(load_config(["stage=rlvr", *words], ("rlvr",))))


@pytest.mark.parametrize("name", choices("objective"))
def test_each_objective_is_told_whatever_is_rewarded(name):
    assert objective_of(settings(f"objective={name}")) == name
    assert objective_of(settings(f"objective={name}", "reward=omniboost", "optim.lr=1e-7")) == name


def test_a_changed_one_is_own():
    assert objective_of(settings("objective=gspo", "rlvr.objective.clip_low=1e-3")) == OWN
    assert objective_of({}) == OWN
