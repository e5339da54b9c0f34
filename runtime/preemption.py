"""Heed a cluster's warning before it takes the machine away, and queue the job again.

SLURM sends SIGUSR1 (`--signal=USR1@120`) to every process of a step, also to those that would die
of it: processes that read data, judge answers or upload curves. So it is blocked, which whatever is
started from here inherits, and a thread waits for it. A training then saves a checkpoint at the end
of its step; everything else ends at once, as its answers are stored when they are given.
"""

import logging
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from configs.launching import slurm_job
from runtime.runs import follows
from runtime.stopping import CHILDREN, WARNING, end_by, is_leader

log = logging.getLogger(__name__)

SECONDS = 60.0
"""Time for SLURM's controller to answer."""

_warned = threading.Event()
_actions: list[Callable[[], None]] = []


def hear() -> None:
    """Wait for the warning in a thread; before any other is started, which would not block it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {WARNING})
    threading.Thread(target=_wait, name="preemption", daemon=True).start()


def warned() -> bool:
    """Whether this process has been warned."""
    return _warned.is_set()


@contextmanager
def on_warning(action: Callable[[], None]) -> Iterator[None]:
    """Do something else than end at once, in another thread, when the warning comes."""
    _actions.append(action)
    try:
        yield
    finally:
        _actions.pop()


def _wait() -> None:
    signal.sigwait({WARNING})
    _warned.set()
    for child in CHILDREN:
        with suppress(OSError):
            child.send_signal(WARNING)
    (_actions[-1] if _actions else end_by_warning)()


def end_by_warning() -> None:
    """End this process from any of its threads, as by a signal that ends it."""
    end_by(WARNING)


def requeue(environ: Mapping[str, str]) -> None:
    """Queue the SLURM job of this process again, if there is one; a run's leader does for all.

    Not where it is being cancelled: SLURM would start again what somebody has just ended.
    """
    job = slurm_job(environ)
    if job is None or follows() or not is_leader():
        return
    with suppress(ValueError):  # that it cannot be asked is told below
        if _ended(_scontrol("show", "job", "-o", job)):
            return log.warning("job %s is cancelled or displaced: it is not queued again", job)
    try:
        _scontrol("requeue", job)
    except ValueError as error:
        return log.error(
            "job %s could not be queued again (%s): submit the command again with run.name= and "
            "the name of its run directory, and it goes on from the last checkpoint.",
            job,
            error,
        )
    log.warning("job %s is queued again", job)


def _ended(described: str) -> bool:
    """Whether SLURM has ended a job, not for its time limit.

    While its processes end, SLURM calls it COMPLETING. One that makes room for another it queues by
    itself.
    """
    found = re.search(r"\bJobState=(\S+) Reason=(\S+)", described)
    return found is not None and found[1] in ("CANCELLED", "COMPLETING") and found[2] != "TimeLimit"


def _scontrol(*words: str) -> str:
    """Ask SLURM's controller; a `ValueError` says why it does not answer."""
    try:
        done = subprocess.run(
            ["scontrol", *words], capture_output=True, text=True, errors="replace", timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(str(error)) from None
    if done.returncode:
        raise ValueError((done.stderr or done.stdout).strip() or f"status {done.returncode}")
    return done.stdout
