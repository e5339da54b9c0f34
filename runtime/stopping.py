"""Turn signals into exit codes, and leave no child process behind.

The first signal raises `Stopped` in the main thread, so that half-written files are deleted. A
second thread ends the process when that takes too long, when a second signal comes, or when the
parent is gone. Where no thread gets a turn, `watchdog.py` does so from outside. Nothing is lost
either way, since checkpoints are whole or absent.
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
"""Signals that end a run; those that it was started to ignore, as by nohup, stay ignored."""

WARNING = signal.SIGUSR1
"""Signal by which a cluster warns of the end, see `preemption.py`."""

GRACE = 5.0
"""Seconds that the main thread has for its clean-up."""

AGAIN = 1.0
"""Seconds after which a signal counts as a second one, since launchers send one twice at once."""

PARENT = "EARWITNESS_PARENT"
"""Variable with the id of the parent, with which child processes end."""

LIBC = ctypes.CDLL(None)  # found here, as a process that was just forked should not look for it
PR_SET_PDEATHSIG = 1

CHILDREN: list[subprocess.Popen[bytes]] = []
"""Child processes, which get this one's signals and end with it."""

# Signal handlers belong to the whole process, and so does their state.
_received: list[int] = []
_watchdogs: list[subprocess.Popen[bytes]] = []
_writers: list[int] = []  # once all are closed, watchdogs know that this process is gone
_heard: set[int] = set()
_starters: list[int] = []  # at most one: the process of ours that started this one
_standing: set[int] = set()  # this process; not a forked one, which has no threads of its parent


class Stopped(SystemExit):
    """A signal asks this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(code_of(number))


class ChildFailed(ValueError):
    """A child process failed, and this one ends by the same code."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


def code_of(number: int) -> int:
    """Exit code of a process that a signal ended, as shells give it."""
    return 128 + number


def signal_of(status: int) -> int | None:
    """Signal that ended a process, from its exit status; None where none did."""
    if status < 0:
        return -status
    number = status - code_of(0)
    return number if number in (*ENDING, WARNING, signal.SIGKILL) else None


def received() -> int | None:
    """First signal that this process received; None without one."""
    return _received[0] if _received else None


def is_leader() -> bool:
    """Whether no other process of ours started this one."""
    return not _starters


def end_by(number: int) -> None:
    """End this process, from any of its threads, as if by that signal."""
    _received.insert(0, number)
    os.kill(os.getpid(), signal.SIGTERM)  # which the main thread hears, whatever it waits for


def listen() -> None:
    """Install handlers that raise `Stopped`, but for signals that are ignored from the start."""
    _heard.update(n for n in ENDING if signal.getsignal(n) != signal.SIG_IGN)
    restore()


def restore() -> None:
    """Reinstall our handlers after a library has replaced them."""
    for number in ENDING:
        signal.signal(number, _stop if number in _heard else signal.SIG_IGN)


def take_back() -> None:
    """Reinstall our handlers, or install them in a process that a library has started."""
    if os.getpid() in _standing:
        restore()
    else:
        stand_by()


def stand_by() -> None:
    """Install handlers, and the thread that ends this process if it does not end by itself."""
    listen()
    reader, writer = (end.detach() for end in socket.socketpair())
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _writers.append(writer)
    _standing.add(os.getpid())
    parent = _starter()
    _starters.extend([parent] if parent else [])
    os.environ[PARENT] = str(os.getpid())
    if parent is not None:
        end_with_parent(signal.SIGTERM)
    atexit.register(_leave)  # before others do, and so after all of theirs
    # A forked loader process is ended by the one that reads from it, not by what stands here.
    os.register_at_fork(after_in_child=_forget)
    threading.Thread(target=_watch, args=(reader, parent), daemon=True).start()
    _guard(reader)


def end_with_parent(number: int) -> None:
    """Ask Linux for a signal when the thread that started this process is gone.

    It holds for one process, not for those that it starts.
    """
    if hasattr(LIBC, "prctl"):
        LIBC.prctl(PR_SET_PDEATHSIG, number)


def _guard(reader: int) -> None:
    """Start the watchdog process, for when no thread of this one gets a turn."""
    facts = (os.getpid(), GRACE, AGAIN, *sorted(_heard))
    command = [sys.executable, "-I", "-S", str(WATCHDOG), *map(str, facts)]
    # In a session of its own, as it outlives what is sent to all processes at a terminal.
    _watchdogs.append(
        subprocess.Popen(command, stdin=reader, stdout=subprocess.DEVNULL, start_new_session=True)
    )


def _starter() -> int | None:
    """Id of the parent to end with, if it asked for that.

    It may be gone by now; then no process has its id any more.
    """
    named = os.environ.get(PARENT, "")
    if not named.isdigit():
        return None
    try:
        os.kill(int(named), 0)
    except ProcessLookupError:
        return int(named)
    except OSError:  # another user's
        return None
    return int(named) if int(named) == os.getppid() else None


def lost() -> tuple[int, str] | None:
    """Exit code and message for the first child process that failed, if one has."""
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
    """End all child processes.

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
    """Ignore further signals while Python ends, for a limited time."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(int(2 * GRACE))


def _leave() -> None:
    """Exit at once after a signal, since Python's own end may take seconds."""
    if _received and os.getpid() in _standing:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code_of(_received[0]))


def end_now(status: int) -> NoReturn:
    """Exit without clean-up, whatever the main thread is doing."""
    end_children()
    os._exit(status)


def _stop(number: int, _: FrameType | None) -> None:
    first = not _received or _received == [WARNING]
    _received.append(number)
    for child in CHILDREN:
        with suppress(OSError):
            child.send_signal(number)
    if first:
        # Objects that were interrupted complain while they are deleted, to no purpose.
        sys.unraisablehook = lambda _: None
        raise Stopped(number)


def _watch(reader: int, parent: int | None) -> None:
    """Wait for signals, which Python writes into a pipe at once."""
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
                end_now(code_of(received() or first))
        elif parent is not None and os.getppid() != parent:
            parent = None
            os.kill(os.getpid(), signal.SIGTERM)  # from where it is heard like any other


def _forget() -> None:
    """Undo the set-up in a forked process."""
    signal.set_wakeup_fd(-1)
    while _writers:
        os.close(_writers.pop())
    CHILDREN.clear()
    for number in ENDING:
        if signal.getsignal(number) == _stop:
            signal.signal(number, signal.SIG_DFL)
