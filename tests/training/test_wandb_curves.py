"""Weights & Biases out of reach, refused and failing: what a run makes of it."""

import json
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import wandb

from configs.load import load_config
from runtime.runs import Run
from tests.mortal import mortal
from training.wandb_curves import Curves, curves_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in [*os.environ]:
        if name.startswith("WANDB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # no netrc
    return Run(dir=tmp_path, resumed=False, lock=None)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that nobody listens at, and that nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Something that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield "listening"


NURSERY = """
import json, os, pathlib, sys, time
import wandb
from configs.load import load_config
from training.wandb_curves import curves_of
from runtime.runs import Run
from tests.mortal import mortal
for line in sys.stdin:
    place, environ = json.loads(line)
    if os.fork():
        os.wait()
        print("over", flush=True)
        continue
    mortal()
    os.environ.clear()
    os.environ.update(environ)
    run = Run(dir=pathlib.Path(place), resumed=False, lock=None)
    began = time.monotonic()
    try:
        curves = curves_of(load_config(["stage=sft", "logger=wandb"], ("sft",)), run)
        curves.log_metrics({"train/loss": 1.5}, step=1)
        said = "showed a step"
    except ValueError as error:
        said = str(error)
    print("SAID", time.monotonic() - began < 80, said, sep="|", flush=True)
    sys.exit()
"""


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[str]]:
    """A process that has imported what takes long, for those that are forked off it."""
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=mortal,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def begin(run: Run, nursery: subprocess.Popen[str]) -> Callable[..., str]:
    """Begin curves in a process of its own, as wandb keeps one session for each."""

    def begin(**environ: str) -> str:
        print(json.dumps([str(run.dir), {**os.environ, **environ}]), file=nursery.stdin, flush=True)
        said = ""
        while (line := nursery.stdout.readline()) not in ("over\n", ""):
            if line.startswith("SAID|"):  # wandb speaks as well
                _, soon, said = line.rstrip().split("|")
                assert soon == "True"
        return said

    return begin


@pytest.mark.parametrize(
    ("key", "why"), [({}, "no API key is conf"), ({"WANDB_API_KEY": "abc"}, "40")]
)
def test_without_a_key_that_can_be_one_a_run_ends_before_it_begins(begin, server, key, why):
    said = begin(**key)
    assert said.startswith("wandb cannot log in at http://127.0.0.1:") and why in said
    assert "set WANDB_MODE=offline" in said


@pytest.mark.parametrize(
    ("variable", "why"),
    [
        ({"WANDB_MODE": "nearline"}, "cannot read its settings (mode: Input should be 'online', "),
        ({"WANDB_BASE_URL": "nowhere"}, "cannot read its settings (base_url: Input should be a"),
        ({"WANDB_BASE_URL": "http://me:secret1@127.0.0.1"}, "WANDB_BASE_URL holds a user or pass"),
        ({"WANDB_NOTES": "hf_" + "Ab1" * 10}, "WANDB_NOTES holds a Hugging Face token, but "),
    ],
)
def test_what_wandb_would_misread_or_write_down_is_refused(begin, variable, why):
    said = begin(**{"WANDB_MODE": "offline", **variable})
    assert why in said and "secret1" not in said and "Ab1Ab1" not in said, said


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "http://nowhere.invalid"])
def test_a_server_that_is_not_there_is_told_at_once(begin, address, deaf_port):
    given = address.format(port=deaf_port)
    said = begin(WANDB_API_KEY="a" * 40, WANDB_BASE_URL=given)
    assert said.startswith(f"{given} cannot be reached (") and "set WANDB_MODE=offline" in said


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_without_a_server_a_run_needs_no_key(begin, run, mode):
    assert begin(WANDB_MODE=mode) == "showed a step"
    assert bool([*run.dir.glob("wandb/offline-run-*")]) == (mode == "offline")


def test_a_server_that_dies_late_holds_up_no_finished_run(run, monkeypatch):
    """wandb itself would try for days to hand over what is left."""
    asked: list[wandb.Settings] = []

    def begun(**named: Any) -> SimpleNamespace:
        asked.append(named["settings"])
        return SimpleNamespace(experiment=None)

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setattr("training.wandb_curves.Curves", begun)
    curves_of(load_config(["stage=sft", "logger=wandb"], ("sft",)), run)
    assert [settings.finish_timeout for settings in asked] == [60]


def test_a_run_outlives_its_curves(caplog):
    """What wandb refuses is told once, and the steps go on."""

    class Broken:
        def log(self, *_: object) -> None:
            raise BrokenPipeError("the service is gone")

    curves = Curves(project="x", experiment=Broken())
    with caplog.at_level(logging.WARNING):
        curves.log_metrics({"train/loss": 1.5}, step=3)
        curves.log_metrics({"train/loss": 1.25}, step=4)
        curves.log_table("rollouts", columns=["a"], data=[[1]])
    assert [record.getMessage() for record in caplog.records] == [
        "wandb takes no more metrics (the service is gone): the run goes on, and metrics.jsonl has "
        "all"
    ]
