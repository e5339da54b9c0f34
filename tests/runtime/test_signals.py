"""Real kills of real processes: what each signal makes of a run, and that nobody stays behind.

Processes are forked off one that has imported everything, which spares each the seconds of that.
"""

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bench.signals import members
from tests.fork_server import children_of
from training.callbacks.checkpoints import damage

ROOT = Path(__file__).parents[2]

LONG = ["trainer.max_steps=100000", "trainer.log_every_n_steps=1", "trainer.batch_size=2"]
SFT = ["stage=sft", *LONG, "trainer.checkpoint_every=100000"]
TWO = ["trainer.devices=2", "trainer.strategy=ddp"]


def steps(run: Path) -> Callable[[], bool]:
    """Say that optimizer steps are taken."""
    return lambda: (run / "metrics.jsonl").exists()


def unfinished(run: Path) -> bool:
    return not (run / "finished").exists() and not (run / "export").exists()


@pytest.mark.parametrize(("to", "name"), [("run", "SIGTERM"), ("group", "SIGINT")])
def test_a_signal_ends_a_training_and_its_loader_processes_by_its_code(start, run, to, name):
    child = start("train.py", *SFT, "data.workers=2")
    child.await_(steps(run))
    assert len(children_of(child.pid)) == 2
    (os.kill if to == "run" else os.killpg)(child.pid, getattr(signal, name))
    assert child.end() == 128 + getattr(signal, name)
    assert unfinished(run)
    told = child.said.read_text()
    assert told.count(f"stopped by {name}: the same command goes on") == 1
    assert "Traceback" not in told


def test_a_signal_in_a_validation_ends_the_run(start, run):
    child = start("train.py", *SFT, "trainer.val_check_interval=1", "trainer.val_limit=300")
    child.await_(steps(run))
    time.sleep(0.5)
    os.kill(child.pid, signal.SIGTERM)
    assert child.end() == 143
    assert unfinished(run)


def test_a_signal_in_the_middle_of_saving_leaves_whole_checkpoints(start, run):
    child = start("train.py", "stage=sft", *LONG, "trainer.checkpoint_every=1")
    place = run / "checkpoints"
    child.await_(lambda: [*place.glob("*.ckpt")])
    child.await_(lambda: [*place.glob("*.tmp")])
    os.kill(child.pid, signal.SIGTERM)
    assert child.end() == 143
    whole = [*place.glob("*.ckpt")]
    assert whole and not any(map(damage, whole))


def test_a_second_signal_ends_a_run_at_once(start, run):
    """Also one that would take its time: the main thread is held, as by a process that is gone."""
    child = start("train.py", *SFT)
    child.await_(steps(run))
    os.kill(child.pid, signal.SIGTERM)
    time.sleep(0.1)
    with suppress(ProcessLookupError):  # it may have ended by then
        os.kill(child.pid, signal.SIGINT)
    began = time.monotonic()
    assert child.end() == 143
    assert time.monotonic() - began < 8


def test_a_run_that_was_started_to_outlive_its_terminal_does(start, run):
    """As under nohup, and like a job in the background of a script, which ignores Ctrl-C."""
    child = start("train.py", *SFT, ignored=(signal.SIGHUP, signal.SIGINT))
    child.await_(steps(run))
    os.kill(child.pid, signal.SIGHUP)
    os.kill(child.pid, signal.SIGINT)
    rows = len((run / "metrics.jsonl").read_text().splitlines())
    child.await_(lambda: len((run / "metrics.jsonl").read_text().splitlines()) > rows + 1)
    os.kill(child.pid, signal.SIGTERM)
    assert child.end() == 143


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SIGTERM", ["stage=probe", "probe.batch_size=1", "probe.samples=8"]),
        (
            "SIGINT",
            ["stage=benchmark", "benchmark.batch_size=1", "benchmark.option_permutations=0"],
        ),
        ("SIGHUP", ["stage=benchmark", "benchmark.batch_size=1", "data.workers=1"]),
    ],
)
def test_a_signal_ends_an_evaluation_by_its_code(start, run, name, words):
    child = start("eval.py", *words)
    child.await_(lambda: "question/s" in child.said.read_text())
    os.kill(child.pid, getattr(signal, name))
    assert child.end() == 128 + getattr(signal, name)
    assert unfinished(run)


def test_a_run_that_is_stopped_for_a_while_comes_to_the_same_metrics(start, run):
    """First all its processes, as SLURM suspends jobs, then one that reads for it."""
    told = []
    for disturbed in (False, True):
        words = ["data.workers=2", "trainer.max_steps=8", "trainer.batch_size=2"]
        child = start("train.py", "stage=sft", "trainer.log_every_n_steps=1", *words)
        if disturbed:
            child.await_(steps(run))
            for some in (members(child.pid), children_of(child.pid)[:1]):
                for number, pause in ((signal.SIGSTOP, 1.5), (signal.SIGCONT, 0.0)):
                    for member in some:
                        os.kill(member, number)
                    time.sleep(pause)
        assert child.end() == 0, child.said.read_text()[-2000:]
        told.append((run / "metrics.jsonl").read_text())
        shutil.rmtree(run)
    assert told[0] == told[1] and told[0].count("\n") == 8


def test_a_reader_that_is_killed_ends_the_run_with_a_sentence(start, run):
    child = start("train.py", *SFT, "data.workers=2")
    child.await_(steps(run))
    os.kill(children_of(child.pid)[1], signal.SIGKILL)
    assert child.end() == 1
    assert "one of the data.workers (now 2) ended in the middle" in child.said.read_text()


ENDLESS = "{% for a in range(9999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_template_that_never_ends_does_not_hold_up_a_signal(start, run, tmp_path, workers, name):
    shutil.copytree(ROOT / "assets/tiny", tmp_path / "model")
    for file in (tmp_path / "model").glob("*.jinja"):
        file.write_text(ENDLESS + file.read_text())
    words = [f"model.path={tmp_path / 'model'}", "stage=probe", f"data.workers={workers}"]
    child = start("eval.py", *words)
    child.await_(run.exists)
    time.sleep(3)
    os.kill(child.pid, getattr(signal, name))
    began = time.monotonic()
    assert child.end() == (143 if name == "SIGTERM" else -9)
    assert time.monotonic() - began < 12
    assert unfinished(run)


@pytest.mark.parametrize(
    ("to", "name"), [("leader", "SIGTERM"), ("group", "SIGINT"), ("rank", "SIGHUP")]
)
def test_processes_that_train_together_end_together(start, run, to, name):
    """Whoever gets the signal: nobody waits for a process that is gone."""
    child = start("train.py", *SFT, *TWO)
    child.await_(steps(run))
    number = getattr(signal, name)
    (other,) = children_of(child.pid)
    if to == "group":
        os.killpg(child.pid, number)
    else:
        os.kill(child.pid if to == "leader" else other, number)
    assert child.end() == 128 + number
    assert unfinished(run)
    if to == "rank":
        assert f"process 1 of this run was ended by signal {number:d}" in child.said.read_text()


def test_a_process_that_has_hardly_begun_does_not_outlive_its_leader(start):
    """Killed before the other could look who started it."""
    child = start("train.py", *SFT, *TWO)
    child.await_(lambda: children_of(child.pid))
    os.kill(child.pid, signal.SIGKILL)
    assert child.end() == -9


def test_nothing_outlives_the_tests_whatever_ends_them(start, run, server):
    """A limit of time leaves no fixture to clear away. The last test, since it ends the server.

    The kernel kills the leader with 9, which nobody hears; the other sees that it is gone.
    """
    child = start("train.py", *SFT, *TWO)
    child.await_(steps(run))
    assert len(children_of(child.pid)) == 1
    server.process.kill()
    child.gone(-9)
