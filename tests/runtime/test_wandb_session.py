"""Where Weights & Biases writes, and under which id a run goes on."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from wandb.env import get_artifact_dir, get_cache_dir, get_data_dir
from wandb.sdk.artifacts.staging import get_staging_dir

from configs.load import load_config
from runtime.runs import Run
from runtime.wandb_session import FOLDERS, keep_inside, keywords, run_id


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in [*os.environ]:
        if name.startswith("WANDB_"):
            monkeypatch.delenv(name)
    for name in FOLDERS:
        monkeypatch.setenv(name, "")  # so that what is set here does not outlive the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "run").mkdir()
    return Run(dir=tmp_path / "run", resumed=False, lock=None)


@pytest.mark.parametrize("before", [None, "elsewhere"])
def test_wandb_finds_its_directories_inside_the_run(run, before, monkeypatch, tmp_path):
    """Also where the agent of a sweep or a user has named others."""
    for name in FOLDERS if before else ():
        monkeypatch.setenv(name, str(tmp_path / before))
    keep_inside(run.dir)
    found = [get_data_dir(), get_artifact_dir(), str(get_cache_dir()), get_staging_dir()]
    found += [os.environ["WANDB_DIR"], os.environ["WANDB_CONFIG_DIR"]]
    assert all(Path(place).is_relative_to(run.dir) for place in found), found
    assert not (tmp_path / "home").exists()


def test_a_run_named_by_a_relative_path_is_found_from_anywhere(run, monkeypatch):
    monkeypatch.chdir(run.dir.parent)
    keep_inside(Path("run"))
    assert os.environ["WANDB_DATA_DIR"] == str(run.dir / "wandb/data")


@pytest.mark.parametrize("by_variable", [True, False])
def test_settings_of_a_user_are_read_where_they_are(run, by_variable, monkeypatch, tmp_path):
    """They name a server of one's own, and may hold a key, which is not copied."""
    own = tmp_path / ("own" if by_variable else "home/.config/wandb")
    own.mkdir(parents=True)
    (own / "settings").write_text("[default]\nbase_url = http://127.0.0.1:9\n")
    if by_variable:
        monkeypatch.setenv("WANDB_CONFIG_DIR", str(own))
    keep_inside(run.dir)
    assert os.environ.get("WANDB_CONFIG_DIR") == (str(own) if by_variable else None)
    assert [*run.dir.rglob("*")] == [] and os.environ["WANDB_CACHE_DIR"].startswith(str(run.dir))


def test_a_run_keeps_its_id(run):
    first = run_id(run)
    assert first.startswith("run-") and run_id(run) == first


def test_only_the_leader_of_several_processes_chooses_the_id(run, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = load_config(["stage=sft", "logger=wandb"], ("sft",))
    assert keywords(config, run)["id"] is None and not (run.dir / "wandb.id").exists()
    with (run.dir / "run.lock").open("wb") as lock:
        leader = replace(run, lock=lock)
        assert keywords(config, leader)["id"] == (run.dir / "wandb.id").read_text()


@pytest.mark.parametrize("name", ["läufe 50% # x?", "it's: a\\b", "y" * 200])
def test_a_run_of_any_name_has_an_id(run, name, tmp_path):
    (tmp_path / name).mkdir()
    named = Run(dir=tmp_path / name, resumed=False, lock=None)
    assert run_id(named) == run_id(named) and len(run_id(named)) <= 128


def test_a_run_of_a_sweep_has_the_id_of_its_agent(run, monkeypatch):
    """wandb takes that one whatever it is told, so that the file would name another."""
    before = run_id(run)
    monkeypatch.setenv("WANDB_RUN_ID", "c0ffee77")
    assert run_id(run) == before  # left in a shell, and no sweep
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    assert run_id(run) == "c0ffee77"
    monkeypatch.delenv("WANDB_SWEEP_ID")
    monkeypatch.delenv("WANDB_RUN_ID")
    assert run_id(run) == "c0ffee77"  # continued by hand


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a/b", b"a" * 200, b"two words"])
def test_a_spoiled_id_is_told(run, content):
    (run.dir / "wandb.id").write_bytes(content)
    with pytest.raises(ValueError, match=r"wandb.id is damaged .*delete it"):
        run_id(run)
