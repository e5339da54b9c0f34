"""Recipes in a process of their own: stopped, and two at once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mortal import mortal
from tests.recipes.conftest import STEPS, began, events, journal

ROOT = Path(__file__).parents[2]

CHILD = """
import os, sys
from pathlib import Path
from configs import recipe_command, recipes
from recipes import processes
recipes.RECIPES, processes.ROOT = Path(sys.argv[1]), Path(sys.argv[1])
processes.PATIENCE = float(os.environ.get("PATIENCE", 15))
from recipes.running import follow
follow(recipe_command.read_command(["recipe=tea", *sys.argv[2:]]), tell=print)
"""


@pytest.fixture
def start(tea: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Follow the recipe in a process of its own, up to its first step."""
    children = []

    def start(*words: str) -> subprocess.Popen:
        command = [sys.executable, "-c", CHILD, str(tea), f"run.root={tea}/runs"]
        command += [f"data.root={tea}", "data.embedded=false", *words]
        slow = {**os.environ, "SLEEP": "120"}
        children.append(subprocess.Popen(command, cwd=ROOT, env=slow, preexec_fn=mortal))
        count = len(began(tea))
        deadline = time.monotonic() + 60
        while len(began(tea)) == count and time.monotonic() < deadline:
            time.sleep(0.02)
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.wait()
    for row in journal(tea):
        assert row["what"] != "ended", "a step outlived its recipe"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_reaches_the_running_step_once(tea, start, name):
    child = start()
    child.send_signal(getattr(signal, name))
    assert child.wait(30) == 128 + getattr(signal, name)
    assert events(tea) == [("probe", "began"), ("probe", name)]


def test_a_signal_reaches_all_arms(tea, start):
    (tea / "tea/digits.yaml").write_text(STEPS.replace("shared: true", "shared: false"))
    child = start("seeds=[1,2,3]", "jobs=2")
    while len(began(tea)) < 2:
        time.sleep(0.02)
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 128 + signal.SIGTERM
    assert sorted(events(tea)) == [("probe", "SIGTERM")] * 2 + [("probe", "began")] * 2


@pytest.mark.parametrize("words", [(), ("seeds=[1,2,3]", "jobs=2")])
@pytest.mark.parametrize("by", ["a second signal", "time"])
def test_a_step_that_hears_nothing_is_killed(tea, start, monkeypatch, words, by):
    """It was stopped, say; the code is still that of the first signal."""
    if words:
        (tea / "tea/digits.yaml").write_text(STEPS.replace("shared: true", "shared: false"))
    if by == "time":
        monkeypatch.setenv("PATIENCE", "1")
    child = start(*words)
    while len(began(tea)) < (2 if words else 1):
        time.sleep(0.02)
    steps = [row["pid"] for row in journal(tea)]
    for step in steps:
        os.killpg(step, signal.SIGSTOP)
    child.send_signal(signal.SIGTERM)
    if by != "time":
        time.sleep(1.5)
        assert child.poll() is None
        child.send_signal(signal.SIGINT)
    assert child.wait(30) == 128 + signal.SIGTERM
    assert not any(Path(f"/proc/{step}").exists() for step in steps)


def test_two_starts_at_once_do_not_share_a_directory(tea, start):
    first, second = start(), start()
    assert len([*(tea / "runs").iterdir()]) == 2
    for child in (first, second):
        child.send_signal(signal.SIGTERM)
        child.wait(30)
