"""The words of a push: how it is typed, and what is refused before anything is trained."""

from pathlib import Path

import pytest

from configs.load import config_hash, load_config, read_config, to_yaml
from configs.recipe_command import read_command
from configs.schema import Config
from recipes.steps import resolve

TRAIN, EVAL = ("sft", "rlvr"), ("benchmark", "push")


def load(*words: str) -> Config:
    return load_config([*words], TRAIN + EVAL)


@pytest.mark.parametrize(
    "words",
    [["--push-to-hub=me/x"], ["--push-to-hub", "me/x"], ["push.to=me/x"], ["push-to-hub=me/x"]],
)
def test_a_push_is_typed_as_elsewhere(words):
    config = load("stage=sft", *words)
    assert config.push.to == "me/x" and config.push.private
    assert config_hash(config) == config_hash(load("stage=sft"))


def test_nothing_is_pushed_unless_asked():
    assert load("stage=rlvr").push.to is None


@pytest.mark.parametrize(
    "name", ["x", "me/", "/x", "me/x/y", "me /x", "me/x--y", "me/..", "me/x.git", "me/x\u00fc"]
)
def test_what_is_no_repository_is_refused(name):
    with pytest.raises(ValueError, match=r"push\.to is .*NAMESPACE/NAME, .*: give the name"):
        load("stage=sft", f"push.to={name}")
    with pytest.raises(ValueError, match=r"push\.datasets is "):
        load("stage=sft", f"push.datasets=[{name}]")


@pytest.mark.parametrize("name", ["me/x", "Me-2/x_y.z", "a/0", "open-org/Qwen2.5-Omni-3B"])
def test_what_is_one_is_taken(name):
    assert load("stage=sft", f"push.to={name}").push.to == name


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["stage=benchmark", "push.to=a/b"], r"stage=benchmark leaves no weights: .*stage=push"),
        (["stage=sft", "push.run=runs/a"], r"push\.run is set, but stage=sft pushes"),
        (["stage=sft", "push.benchmark=runs/a"], r"push\.benchmark is set, but .*afterwards"),
        (["stage=sft", "push.folder=adapter"], r"model\.lora\.rank=0 trains no adapters"),
        (["stage=push", "--push-to-hub=hf_" + "Ab1" * 10], r"holds a Hugging Face token, but"),
        (
            ["stage=push", "--push-to-hub="],
            r"names no repository, .* give NAMESPACE/NAME",
        ),
        (["stage=push", "push.to="], r"^push.to= names no repository"),
    ],
)
def test_what_makes_no_sense_is_refused(words, told):
    with pytest.raises(ValueError, match=told):
        load(*words)


def test_the_settings_of_a_run_are_read_as_they_were_written(tmp_path):
    config = load("stage=rlvr", "model.lora.rank=4", "optim.lr=3e-6", "data.root=there")
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert read_config(tmp_path / "config.yaml") == config
    (tmp_path / "config.yaml").write_text("stage: sft\n")
    with pytest.raises(ValueError, match=r"config\.yaml lacks settings .*restore"):
        read_config(tmp_path / "config.yaml")


def test_a_recipe_pushes_the_weights_of_one_step():
    with pytest.raises(ValueError, match=r"for all steps of vidground, but .*rlvr:push\.to="):
        resolve(read_command(["recipe=vidground", "--push-to-hub=me/x"]), Path("r"))
    command = read_command(["recipe=vidground", "rlvr:push.to=me/x"])
    pushed = {step.name: step.config.push.to for step in resolve(command, Path("r"))}
    assert pushed.pop("rlvr") == "me/x" and {*pushed.values()} == {None}
    seeds = read_command(["recipe=vidground", "rlvr:push.to=me/x", "seeds=[0,1]"])
    with pytest.raises(ValueError, match=r"run rlvr 2 times, .*eval\.py stage=push"):
        resolve(seeds, Path("r"), seeds.arms[0])
