"""Runs in processes of their own, forked off one that has imported everything: it saves seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from bench.signals import members
from tests.mortal import mortal

ROOT = Path(__file__).parents[1]

SERVE = """
import json, os, signal, sys
import eval, train
import evaluation.benchmarking.stage, evaluation.probing.stage, training.run
from bench.promises.watched import watch
from runtime.console import run_to_exit
from runtime.stopping import LIBC
from tests.mortal import mortal
LIBC.prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: what a run leaves behind becomes a child of this one
for line in sys.stdin:
    order = json.loads(line)
    if (child := os.fork()) == 0:
        mortal()
        os.setsid()
        out = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2), os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in order["ignored"]:
            signal.signal(number, signal.SIG_IGN)
        os.environ.update(order["environ"])
        os.chdir(order["cwd"])
        if order["watched"]:
            watch(**order["watched"])
        sys.argv = [order["script"], *order["words"]]
        run_to_exit({"train.py": train, "eval.py": eval}[order["script"]].main)
        sys.exit(0)
    print(child, flush=True)
    ended = None
    while ended != child:
        ended, status = os.wait()
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


@final
@dataclass
class Child:
    """A process that the server started, which leads a process group."""

    pid: int
    said: Path
    """File of what it writes to standard output and error."""

    replies: Callable[[], str]
    code: int | None = None

    def await_(self, ready: Callable[[], object], seconds: float = 300) -> None:
        """Wait until something is so, as long as the process lives."""
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

    def clear(self) -> None:
        """Kill what is left of the group, so that the server takes its next order."""
        for member in members(self.pid):
            os.kill(member, signal.SIGKILL)
        if self.code is None:
            self.replies()


@final
class ForkServer:
    """Starts runs, one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def start(
        self,
        script: str,
        words: Sequence[str],
        said: Path,
        *,
        ignored: Sequence[int] = (),
        environ: Mapping[str, str] | None = None,
        watched: Mapping[str, object] | None = None,
        cwd: Path = ROOT,
    ) -> Child:
        """Start `train.py` or `eval.py`.

        Args:
            ignored: signals, as under nohup.
            watched: arguments of `watch`, where what the run does is looked at.
        """
        said.touch()
        order = {"script": script, "words": words, "said": str(said), "ignored": ignored}
        order |= {"environ": dict(environ or {}), "watched": watched, "cwd": str(cwd)}
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        pid = int(self.process.stdout.readline())
        return Child(pid, said, self.process.stdout.readline)


@contextmanager
def fork_server(**environ: str) -> Iterator[ForkServer]:
    """Open a fork server; each has its own seed of Python's hashes, as each run of a user has."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "EARWITNESS_"))}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        cwd=ROOT,
        env={**kept, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=mortal,
    )
    try:
        yield ForkServer(process)
    finally:
        process.kill()
        process.communicate()


def alive(pid: int) -> bool:
    """Tell whether a process runs: one that ended and was not waited for does not."""
    return _status(pid)[:1] not in ([], ["Z"])


def children_of(pid: int) -> list[int]:
    """List the children of a process in its group."""
    return [member for member in members(pid) if _status(member)[1:2] == [str(pid)]]


def _status(pid: int) -> list[str]:
    """Read the state of a process, its parent's id and the rest; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
