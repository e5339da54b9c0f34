"""Old names of settings: each is answered with the new one, wherever it is written."""

from shutil import copytree

import pytest
import yaml

from configs.load import load_config
from configs.names import HINTS, flatten
from configs.paths import FOLDER
from configs.recipe_command import read_command
from configs.renamed import RENAMED, RENAMED_VALUES, new_name
from configs.schema import Config
from recipes.steps import resolve
from runtime.runs import open_run

STAGES = ("sft", "rlvr")

KEYS = [(old, new) for old, new in RENAMED.items() if new in HINTS]
"""Without sections."""

VALUES = [(key, *pair) for key, pairs in RENAMED_VALUES.items() for pair in pairs.items()]


def test_every_row_leads_from_a_name_that_is_gone_to_one_that_is_there():
    assert len(KEYS) > 30
    for old, new in RENAMED.items():
        assert old not in HINTS
        assert any(key == new or key.startswith(f"{new}.") for key in HINTS)


@pytest.mark.parametrize(("old", "new"), KEYS)
@pytest.mark.parametrize("form", ["{}=1", "--{}=1", "++{}=1"])
def test_an_old_key_names_the_new_one(old, new, form):
    with pytest.raises(ValueError, match=rf"{old} is called {new} .* are not read: give {new}=1"):
        load_config(["stage=rlvr", form.format(old)], STAGES)


def test_an_old_key_before_its_value_names_the_new_one():
    with pytest.raises(ValueError, match=r"give trainer\.accumulate_grad_batches=4$"):
        load_config(["stage=rlvr", "--trainer.accumulate", "4"], STAGES)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rlvr.correction.high", "rlvr.rollout_correction.high"),
        ("distill.traces.samples", "distill.rejection_sampling.samples"),
        ("distill.student.condition", "distill.student_view.condition"),
        ("rlvr.refill", "rlvr.dynamic_sampling"),
    ],
)
def test_a_section_takes_its_settings_along(old, new):
    with pytest.raises(ValueError, match=f"{old} is called {new} in this version"):
        load_config(["stage=rlvr", f"{old}=1"], STAGES)
    assert new_name("rlvr.group_size") is None and new_name("data.asking") is None


@pytest.mark.parametrize(("key", "old", "new"), VALUES)
def test_an_old_value_names_the_new_one(key, old, new):
    with pytest.raises(ValueError, match=f"{key} is '{old}', which is called {new} .*{key}={new}$"):
        load_config(["stage=sft", f"{key}={old}"], STAGES)


def test_an_old_key_with_an_old_value_names_both():
    with pytest.raises(ValueError, match=r"data\.ask is called data\.task .*: give .*=describe$"):
        load_config(["stage=sft", "data.ask=evidence"], STAGES)


@pytest.mark.parametrize("word", ["trainer.accumulate=2", "rlvr:trainer.accumulate=2"])
def test_a_recipe_answers_as_well(tmp_path, word):
    with pytest.raises(ValueError, match=r"called trainer\.accumulate_grad_batches in this"):
        resolve(read_command(["recipe=vidground", word]), tmp_path)


def test_a_file_of_settings_answers_as_well(tmp_path, monkeypatch):
    copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("configs.load.FOLDER", tmp_path)
    (tmp_path / "objective" / "tea.yaml").write_text("rlvr: {refill: {tries: 2}}\n")
    with pytest.raises(
        ValueError, match=r"^objective=tea: rlvr\.refill\.tries is called rlvr\.dyn"
    ):
        load_config(["stage=rlvr", "objective=tea"], STAGES)


def test_a_recipe_of_old_names_answers_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr("configs.recipes.RECIPES", tmp_path)
    (tmp_path / "tea").mkdir()
    steps = "steps:\n- {name: rlvr, stage: rlvr, trainer: {accumulate: 2}}\n"
    (tmp_path / "tea" / "digits.yaml").write_text(steps)
    with pytest.raises(ValueError, match=r"called trainer\.accumulate_grad_batches in this"):
        resolve(read_command(["recipe=tea"]), tmp_path)


def test_a_run_of_an_earlier_version_is_not_resumed(tmp_path):
    def config(*words: str) -> Config:
        return load_config(["stage=rlvr", f"run.root={tmp_path}", "run.name=a", *words], STAGES)

    with open_run(config()) as run:
        file = run.dir / "config.yaml"
        settings = yaml.safe_load(file.read_text())
        settings["trainer"]["accumulate"] = settings["trainer"].pop("accumulate_grad_batches")
        file.write_text(yaml.safe_dump(settings))
        (run.dir / "config.hash").write_text("12345678")
    assert "trainer.accumulate" in flatten(settings)
    with pytest.raises(ValueError, match=r"trainer\.accumulate, which is called .*choose another"):
        open_run(config())
