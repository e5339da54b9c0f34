"""Run steps as processes of their own, with memory, signals and launchers as if run by hand."""

import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import IO, Self, TextIO, final

from configs.paths import FOLDER
from recipes.steps import Step
from runtime.stopping import (
    AGAIN,
    ENDING,
    GRACE,
    PARENT,
    WARNING,
    ChildFailed,
    Stopped,
    code_of,
    signal_of,
)

log = logging.getLogger(__name__)

ROOT = FOLDER.parent
"""Where the scripts lie."""

PATIENCE = 3 * GRACE
"""Seconds after a signal within which a step must end, or is killed."""

TAIL = 1 << 14
"""Bytes of a step's errors in which its last line is looked for."""


class NotStarted(Exception):
    """A step was not started, because one of another arm failed."""


@final
class Processes:
    """The running steps, to which signals of this process are passed on, once.

    They are in groups of their own: a terminal would otherwise send its Ctrl-C to them as well. A
    second signal kills them, and so does time: one that was stopped does not hear any other.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.signal: int | None = None
        self.warned = False
        self.since = 0.0
        self.failed = False
        self._running: dict[int, bool] = {}  # process groups, and whether each has the signal
        self._lock = threading.RLock()  # the handler may interrupt its holder

    def warn(self) -> None:
        """Warn the running steps, which end when they have saved; no other begins."""
        with self._lock:
            self.warned = True
            for group in self._running:
                _send(group, WARNING)

    def __enter__(self) -> Self:
        self._handlers = {
            number: signal.signal(number, self._receive)
            for number in ENDING
            if signal.getsignal(number) != signal.SIG_IGN
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _receive(self, number: int, _: FrameType | None) -> None:
        with self._lock:
            if self.signal is None:
                self.signal, self.since = number, time.monotonic()
                self._pass_on()
            elif time.monotonic() - self.since >= AGAIN:
                self._kill()

    def _kill(self) -> None:
        with self._lock:
            for group in self._running:
                _send(group, signal.SIGKILL)

    def _pass_on(self) -> None:
        with self._lock:
            for group, signaled in self._running.items():
                if self.signal is not None and not signaled:
                    self._running[group] = True
                    _send(group, self.signal)

    def run(self, step: Step, label: str = "") -> None:
        """Run one step to its end, unless it is finished, and raise what it failed of."""
        name = f"{label}{step.name}"
        if step.finished:
            log.info("%s is finished: %s", name, step.dir)
            return
        began = time.monotonic()
        log.info("%s: %s", name, step)
        file = step.dir.with_name(f"{step.name}.log")
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab", buffering=0) as transcript:
            status, last = self._wait(step, transcript)
        self._stop()
        if status:
            self.failed = True
            number = signal_of(status)
            ended = f"with status {status}" if number is None else f"by signal {number}"
            raise ChildFailed(
                f"step {name} ended {ended}: {last.removeprefix('error: ')}\nIts command: {step}\n"
                f"What it said is in {file}. Once that is mended, the same recipe goes on at this "
                "step.",
                code=1 if number is None else code_of(number),
            )
        log.info("%s took %.0f s", name, time.monotonic() - began)

    def _wait(self, step: Step, transcript: IO[bytes]) -> tuple[int, str]:
        """Run a step, copy its output, and return its exit status and last line of errors."""
        with self._lock:
            self._stop()
            if self.failed:
                raise NotStarted
            process = subprocess.Popen(
                [sys.executable, str(ROOT / step.script), *step.words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                # Jobs side by side would otherwise start as many threads each as there are cores.
                env={
                    **({"OMP_NUM_THREADS": "1"} if self.jobs > 1 else {}),
                    **os.environ,
                    PARENT: str(os.getpid()),  # a step ends with its recipe, whatever kills that
                },
            )
            self._running[process.pid] = False
            self._pass_on()  # a signal that came in between
        assert process.stdout is not None and process.stderr is not None, "both are pipes"
        tail = bytearray()
        copies = [
            threading.Thread(target=self._copy, args=each, daemon=True)
            for each in (
                (process.stdout, sys.stdout, transcript),
                (process.stderr, sys.stderr, transcript, tail),
            )
        ]
        for copy in copies:
            copy.start()
        status = self._status(process)
        with self._lock:
            del self._running[process.pid]
        if status:  # processes of the same step would wait for the one that is gone
            _send(process.pid, signal.SIGKILL)
        for copy in copies:
            copy.join(PATIENCE)  # what a step left running may hold its end of the pipe
        said = re.split(r"[\r\n]+", tail.decode(errors="replace").strip())
        return status, said[-1] or "it said nothing"

    def _stop(self) -> None:
        """Go no further after a signal or a warning."""
        if self.signal is not None or self.warned:
            raise Stopped(self.signal or WARNING)

    def _status(self, process: subprocess.Popen[bytes]) -> int:
        """Wait until a step has ended; kill it where it does not end after a signal."""
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(1.0)
            if self.signal is not None and time.monotonic() - self.since >= PATIENCE:
                self._kill()

    def _copy(
        self,
        source: IO[bytes],
        screen: TextIO,
        transcript: IO[bytes],
        tail: bytearray | None = None,
    ) -> None:
        """Log a step's output, and show it where no other step runs."""
        shown = written = True
        with source:
            while chunk := os.read(source.fileno(), 1 << 16):
                written = written and _write_down(chunk, transcript)
                if tail is not None:
                    tail += chunk
                    del tail[:-TAIL]
                if self.jobs == 1 and shown:
                    shown = _show(chunk, screen)


def _send(group: int, number: int) -> None:
    """Signal a process group that may have ended."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _write_down(chunk: bytes, transcript: IO[bytes]) -> bool:
    """Log a step's output; return whether that worked. The step has records of its own."""
    try:
        transcript.write(chunk)
    except OSError as error:
        log.warning("%s is cut off here (%s), and the step goes on", transcript.name, error)
        return False
    return True


def _show(chunk: bytes, screen: TextIO) -> bool:
    """Show a step's output; return whether the screen still takes it. The step goes on anyway."""
    try:
        screen.buffer.write(chunk)
        screen.buffer.flush()
    except OSError:  # a pipe that is read no more, a terminal that is gone
        return False
    return True
