"""What the agent of Weights & Biases writes for the parameters it draws, as this project reads it.

Its own function makes the words here; `${NAME}` in a sweep's command stands for a list of them.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from configs.load import load_config
from configs.names import flatten

MACROS = (
    *("args", "args_no_hyphens", "args_no_boolean_flags", "args_json", "args_json_file"),
    *("args_append_hydra", "args_override_hydra", "args_no_equals"),
)
BEFORE = ["stage=rlvr", "init_from=elsewhere", "model.gradient_checkpointing=true"]
"""Set otherwise than drawn, so that a parameter that is lost shows."""

DRAWN: dict[str, tuple[Any, dict[str, Any]]] = {
    "true": (("model.freeze_towers", True), {"model.freeze_towers": True}),
    "false": (("model.gradient_checkpointing", False), {"model.gradient_checkpointing": False}),
    "null": (("init_from", None), {"init_from": None}),
    "a list": (("data.contribution.probes", ["x", "y"]), {"data.contribution.probes": ["x", "y"]}),
    "an empty list": (("model.lora.targets", []), {"model.lora.targets": []}),
    "a list of texts with commas": (
        ("data.contribution.probes", ["x, y", "it's"]),
        {"data.contribution.probes": ["x, y", "it's"]},
    ),
    "a section": (
        (
            "rlvr",
            {"group_size": 12, "reward": {"format": 0.25}, "mask_truncated_completions": True},
        ),
        {
            "rlvr.group_size": 12,
            "rlvr.reward.format": 0.25,
            "rlvr.mask_truncated_completions": True,
        },
    ),
    "a section below another": (
        ("rlvr.objective", {"clip_high": 0.3125, "loss_aggregation": "token"}),
        {"rlvr.objective.clip_high": 0.3125, "rlvr.objective.loss_aggregation": "token"},
    ),
    "spaces": (("run.name", "a b,c=d"), {"run.name": "a b,c=d"}),
    "quotes and braces": (
        ("model.system_prompt", "{say} 'A'"),
        {"model.system_prompt": "{say} 'A'"},
    ),
    "a small number": (("optim.lr", 1e-07), {"optim.lr": 1e-7}),
    "a whole number": (("seed", 41), {"seed": 41}),
    "a negative text": (("run.name", "-1"), {"run.name": "-1"}),
    "a name of digits": (("run.name", "007"), {"run.name": "007"}),
    "an empty text": (("model.system_prompt", ""), {"model.system_prompt": ""}),
    "an empty text that may be null": (("init_from", ""), {"init_from": None}),
    "a group": (("objective", "dr_grpo"), {"rlvr.objective.scale_rewards": "none"}),
    "a file": (("data.train", "mine.json"), {"data.train": "mine.json"}),
}


def words(macro: str, drawn: dict[str, Any], folder: Path) -> list[str]:
    """Write parameters as the agent does, of which a file is its own work."""
    made = create_sweep_command_args({"args": {key: {"value": v} for key, v in drawn.items()}})
    if macro != "args_json_file":
        found: list[str] = made[macro]
        return found
    file = folder / "wandb/sweep-a1b2/config-c3=d4.json"
    file.parent.mkdir(parents=True)
    file.write_text(made["args_json"][0])
    return [str(file)]


def settings(*given: str) -> dict[str, Any]:
    return flatten(asdict(load_config([*BEFORE, *given], ("rlvr",))))


@pytest.mark.parametrize("macro", MACROS)
@pytest.mark.parametrize("what", DRAWN)
def test_a_drawn_parameter_becomes_what_was_meant_and_nothing_else(macro, what, tmp_path):
    (key, value), expected = DRAWN[what]
    found, before = settings(*words(macro, {key: value}, tmp_path)), settings()
    if macro == "args_no_boolean_flags" and value is False:
        assert found == before  # the macro leaves it out, which docs/sweeps.md says
        return
    if what != "a group":  # which sets several
        assert {key: found[key] for key in found if found[key] != before[key]} == {
            key: value for key, value in expected.items() if value != before[key]
        }
    assert {key: found[key] for key in expected} == expected


@pytest.mark.parametrize("macro", MACROS)
def test_parameters_drawn_together_are_all_read(macro, tmp_path):
    """Flags stand amid others, and what follows one is no value of it."""
    drawn = {
        "model.freeze_towers": True,
        "optim.lr": 3e-05,
        "rlvr.mask_truncated_completions": True,
        "init_from": None,
        "rlvr.reward": {"format": 0.5},
        "run.name": "x y",
    }
    found = settings(*words(macro, drawn, tmp_path), "seed=5")
    assert found["rlvr.reward.format"] == 0.5 and found["seed"] == 5
    assert {key: found[key] for key in drawn if key in found} == {
        key: value for key, value in drawn.items() if key != "rlvr.reward"
    }


def test_every_parameter_differs_from_what_stands_before_it():
    """Or a parser that drops it would pass."""
    before = settings()
    same = [
        what for what, (_, then) in DRAWN.items() if all(before[k] == v for k, v in then.items())
    ]
    assert same == ["an empty text"]  # which is the default: see below
    assert settings("model.system_prompt=x", "--model.system_prompt=")["model.system_prompt"] == ""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[1, 2]", "is '[1, 2]', which cannot be read"),
        ('{"optim.lr": 1, "optim.lr": 2}', "cannot be read"),
        ('{"optim": ', "cannot be read"),
        ('{"optim.lrr": 1}', "there is no setting 'optim.lrr'; did you mean optim.lr?"),
    ],
)
def test_a_file_that_is_none_of_parameters_is_told(content, why, tmp_path):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(ValueError) as caught:
        settings(str(tmp_path / "a.json"))
    assert why in str(caught.value)


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(ValueError, match=r"gone\.json is no file, but settings are read from"):
        settings("gone.json")


def test_a_key_in_such_a_file_is_refused_and_not_repeated(tmp_path):
    key = f"sk-proj-{'a1B2c3D4' * 5}"
    (tmp_path / "a.json").write_text(json.dumps({"run.name": key}))
    with pytest.raises(ValueError, match=r"a\.json holds an API key") as caught:
        settings(str(tmp_path / "a.json"))
    assert key not in str(caught.value)
