"""Work on what strangers wrote in a process that can be killed, within limits of the system.

Python cannot interrupt itself inside a large power or a long multiplication. So `python -m MODULE`,
which calls `serve`, works for this process, and is started again where it was killed.
"""

import atexit
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, final

READY = "ready\n"
ROOT = Path(__file__).parent.parent


@final
class KillableProcess:
    """A process that answers this one's requests, one after another, each a line of JSON."""

    def __init__(
        self, module: str, *, does: str, needed_by: str, memory: int, patience: float | None = None
    ) -> None:
        """Name what is started at the first request.

        Args:
            does, needed_by: for the error where it does not start.
            memory: bytes that it may address.
            patience: seconds to wait for a reply where the process is kept from running.
        """
        self.module = module
        self.does, self.needed_by = does, needed_by
        self.memory, self.patience = memory, patience
        self.forget()
        atexit.register(self.stop)
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Begin without a process: that of the process which this is a copy of is not ours."""
        self.process: subprocess.Popen[bytes] | None = None
        self.asking = threading.Lock()

    def ask(self, request: object) -> tuple[Any, int]:  # Any: whatever it replies
        """Hand a request over; return the reply, None where the process ended over it, and its exit
        code, 0 while it runs and negative where it was killed."""
        line = b""
        with self.asking:
            process = self.start()
            assert process.stdin and process.stdout, "it has pipes"
            try:
                process.stdin.write(json.dumps(request).encode() + b"\n")
                process.stdin.flush()
                line = self._read_line(process.stdout)
            except BrokenPipeError:
                pass
            finally:  # an answer that nobody waits for would be taken for the next
                if not line.endswith(b"\n"):
                    self.stop()
        return (json.loads(line), 0) if line.endswith(b"\n") else (None, process.returncode)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start a process where there is none, or none any more.

        It is no fork: this process has threads and a GPU.
        """
        if self.process is not None and self.process.poll() is None:
            return self.process
        self.stop()
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            # How sympy simplifies depends on the order of sets, which must not vary.
            env=os.environ | {"PYTHONHASHSEED": "0"},
            start_new_session=True,  # an interrupt is for this process, which then ends that
        )
        assert self.process.stdout, "it has pipes"
        if self._read_line(self.process.stdout) != READY.encode():
            self.stop()
            raise RuntimeError(
                f"A process that {self.does} did not start (see above), but {self.needed_by} need "
                f"one: see that `{sys.executable} -m {self.module}` prints {READY!r} and that "
                f"{self.memory >> 30} GiB of memory can be addressed."
            )
        return self.process

    def stop(self) -> None:
        """Kill the process, if there is one."""
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)  # its forks too
            self.process.communicate()  # closes the pipes, at which an orphaned fork ends
        self.process = None

    def _read_line(self, pipe: IO[bytes]) -> bytes:
        """Read until a line ends, or until there is nothing to wait for any more."""
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([pipe], [], [], self.patience)[0]:
                return b""
            if not (chunk := os.read(pipe.fileno(), 1 << 16)):
                return b""
            line += chunk
        return line


def serve(prepare: Callable[[], Callable[[Any], object]], *, memory: int) -> None:
    """Answer each line of standard input, until it closes.

    Args:
        prepare: makes what answers a request, which may limit its time.
        memory: bytes that may be addressed.
    """
    replies, sys.stdout = sys.stdout, sys.stderr  # libraries print
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # which kills
    answer = prepare()
    print(READY, end="", file=replies, flush=True)
    for line in sys.stdin:
        reply = json.dumps(answer(json.loads(line)))
        limit_time(0)
        print(reply, file=replies, flush=True)


def limit_time(seconds: float) -> None:
    """Kill this process after so much processor time, whatever else is running; 0 lifts that."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
