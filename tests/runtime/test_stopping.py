"""How a process ends when it is asked to: by whom, how soon, and with what code."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from runtime.stopping import PARENT, signal_of, take_back
from tests.mortal import mortal

ROOT = Path(__file__).parents[2]

FRAME = """
import hashlib, itertools, os, signal, subprocess, sys, threading, time
from runtime import stopping
from runtime.console import run_to_exit
stopping.GRACE = {grace}

def work():
    stopping.stand_by()
    print("ready", flush=True)
    {work}

run_to_exit(work)
"""

HELD = "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)"  # Python hears nothing in there
LOCKED = "sum(itertools.repeat(0))"  # and neither do its threads, which wait for its lock
DEAF = """
    try:
        time.sleep(60)
    except BaseException:
        time.sleep(60)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    started = []

    def start(work: str, grace: float = 60, **environ: str) -> subprocess.Popen:
        code = FRAME.format(work=work, grace=grace)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EARWITNESS_")}
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**kept, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=mortal,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGTERM"])
def test_a_signal_is_an_exit_code(start, name):
    process = start("time.sleep(60)")
    process.send_signal(getattr(signal, name))
    assert process.wait(30) == 128 + getattr(signal, name)
    assert process.stderr.read() == f"stopped by {name}: the same command goes on from here\n"


@pytest.mark.parametrize("work", [HELD, DEAF.strip()])
def test_who_does_not_hear_is_ended(start, work):
    process = start(work, grace=0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143


@pytest.mark.parametrize(
    "work", [LOCKED, f"threading.Thread(target=lambda: {LOCKED}).start(); time.sleep(60)"]
)
def test_where_no_thread_gets_a_turn_the_process_is_ended_from_outside(start, work):
    process = start(work, grace=1)
    _await_held(process.pid)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert process.wait(30) == -signal.SIGKILL
    assert time.monotonic() - began > 0.9
    assert "as Python did not run any more" in process.stderr.read()


def test_a_second_signal_ends_what_no_thread_could(start):
    process = start(LOCKED)
    _await_held(process.pid)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == -signal.SIGKILL


def test_what_holds_python_without_a_signal_is_left_alone(start):
    process = start("signal.signal(10, print); os.kill(os.getpid(), 10); sum(range(10**8))", 0.2)
    assert process.wait(60) == 0


@pytest.mark.parametrize("ending", ["return", "os.kill(os.getpid(), 9)", "time.sleep(60)"])
def test_a_watchdog_ends_with_its_process(start, ending):
    """Also where processes that it forked are left."""
    process = start(
        # First, since its hooks swallow what raises; it outlives the watchdog, but holds no pipe.
        "os.fork() or (os.close(1), os.close(2), time.sleep(20), os._exit(0));"
        f"print(stopping._watchdogs[0].pid, flush=True); {ending}"
    )
    dog = int(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    _await_end(dog, seconds=10)


def test_a_watchdog_whose_process_was_gone_before_it_could_look_watches_nobody():
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    reader, writer = socket.socketpair()
    writer.send(bytes([signal.SIGTERM]))
    command = [sys.executable, "runtime/watchdog.py", str(gone.pid), "0", "0", "15"]
    assert subprocess.run(command, cwd=ROOT, stdin=reader, timeout=20).returncode == 0


@pytest.mark.parametrize("work", [LOCKED, "time.sleep(60)"])
def test_a_child_ends_with_its_parent_whatever_kills_that(start, work):
    """Also one in which no thread gets a turn."""
    inner = FRAME.format(work=work, grace=1)
    process = start(
        f"child = subprocess.Popen([sys.executable, '-c', {inner!r}], "
        "stdout=subprocess.PIPE); child.stdout.readline(); print(child.pid, flush=True);"
        "time.sleep(60)"
    )
    child = int(process.stdout.readline())
    if work == LOCKED:
        _await_held(child)
    process.kill()
    _await_end(child)


def test_a_second_signal_does_not_wait(start):
    """The first one's code counts, whichever comes after it, and however long there would be."""
    process = start(HELD)
    _await_held(process.pid)
    process.send_signal(signal.SIGHUP)
    time.sleep(1.5)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 129


def test_the_same_signal_twice_at_once_is_one(start):
    """As timeout and srun send it: there is still time to clear away."""
    process = start(
        "try:\n        print('begun', flush=True), time.sleep(60)\n"
        "    finally:\n        print('cleared', flush=True)"
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    assert process.stdout.read() == "cleared\n"


def test_an_error_on_the_way_out_does_not_change_the_code(start):
    process = start("try:\n        time.sleep(60)\n    finally:\n        {}['x']")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert "Traceback" not in process.stderr.read()


def test_a_forked_process_is_as_before(start):
    """What it is ended with says nothing to the one that forked it."""
    process = start(
        "child = os.fork()\n"
        "    if child == 0:\n        time.sleep(60), os._exit(0)\n"
        "    time.sleep(0.5), os.kill(child, 15)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)\n"
        "    time.sleep(0.5)"
    )
    assert process.wait(30) == 0
    assert process.stdout.read() == "-15\n"


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.parametrize("killed", ["parent", "child"])
def test_a_process_that_a_library_started_begins_to_listen(start, method, killed):
    """One of ddp_spawn never listened, and yet took signals back: it ignored them all."""
    process = start(
        "import multiprocessing; from tests.runtime.test_stopping import started\n"
        f"    context = multiprocessing.get_context({method!r}); reader, writer = context.Pipe()\n"
        "    child = context.Process(target=started, args=(writer,)); child.start()\n"
        "    print(reader.recv(), flush=True); child.join(); time.sleep(60)"
    )
    child = int(process.stdout.readline())
    if killed == "parent":
        process.kill()
    else:
        os.kill(child, signal.SIGTERM)
    _await_end(child)


def started(pipe: Connection) -> None:
    """Do in a process that was spawned or forked what a run does there."""
    take_back()
    pipe.send(os.getpid())
    time.sleep(60)


def _await_held(pid: int) -> None:
    """Wait until it has computed for a quarter of a second, as it does nowhere else than there."""

    def ticks() -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])

    latest, begun = time.monotonic() + 60, ticks()
    while ticks() < begun + os.sysconf("SC_CLK_TCK") / 4:
        assert time.monotonic() < latest
        time.sleep(0.05)


def _await_end(pid: int, seconds: float = 20) -> None:
    latest = time.monotonic() + seconds
    while _lives(pid):
        assert time.monotonic() < latest
        time.sleep(0.05)


def test_who_was_started_by_another_does_not_watch(start):
    process = start("time.sleep(2.5)", **{PARENT: "1"})
    assert process.wait(30) == 0


def test_a_child_whose_parent_is_gone_before_it_could_look_ends_as_well(start):
    """Killed in the seconds in which Python starts, say; the child would run for ever."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    process = start("time.sleep(60)", **{PARENT: str(gone.pid)})
    assert process.wait(30) == 143


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("status", "number"), [(-9, 9), (143, 15), (130, 2), (129, 1), (137, 9), (1, None), (0, None)]
)
def test_a_status_tells_its_signal(status, number):
    assert signal_of(status) == number
