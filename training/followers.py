"""Watch the processes that Lightning starts beside this one, and end the run when one fails.

Lightning kills the leader where one of them failed, also in the middle of writing down why. Here
the leader has time to end by itself, and names the process that failed.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import final

import lightning as L
from lightning.pytorch.callbacks import Callback

from runtime.preemption import warned
from runtime.stopping import CHILDREN, GRACE, end_now, lost, received, take_back

log = logging.getLogger(__name__)


@final
class OwnSignals(Callback):
    """Restore our signal handlers: Lightning's start collectives between ranks, even during another
    collective, and end a stopped run like a finished one."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore them here: Lightning has installed its own by now.

        A process that it spawned or forked has none of ours, and nothing is restored.
        """
        take_back()


@contextmanager
def followed(trainer: L.Trainer) -> Iterator[None]:
    """Watch the processes that are started inside; if one fails, end this one too."""
    left = threading.Event()
    watch = threading.Thread(target=_watch, args=(trainer, left), daemon=True)
    watch.start()
    try:
        yield
    finally:
        left.set()
        watch.join()


def _watch(trainer: L.Trainer, left: threading.Event) -> None:
    while not left.wait(0.2):
        _take_over(trainer)
        if (found := lost()) is None:
            continue
        # Most often the leader meets the same error, or a closed connection, and ends by itself.
        if left.wait(GRACE) or received() is not None or warned():
            return
        status, words = found
        log.error("error: %s", words)
        end_now(status)


def _take_over(trainer: L.Trainer) -> None:
    """Take the processes over from Lightning, whose observer ends once it has none."""
    # Any strategy may have a launcher, and not each launcher starts processes.
    started = getattr(trainer.strategy.launcher, "procs", None)
    if started and isinstance(started[0], Popen):
        CHILDREN.extend(started)
        started.clear()
