"""Weights & Biases out of reach, refused and failing: what a run makes of it."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from curves import Curves
from runs import Run

ROOT = Path(__file__).parent.parent


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in [*os.environ]:
        if name.startswith("WANDB_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # no netrc
    return Run(dir=tmp_path, resumed=False, lock=None)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Something that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield "listening"


WITH = """
import pathlib, sys, time
import wandb
from configs.load import load_config
from curves import curves_of
from runs import Run
run = Run(dir=pathlib.Path(sys.argv[1]), resumed=False, lock=None)
began = time.monotonic()
try:
    curves = curves_of(load_config(["stage=sft", "logger=wandb"], ("sft",)), run)
    curves.log_metrics({"train/loss": 1.5}, step=1)
    said = "showed a step"
except ValueError as error:
    said = str(error)
print("SAID", said, time.monotonic() - began < 10, sep="|")
"""


def begin(run: Run, **environ: str) -> list[str]:
    """Begin curves in a process of its own, as wandb keeps one session for each."""
    done = subprocess.run(
        [sys.executable, "-c", WITH, str(run.dir)],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("SAID|")]
    _, said, soon = line.split("|")  # wandb speaks too, and last
    assert soon == "True"
    return [said]


def test_without_a_key_a_run_ends_before_it_begins(run, server):
    (said,) = begin(run)
    assert said.startswith("wandb has no key that it can use (No API key configured")
    assert "set WANDB_MODE=offline" in said


def test_a_key_that_cannot_be_one_is_refused(run, server):
    (said,) = begin(run, WANDB_API_KEY="abc")
    assert "no key that it can use" in said and "40" in said and "WANDB_MODE=offline" in said


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}", "http://nowhere.invalid"])
def test_a_server_that_is_not_there_is_told_at_once(run, address):
    given = address.format(port=free_port())
    (said,) = begin(run, WANDB_API_KEY="a" * 40, WANDB_BASE_URL=given)
    assert said.startswith(f"{given} cannot be reached (") and "set WANDB_MODE=offline" in said


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_without_a_server_a_run_needs_no_key(run, mode):
    assert begin(run, WANDB_MODE=mode) == ["showed a step"]
    assert bool([*run.dir.glob("wandb/offline-run-*")]) == (mode == "offline")


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
