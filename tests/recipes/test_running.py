"""Tests of running recipes: in order, once, stopped and taken up again; arms side by side.

The steps are stand-ins for train.py and eval.py, which write down that they ran.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from configs import recipes
from configs.load import load_config
from configs.recipes import read_command
from recipes import processes
from recipes.running import follow
from runtime.runs import RANKS
from runtime.stopping import ChildFailed
from runtime.voters import with_voters
from tests.mortal import mortal

ROOT = Path(__file__).parents[2]

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

CHILD = """
import os, sys
from pathlib import Path
from configs import recipes
from recipes import processes
recipes.RECIPES, processes.ROOT = Path(sys.argv[1]), Path(sys.argv[1])
processes.PATIENCE = float(os.environ.get("PATIENCE", 15))
from recipes.running import follow
follow(recipes.read_command(["recipe=tea", *sys.argv[2:]]), tell=print)
"""


@pytest.fixture(autouse=True)
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


def test_steps_run_one_after_the_other_and_by_their_scripts(tea, run):
    run()
    whole = [(name, what) for name in ("probe", "rlvr", "last") for what in ("began", "ended")]
    assert events(tea) == whole
    assert [row["script"] for row in journal(tea)[::2]] == ["eval.py", "train.py", "eval.py"]


def test_a_step_reads_the_voters_that_the_probe_left(tea, run):
    run()
    words = journal(tea)[2]["words"]
    (place,) = (word for word in words if word.startswith("data.contribution.probes="))
    assert place == f"data.contribution.probes=[@{only(tea / 'runs')}/probe]"
    config = with_voters(load_config(words, ("rlvr",)))
    assert config.data.contribution.probes == ["abc"]


def test_the_directory_is_named_by_recipe_scale_and_words(tea, run):
    run()
    place = only(tea / "runs")
    assert place.name.startswith("tea-digits-") and place.name.endswith("-0")
    assert {"finished", "config.hash", "config.yaml", "probe", "rlvr", "last"} <= {
        path.name for path in place.iterdir()
    }
    assert '- "stage=probe"' in (place / "config.yaml").read_text()


def test_a_finished_recipe_is_left_alone_and_the_same_words_start_another(tea, run):
    run()
    run()
    assert [path.name[-2:] for path in sorted((tea / "runs").iterdir())] == ["-0", "-1"]


def test_a_named_recipe_has_one_directory(tea, run):
    run("run.name=mine")
    with pytest.raises(ValueError, match=r"mine is finished.*choose another run\.name"):
        run("run.name=mine")
    with pytest.raises(ValueError, match=r"holds a run with config.*different: - \"seed=4\""):
        run("run.name=mine", "seed=4")


def test_a_failed_step_stops_the_recipe_with_its_command_and_last_line(tea, run, monkeypatch):
    monkeypatch.setenv("FAIL", "rlvr")
    with pytest.raises(ValueError) as caught:
        run()
    told = str(caught.value)
    assert told.startswith("step rlvr ended with status 1: the tea is cold: boil it\n")
    assert "\nIts command: python train.py stage=rlvr data.contribution.rule=vidground" in told
    log = only(tea / "runs") / "rlvr.log"
    assert str(log) in told and "the same recipe goes on at this step" in told
    assert all(words in log.read_text() for words in ("said rlvr", "many words"))
    assert began(tea) == ["probe", "rlvr"]


def test_the_same_command_goes_on_at_the_first_unfinished_step(tea, run, monkeypatch):
    monkeypatch.setenv("FAIL", "rlvr")
    with pytest.raises(ValueError):
        run()
    monkeypatch.delenv("FAIL")
    assert "probe (finished)" in run()
    assert began(tea) == ["probe", "rlvr", "rlvr", "last"]
    assert (only(tea / "runs") / "finished").exists()


@pytest.mark.parametrize(
    ("how", "steps", "code"), [("KILL", ["probe"], 137), ("STOP", ["probe", "rlvr"], 143)]
)
def test_a_step_that_a_signal_ended_ends_the_recipe_alike(tea, run, monkeypatch, how, steps, code):
    """Killed, or told to end, with the code that says so; what comes after does not begin."""
    monkeypatch.setenv(how, steps[-1])
    words = f"step {steps[-1]} ended by signal {code - 128}"
    with pytest.raises(ChildFailed, match=words) as caught:
        run()
    assert caught.value.code == code
    assert began(tea) == steps


def test_a_screen_that_is_gone_does_not_hold_up_a_step(tea, run, monkeypatch):
    """As behind `| head`: the transcript has all of it."""
    reader, writer = os.pipe()
    os.close(reader)
    nobody = io.TextIOWrapper(io.FileIO(writer, "wb"))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", nobody)
        run()
    place = only(tea / "runs")
    assert (place / "finished").exists() and "said rlvr" in (place / "rlvr.log").read_text()


def test_a_skipped_step_does_not_run(tea, run):
    run("skip=[probe]")
    assert began(tea) == ["rlvr", "last"]


def test_a_dry_run_tells_the_plan_and_does_nothing(tea, run):
    told = run("--dry-run", "rlvr:trainer.max_steps=40")
    assert began(tea) == [] and not (tea / "runs").exists()
    assert "rlvr" in told and " 40 " in told
    assert "python train.py stage=rlvr data.contribution.rule=vidground" in told


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("optim.lr=high", r"step probe: .*optim\.lr is 'high'"),
        ("rlvr:data.train=mmsu", r"step rlvr: data\.train=mmsu reads .*, of mmsu by its"),
    ],
)
def test_a_wrong_word_or_a_test_set_stops_before_anything_runs(tea, run, word, told):
    with pytest.raises(ValueError, match=told):
        run(word)
    assert began(tea) == [] and not (tea / "runs").exists()


def test_what_a_lone_step_says_is_shown(run, capfd):
    run()
    assert "said rlvr" in capfd.readouterr().out


def test_arms_share_what_they_can_and_run_side_by_side(tea, run, monkeypatch):
    monkeypatch.setenv("MEET", "rlvr")
    run("controls=[filtered,full]", "jobs=2")
    place = only(tea / "runs")
    where = [str(Path(row["step"]).relative_to(place)) for row in journal(tea)[::1]]
    assert where[:2] == ["probe", "probe"]
    assert sorted({*where}) == [
        *(f"{arm}-0/{step}" for arm in ("filtered", "full") for step in ("last", "rlvr")),
        "probe",
    ]
    rlvr = [row for row in journal(tea) if row["step"].endswith("rlvr")]
    assert [row["what"] for row in rlvr] == ["began", "began", "ended", "ended"]
    assert {row["threads"] for row in rlvr} == {"1"}


def test_after_a_failure_no_further_step_begins(tea, run, monkeypatch):
    monkeypatch.setenv("FAIL", "rlvr")
    with pytest.raises(ValueError, match="step filtered-0/rlvr ended with status 1"):
        run("controls=all")
    assert began(tea) == ["probe", "rlvr"]


def test_arms_that_are_finished_are_not_run_again(tea, run, monkeypatch):
    monkeypatch.setenv("FAIL", "last")
    with pytest.raises(ValueError):
        run("controls=[filtered,full]")
    monkeypatch.delenv("FAIL")
    run("controls=[filtered,full]")
    assert began(tea) == ["probe", "rlvr", "last", "last", "rlvr", "last"]


def test_a_process_of_a_launcher_does_not_start_the_recipe_again(run, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    with pytest.raises(ValueError, match="start it once"):
        run()


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


def test_what_a_step_left_running_does_not_hold_up_its_recipe(tea, run, monkeypatch):
    """A service that has its end of the pipe, say."""
    monkeypatch.setattr(processes, "PATIENCE", 0.5)
    left = "import subprocess; subprocess.Popen(['sleep', '15'], start_new_session=True)\n"
    (tea / "eval.py").write_text(left + STAND_IN)
    began_at = time.monotonic()
    run()
    assert time.monotonic() - began_at < 40
    assert began(tea) == ["probe", "rlvr", "last"]


def test_two_starts_at_once_do_not_share_a_directory(tea, start):
    first, second = start(), start()
    assert len([*(tea / "runs").iterdir()]) == 2
    for child in (first, second):
        child.send_signal(signal.SIGTERM)
        child.wait(30)
