"""Recipes of stand-ins for train.py and eval.py, which write down that they ran."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from configs import recipes
from configs.recipe_command import read_command
from recipes import processes
from recipes.running import follow
from runtime.runs import RANKS

STEPS = """\
# python train.py recipe=tea
# Probe, reinforce, compare.
steps:
  - {name: probe, stage: probe, shared: true}
  - {name: rlvr, stage: rlvr, filtered: true, data.contribution: {rule: vidground,
     probes: ["@probe"]}}
  - {name: last, stage: audit}
"""

STAND_IN = """\
import json, os, pathlib, signal, sys, time

words = dict(word.split("=", 1) for word in sys.argv[1:])
run = pathlib.Path(words["run.root"]) / words["run.name"]
run.mkdir(parents=True, exist_ok=True)
(run / "voters.txt").write_text("abc\\n")
journal = os.environ["JOURNAL"]

def note(what):
    with open(journal, "a") as file:
        row = {"step": str(run), "what": what, "words": sys.argv[1:], "time": time.time(),
               "script": pathlib.Path(sys.argv[0]).name, "pid": os.getpid(),
               "threads": os.environ.get("OMP_NUM_THREADS")}
        file.write(json.dumps(row) + "\\n")

def stop(number, frame):
    note(signal.Signals(number).name)
    sys.exit(3)

for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, stop)
note("began")
print("said", run.name)
if os.environ.get("FAIL") == run.name:
    print("many words\\nerror: the tea is cold: boil it", file=sys.stderr)
    sys.exit(1)
if os.environ.get("KILL") == run.name:
    os.kill(os.getpid(), signal.SIGKILL)
if os.environ.get("STOP") == run.name:
    sys.exit(143)
time.sleep(float(os.environ.get("SLEEP", 0)))
latest = time.time() + 60
while run.name == os.environ.get("MEET") and time.time() < latest:  # for the other arm's step
    lines = map(json.loads, pathlib.Path(journal).read_text().splitlines())
    began = {row["step"] for row in lines if row["step"].endswith(run.name)}
    if len(began) > 1:
        break
    time.sleep(0.05)
(run / "finished").touch()
note("ended")
"""


@pytest.fixture
def tea(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe of stand-ins, outside of any launcher."""
    for name in [*os.environ]:
        if name.startswith("SLURM_") or name in RANKS:
            monkeypatch.delenv(name)
    (tmp_path / "tea").mkdir()
    (tmp_path / "tea/digits.yaml").write_text(STEPS)
    for script in ("train.py", "eval.py"):
        (tmp_path / script).write_text(STAND_IN)
    monkeypatch.setattr(recipes, "RECIPES", tmp_path)
    monkeypatch.setattr(processes, "ROOT", tmp_path)
    monkeypatch.setenv("JOURNAL", str(tmp_path / "journal"))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return tmp_path


@pytest.fixture
def run(tea: Path) -> Callable[..., str]:
    """Follow the recipe, and return what it tells."""

    def run(*words: str) -> str:
        told: list[str] = []
        command = [f"run.root={tea}/runs", f"data.root={tea}", "data.embedded=false", *words]
        follow(read_command(["recipe=tea", *command]), tell=told.append)
        return "\n".join(told)

    return run


def journal(tea: Path) -> list[dict]:
    file = tea / "journal"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def events(tea: Path) -> list[tuple[str, str]]:
    return [(Path(row["step"]).name, row["what"]) for row in journal(tea)]


def began(tea: Path) -> list[str]:
    return [name for name, what in events(tea) if what == "began"]


def only(place: Path) -> Path:
    (found,) = place.iterdir()
    return found
