"""Paths in settings: from home, from the current directory, and of what the project ships."""

import re
from pathlib import Path
from typing import get_args

import pytest

from configs.load import HINTS, SCRIPTS, load_config
from configs.paths import PATHS, WEIGHTS
from configs.recipe_command import read_command
from configs.schema import Config

ROOT = Path(__file__).parents[2]


def load(*words: str) -> Config:
    return load_config([*words], tuple(SCRIPTS))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("key", PATHS)
def test_the_home_directory_is_put_in_everywhere(home, key):
    lists = list in {HINTS[key], *get_args(HINTS[key])} or "list" in str(HINTS[key])
    word = f"{key}=[~/a,b]" if lists else f"{key}=~/a/b"
    config = load("stage=audit", "model.freeze_towers=true", word)
    found: object = config
    for name in key.split("."):
        found = getattr(found, name)
    assert found == ([f"{home}/a", "b"] if lists else f"{home}/a/b")


def test_manifests_that_are_joined_are_each_put_in(home):
    assert load("stage=sft", "data.train=~/a.jsonl+b+~/c").data.train == (
        f"{home}/a.jsonl+b+{home}/c"
    )


def test_other_texts_keep_their_tilde(home):
    config = load("stage=sft", "model.system_prompt=~/ is home", "run.root=a~b")
    assert (config.model.system_prompt, config.run.root) == ("~/ is home", "a~b")


@pytest.mark.parametrize("key", WEIGHTS)
def test_the_directory_of_a_run_stands_for_its_export(tmp_path, key):
    for name in ("run", "model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.hash").touch()
    (tmp_path / "model/config.json").touch()  # weights, whatever else lies there
    several = key.endswith(("checkpoints", "disjoint_from"))
    value = f"{tmp_path}/run/,{tmp_path}/model,{tmp_path}/gone" if several else f"{tmp_path}/run"
    found: object = load("stage=audit", f"{key}=[{value}]" if several else f"{key}={value}")
    for name in key.split("."):
        found = getattr(found, name)
    export, *others = f"{tmp_path}/run/export", f"{tmp_path}/model", f"{tmp_path}/gone"
    assert found == ([export, *others] if several else export)
    assert load("stage=audit", f"push.run={tmp_path}/run").push.run == f"{tmp_path}/run"


def test_a_recipe_goes_where_its_root_says(home):
    assert read_command(["recipe=vidground", "run.root=~/r"]).root == home / "r"


def test_every_setting_of_a_directory_is_a_path():
    """By what its docstring begins with: nobody who adds one has to remember this."""
    texts = "".join(path.read_text() for path in (ROOT / "configs").glob("*.py"))
    said = re.findall(
        r'^    (\w+): [^\n]*\n    """(?:Directory|Directories|File|Weights)\b', texts, re.M
    )
    assert {"root", "checkpoints", "traces", "tower_cache", "judge"} <= {*said}
    known = {key.split(".")[-1] for key in PATHS} | {"name"}  # run.name is one inside run.root
    assert {*said} <= known


def test_from_elsewhere_the_project_is_where_it_is(tmp_path, monkeypatch):
    here = load("stage=sft")
    assert (here.model.path, here.data.root) == ("assets/tiny", "data/digits")
    monkeypatch.chdir(tmp_path)
    config = load("stage=sft")
    assert config.model.path == str(ROOT / "assets/tiny")
    assert config.data.root == str(ROOT / "data/digits")
    assert config.run.root == "runs"  # what a run leaves belongs to who runs it
    given = load("stage=sft", "model.path=assets/tiny", "data.root=mine")
    assert (given.model.path, given.data.root) == ("assets/tiny", "mine")


def test_from_elsewhere_a_model_of_the_hub_stays_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load("stage=sft", "model=qwen2_5_omni_3b", "data=manifest", "data.root=d")
    assert (config.model.path, config.data.root) == ("Qwen/Qwen2.5-Omni-3B", "d")
