"""Real kills of real processes: what each signal makes of a run, and that nobody stays behind.

Processes are forked off one that has imported everything, which spares each the seconds of that.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.signals import members
from datamodules.digits.build import ensure
from tests.mortal import mortal
from tests.small_digits import SMALL
from training.callbacks.checkpoints import damage

ROOT = Path(__file__).parents[2]

NURSERY = """
import json, os, signal, sys
import eval, train
import evaluation.benchmarking.stage, evaluation.probing.stage, training.run
from runtime.console import run_to_exit
from tests.mortal import mortal
for line in sys.stdin:
    order = json.loads(line)
    if (child := os.fork()) == 0:
        mortal()
        os.setsid()
        out = os.open(order["file"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2), os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in order["ignored"]:
            signal.signal(number, signal.SIG_IGN)
        sys.argv = [order["script"], *order["words"]]
        run_to_exit({"train.py": train, "eval.py": eval}[order["script"]].main)
        sys.exit(0)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""

LONG = ["trainer.max_steps=100000", "trainer.log_every_n_steps=1", "trainer.batch_size=2"]
SFT = ["stage=sft", *LONG, "trainer.checkpoint_every=100000"]
TWO = ["trainer.devices=2", "trainer.strategy=ddp"]


@dataclass
class Child:
    """A process of the nursery, which leads a process group."""

    pid: int
    run: Path
    said: Path
    replies: Callable[[], str]
    code: int | None = None

    def await_(self, ready: Callable[[], object], seconds: float = 300) -> None:
        latest = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < latest, self.said.read_text()[-2000:]
            assert alive(self.pid), self.said.read_text()[-2000:]
            time.sleep(0.02)

    def end(self) -> int:
        """Wait for the exit code, and then until the group is empty."""
        return self.gone(int(self.replies()))

    def gone(self, code: int) -> int:
        """Wait until the group is empty."""
        self.code = code
        latest = time.monotonic() + 20  # a second to notice, five of grace, on a busy machine
        while left := members(self.pid):
            assert time.monotonic() < latest, f"{left} outlived their run"
            time.sleep(0.05)
        return code


def alive(pid: int) -> bool:
    return state(pid) not in (None, "Z")


def state(pid: int) -> str | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def kids(pid: int) -> list[int]:
    return [member for member in members(pid) if member != pid and parent(member) == pid]


def parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "digits"
    ensure(root, sizes=SMALL)
    return root


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[str]]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "EARWITNESS_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        cwd=ROOT,
        env={**kept, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=mortal,
    )
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def start(nursery, digits, tmp_path) -> Iterator[Callable[..., Child]]:
    children = []

    def start(script: str, *words: str, ignored: tuple[int, ...] = ()) -> Child:
        given = ["data=manifest", f"data.root={digits}", f"run.root={tmp_path}", "run.name=run"]
        order = {
            "script": script,
            "words": [*given, "trainer.accelerator=cpu", *words],
            "file": str(tmp_path / "said"),
            "ignored": list(ignored),
        }
        nursery.stdin.write(json.dumps(order) + "\n")
        nursery.stdin.flush()
        (tmp_path / "said").touch()
        pid = int(nursery.stdout.readline())
        child = Child(pid, tmp_path / "run", tmp_path / "said", nursery.stdout.readline)
        children.append(child)
        return child

    yield start
    for child in children:
        for member in members(child.pid):
            os.kill(member, signal.SIGKILL)
        if child.code is None:
            child.replies()


def steps(child: Child) -> Callable[[], bool]:
    """Say that optimizer steps are taken."""
    return lambda: (child.run / "metrics.jsonl").exists()


def unfinished(child: Child) -> bool:
    return not (child.run / "finished").exists() and not (child.run / "export").exists()


@pytest.mark.parametrize(("to", "name"), [("run", "SIGTERM"), ("group", "SIGINT")])
def test_a_signal_ends_a_training_and_its_loader_processes_by_its_code(start, to, name):
    child = start("train.py", *SFT, "data.workers=2")
    child.await_(steps(child))
    assert len(kids(child.pid)) == 2
    (os.kill if to == "run" else os.killpg)(child.pid, getattr(signal, name))
    assert child.end() == 128 + getattr(signal, name)
    assert unfinished(child)
    told = child.said.read_text()
    assert told.count(f"stopped by {name}: the same command goes on") == 1
    assert "Traceback" not in told


def test_a_signal_in_a_validation_ends_the_run(start):
    child = start("train.py", *SFT, "trainer.val_check_interval=1", "trainer.val_limit=300")
    child.await_(steps(child))
    time.sleep(0.5)
    os.kill(child.pid, signal.SIGTERM)
    assert child.end() == 143
    assert unfinished(child)


def test_a_signal_in_the_middle_of_saving_leaves_whole_checkpoints(start):
    child = start("train.py", "stage=sft", *LONG, "trainer.checkpoint_every=1")
    place = child.run / "checkpoints"
    child.await_(lambda: [*place.glob("*.ckpt")])
    child.await_(lambda: [*place.glob("*.tmp")])
    os.kill(child.pid, signal.SIGTERM)
    assert child.end() == 143
    whole = [*place.glob("*.ckpt")]
    assert whole and not any(map(damage, whole))


def test_a_second_signal_ends_a_run_at_once(start):
    """Also one that would take its time: the main thread is held, as by a process that is gone."""
    child = start("train.py", *SFT)
    child.await_(steps(child))
    os.kill(child.pid, signal.SIGTERM)
    time.sleep(0.1)
    with suppress(ProcessLookupError):  # it may have ended by then
        os.kill(child.pid, signal.SIGINT)
    began = time.monotonic()
    assert child.end() == 143
    assert time.monotonic() - began < 8


def test_a_run_that_was_started_to_outlive_its_terminal_does(start):
    """As under nohup, and like a job in the background of a script, which ignores Ctrl-C."""
    child = start("train.py", *SFT, ignored=(signal.SIGHUP, signal.SIGINT))
    child.await_(steps(child))
    os.kill(child.pid, signal.SIGHUP)
    os.kill(child.pid, signal.SIGINT)
    rows = len((child.run / "metrics.jsonl").read_text().splitlines())
    child.await_(lambda: len((child.run / "metrics.jsonl").read_text().splitlines()) > rows + 1)
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
def test_a_signal_ends_an_evaluation_by_its_code(start, name, words):
    child = start("eval.py", *words)
    child.await_(lambda: "question/s" in child.said.read_text())
    os.kill(child.pid, getattr(signal, name))
    assert child.end() == 128 + getattr(signal, name)
    assert unfinished(child)


def test_a_run_that_is_stopped_for_a_while_comes_to_the_same_metrics(start):
    """First all its processes, as SLURM suspends jobs, then one that reads for it."""
    told = []
    for disturbed in (False, True):
        words = ["data.workers=2", "trainer.max_steps=8", "trainer.batch_size=2"]
        child = start("train.py", "stage=sft", "trainer.log_every_n_steps=1", *words)
        if disturbed:
            child.await_(steps(child))
            for some in (members(child.pid), kids(child.pid)[:1]):
                for number, pause in ((signal.SIGSTOP, 1.5), (signal.SIGCONT, 0.0)):
                    for member in some:
                        os.kill(member, number)
                    time.sleep(pause)
        assert child.end() == 0, child.said.read_text()[-2000:]
        told.append((child.run / "metrics.jsonl").read_text())
        shutil.rmtree(child.run)
    assert told[0] == told[1] and told[0].count("\n") == 8


def test_a_reader_that_is_killed_ends_the_run_with_a_sentence(start):
    child = start("train.py", *SFT, "data.workers=2")
    child.await_(steps(child))
    os.kill(kids(child.pid)[1], signal.SIGKILL)
    assert child.end() == 1
    assert "one of the data.workers (now 2) ended in the middle" in child.said.read_text()


ENDLESS = "{% for a in range(9999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_template_that_never_ends_does_not_hold_up_a_signal(start, tmp_path, workers, name):
    shutil.copytree(ROOT / "assets/tiny", tmp_path / "model")
    for file in (tmp_path / "model").glob("*.jinja"):
        file.write_text(ENDLESS + file.read_text())
    words = [f"model.path={tmp_path / 'model'}", "stage=probe", f"data.workers={workers}"]
    child = start("eval.py", *words)
    child.await_(child.run.exists)
    time.sleep(3)
    os.kill(child.pid, getattr(signal, name))
    began = time.monotonic()
    assert child.end() == (143 if name == "SIGTERM" else -9)
    assert time.monotonic() - began < 12
    assert unfinished(child)


@pytest.mark.parametrize(
    ("to", "name"), [("leader", "SIGTERM"), ("group", "SIGINT"), ("rank", "SIGHUP")]
)
def test_processes_that_train_together_end_together(start, to, name):
    """Whoever gets the signal: nobody waits for a process that is gone."""
    child = start("train.py", *SFT, *TWO)
    child.await_(steps(child))
    number = getattr(signal, name)
    (other,) = kids(child.pid)
    if to == "group":
        os.killpg(child.pid, number)
    else:
        os.kill(child.pid if to == "leader" else other, number)
    assert child.end() == 128 + number
    assert unfinished(child)
    if to == "rank":
        assert f"process 1 of this run was ended by signal {number:d}" in child.said.read_text()


def test_a_process_that_has_hardly_begun_does_not_outlive_its_leader(start):
    """Killed before the other could look who started it."""
    child = start("train.py", *SFT, *TWO)
    child.await_(lambda: kids(child.pid))
    os.kill(child.pid, signal.SIGKILL)
    assert child.end() == -9


def test_nothing_outlives_the_tests_whatever_ends_them(start, nursery):
    """A limit of time leaves no fixture to clear away. The last test, since it ends the nursery.

    The kernel kills the leader with 9, which nobody hears; the other sees that it is gone.
    """
    child = start("train.py", *SFT, *TWO)
    child.await_(steps(child))
    assert len(kids(child.pid)) == 1
    nursery.kill()
    child.gone(-9)
