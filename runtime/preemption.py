"""Heed a cluster's warning before it takes the machine away, and queue the job again.

SLURM sends SIGUSR1 (`--signal=USR1@120`) to every process of a step, also to those that would die
of it: processes that read data, judge answers or upload curves. So it is blocked, which whatever is
started from here inherits, and a thread waits for it. A training then saves a checkpoint at the end
of its step; everything else ends at once, as its answers are stored when they are given.
"""

import logging
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
    """Queue the SLURM job of this process again, if there is one; a run's leader does for all."""
    job = slurm_job(environ)
    if job is None or follows() or not is_leader():
        return
    try:
        done = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    else:
        if not done.returncode:
            return log.warning("job %s is queued again", job)
        reason = (done.stderr or done.stdout).strip() or f"status {done.returncode}"
    log.error(
        "job %s could not be queued again (%s): submit the same script, with --requeue; it goes on "
        "from the last checkpoint.",
        job,
        reason,
    )
