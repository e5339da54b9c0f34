"""Whether a run sends its figures somewhere."""

import logging

import pytest

from configs.load import load_config
from configs.schema import Config
from runtime.loggers import UNSENT, sends_to_wandb, tell_unsent


def config(*words: str) -> Config:
    return load_config([*words], ("sft", "benchmark", *UNSENT))


def test_nothing_is_sent_unless_it_is_asked_for():
    assert not sends_to_wandb(config("stage=sft"))
    assert sends_to_wandb(config("stage=sft", "logger=wandb"))


def test_a_package_that_is_missing_is_told(monkeypatch):
    monkeypatch.setattr("runtime.loggers.find_spec", lambda _: None)
    assert not sends_to_wandb(config("stage=sft"))
    with pytest.raises(ValueError) as caught:
        sends_to_wandb(config("stage=sft", "logger=wandb"))
    assert str(caught.value) == (
        "logger is wandb, but the package wandb is not installed: run `pip install wandb`, or "
        "leave logger=wandb out."
    )


@pytest.mark.parametrize("stage", ["sft", "benchmark", *UNSENT])
@pytest.mark.parametrize("logger", ["jsonl", "wandb"])
def test_a_stage_that_sends_nothing_says_so(stage, logger, caplog):
    with caplog.at_level(logging.WARNING):
        tell_unsent(config(f"stage={stage}", f"logger={logger}"))
    told = logger == "wandb" and stage in UNSENT
    assert [f"stage={stage} leaves files alone" in one for one in caplog.messages] == [True] * told
