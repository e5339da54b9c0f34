"""Where files go: a node's HOME is small, shared or absent, so nothing is written there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAINING = ["trainer.max_steps=2", "trainer.batch_size=2", "trainer.val_check_interval=1"]
TRAINING += ["trainer.val_limit=2", "rlvr.group_size=2", "rlvr.max_completion_tokens=6"]
RUNS = (
    ("eval.py", "stage=probe", "probe.limit=6", "probe.conditions=[full,text_only]"),
    ("train.py", "stage=rlvr", "logger=wandb", "rlvr.log_rollouts_every=1", *TRAINING),
    ("eval.py", "stage=benchmark", "benchmark.limit=4", "benchmark.checkpoints=[runs/1/export]"),
    ("eval.py", "stage=audit", "audit.group_by=evidence"),
)
"""With embedded data, which the first one makes; with curves, an export and a picture."""


@pytest.fixture(scope="module")
def after(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the places of a node in it, after the runs."""
    place = tmp_path_factory.mktemp("node")
    homes = {"HOME": "home", "XDG_CACHE_HOME": "home/cache", "TMPDIR": "tmp", "HF_HOME": "hf"}
    for name in (*homes.values(), "work"):
        (place / name).mkdir()
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment |= {name: str(place / own) for name, own in homes.items()}
    environment |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
    for number, (script, *words) in enumerate(RUNS):
        done = subprocess.run(
            [sys.executable, ROOT / script, *words, "data.root=data", f"run.name={number}"],
            cwd=place / "work",
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    return place


def files(place: Path) -> list[str]:
    return sorted(str(file.relative_to(place)) for file in place.rglob("*") if not file.is_dir())


def test_runs_leave_no_file_below_home(after):
    assert files(after / "home") == []


def test_runs_leave_nothing_in_the_cache_of_the_hub(after):
    assert files(after / "hf") == []


def test_runs_leave_only_a_list_of_fonts_in_tmpdir(after):
    names = {Path(file).parent.name for file in files(after / "tmp")}
    assert names <= {f"earwitness-{os.geteuid()}"}


def test_runs_leave_files_below_their_roots_only(after):
    written = files(after / "work")
    assert {Path(file).parts[0] for file in written} == {"data", "runs"}
    assert {"runs/1/export/model.safetensors", "runs/3/contribution.png"} <= {*written}
    assert any(file.startswith("runs/1/wandb/offline-run") for file in written)
