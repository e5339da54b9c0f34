"""End when the outside asks for it: a signal becomes an exit code, and no child stays behind.

The first signal raises `Stopped` in the main thread, wherever that is, so that what is half-written
is cleared away. A thread stands by that no waiting on other processes holds up: it ends this one
when that takes too long, when a second signal comes, or when the process that started it is gone.
Where no thread gets a turn, `watchdog.py` does it from outside. Nothing is lost either way, since
checkpoints are whole or absent.
"""

import atexit
import ctypes
import multiprocessing
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

WATCHDOG = Path(__file__).with_name("watchdog.py")

ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
"""Signals that ask a process to end; one that it was started to ignore, as by nohup, it ignores."""

GRACE = 5.0
"""Seconds that the main thread has to clear away."""

AGAIN = 1.0
"""Seconds after which a signal counts as another one: launchers send the same one twice at once."""

PARENT = "EARWITNESS_PARENT"
"""Variable by which a process tells those it starts to end with it, whatever kills it."""

LIBC = ctypes.CDLL(None)  # found here, as a process that was just forked should not look for it
PR_SET_PDEATHSIG = 1

CHILDREN: list[subprocess.Popen[bytes]] = []
"""Processes of this run that get its signals, and end with it."""

# A process has one set of handlers, and those have nobody else to tell.
_received: list[int] = []
_watchdogs: list[subprocess.Popen[bytes]] = []
_writers: list[int] = []  # whose ends, once all are closed, tell watchdogs that a process is gone
_heard: set[int] = set()
_standing: set[int] = set()  # this process; not a forked one, which has no threads of its parent


class Stopped(SystemExit):
    """A signal asks this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(code_of(number))


class ChildFailed(ValueError):
    """A process that this one started failed, and this one ends by the same code."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


def code_of(number: int) -> int:
    """Give the exit code by which shells tell that a signal ended a process."""
    return 128 + number


def signal_of(status: int) -> int | None:
    """Read off an exit status which signal ended a process; None where none did."""
    if status < 0:
        return -status
    number = status - code_of(0)
    return number if number in (*ENDING, signal.SIGKILL) else None


def received() -> int | None:
    """Tell which signal has asked this process to end first."""
    return _received[0] if _received else None


def listen() -> None:
    """Let signals raise `Stopped`, but for those that this process was started to ignore."""
    _heard.update(n for n in ENDING if signal.getsignal(n) != signal.SIG_IGN)
    restore()


def restore() -> None:
    """Listen again after a library has put handlers of its own in place of these."""
    for number in ENDING:
        signal.signal(number, _stop if number in _heard else signal.SIG_IGN)


def take_back() -> None:
    """Listen again, or begin to in a process that a library has spawned or forked off this one."""
    if os.getpid() in _standing:
        restore()
    else:
        stand_by()


def stand_by() -> None:
    """Listen, and start the thread that ends this process if it does not end by itself."""
    listen()
    reader, writer = (end.detach() for end in socket.socketpair())
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _writers.append(writer)
    _standing.add(os.getpid())
    parent = _starter()
    os.environ[PARENT] = str(os.getpid())
    if parent is not None:
        end_with_parent(signal.SIGTERM)
    atexit.register(_leave)  # before others do, and so after all of theirs
    # A forked loader process is ended by the one that reads from it, not by what stands here.
    os.register_at_fork(after_in_child=_forget)
    threading.Thread(target=_watch, args=(reader, parent), daemon=True).start()
    _guard(reader)


def end_with_parent(number: int) -> None:
    """Let Linux send this process a signal when the thread that started it is gone.

    It holds for one process, not for those that it starts.
    """
    if hasattr(LIBC, "prctl"):
        LIBC.prctl(PR_SET_PDEATHSIG, number)


def _guard(reader: int) -> None:
    """Start the process that ends this one where not even its threads get a turn."""
    facts = (os.getpid(), GRACE, AGAIN, *sorted(_heard))
    command = [sys.executable, "-I", "-S", str(WATCHDOG), *map(str, facts)]
    # In a session of its own, as it outlives what is sent to all processes at a terminal.
    _watchdogs.append(
        subprocess.Popen(command, stdin=reader, stdout=subprocess.DEVNULL, start_new_session=True)
    )


def _starter() -> int | None:
    """Give the process to end with: the one that started this one, if it said so.

    It may be gone by now, before this one could look; then nobody has its number any more.
    """
    named = os.environ.get(PARENT, "")
    if not named.isdigit():
        return None
    try:
        os.kill(int(named), 0)
    except ProcessLookupError:
        return int(named)
    except OSError:  # somebody else's
        return None
    return int(named) if int(named) == os.getppid() else None


def lost() -> tuple[int, str] | None:
    """Tell the exit code and the words for the first process that failed, if one has."""
    for rank, child in enumerate(CHILDREN, start=1):
        if status := child.poll():
            number = signal_of(status)
            if number is None:
                return status, f"process {rank} of this run failed: see what it said above."
            return code_of(number), (
                f"process {rank} of this run was ended by signal {number}, and the others cannot "
                "go on without it: repeat the command, which continues from the last checkpoint; "
                "signal 9 mostly means that the machine ran out of memory."
            )
    return None


def end_children(*, patience: float = 0.0) -> None:
    """End what this process started and has not waited for.

    Args:
        patience: seconds in which they may end by themselves.
    """
    latest = time.monotonic() + patience
    for child in CHILDREN:
        with suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, latest - time.monotonic()))
    for child in CHILDREN:
        with suppress(OSError, subprocess.TimeoutExpired):
            child.kill()
            child.wait(1.0)
    for process in multiprocessing.active_children():
        with suppress(OSError, ValueError):
            process.kill()


def settle() -> None:
    """Let no further signal change the exit code while Python ends, but not for ever."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(2 * GRACE))


def _leave() -> None:
    """End where a signal asks for it, before Python takes itself apart, which may take seconds."""
    if _received and os.getpid() in _standing:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code_of(_received[0]))


def end_now(status: int) -> NoReturn:
    """End without clearing away, whatever the main thread is doing."""
    end_children()
    os._exit(status)


def _stop(number: int, _: FrameType | None) -> None:
    first = not _received
    _received.append(number)
    for child in CHILDREN:
        with suppress(OSError):
            child.send_signal(number)
    if first:
        # What is cut off in the middle complains while it is taken down, and nobody can mend that.
        sys.unraisablehook = lambda _: None
        raise Stopped(number)


def _watch(reader: int, parent: int | None) -> None:
    """Wait for signals, which the kernel's side of Python writes into a pipe at once."""
    first: int | None = None
    began = 0.0
    while True:
        left = None if first is None else began + GRACE - time.monotonic()
        if left is None and parent is not None:
            left = 1.0
        ready, _, _ = select.select([reader], [], [], None if left is None else max(0.0, left))
        numbers = [number for number in os.read(reader, 64) if number in _heard] if ready else []
        if first is None and numbers:
            first, began = numbers[0], time.monotonic()
        elif first is not None and (numbers or not ready):
            waited = time.monotonic() - began
            if waited >= GRACE or (numbers and waited >= AGAIN):
                end_now(code_of(first))
        elif parent is not None and os.getppid() != parent:
            parent = None
            os.kill(os.getpid(), signal.SIGTERM)  # from where it is heard like any other


def _forget() -> None:
    """Undo in a forked process what was set up for this one."""
    signal.set_wakeup_fd(-1)
    while _writers:
        os.close(_writers.pop())
    CHILDREN.clear()
    for number in ENDING:
        if signal.getsignal(number) == _stop:
            signal.signal(number, signal.SIG_DFL)
