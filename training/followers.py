"""The processes that Lightning starts beside this one: watched, and never waited for in vain.

Lightning kills the leader where one of them failed, also in the middle of writing down why. Here
the leader is given time to end by itself, and says who is gone.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen
from typing import final

import lightning as L
from lightning.pytorch.callbacks import Callback

from runtime.stopping import CHILDREN, GRACE, end_now, lost, received, take_back

log = logging.getLogger(__name__)


@final
class OwnSignals(Callback):
    """Take signals back: Lightning's handler lets processes talk to each other, also in the middle
    of a sum that the others wait for, and lets a run that was stopped end like one that was not."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning has put its handlers in place by now, in front of ours.

        In a process that it spawned or forked there are none of ours, and nobody stands by yet.
        """
        take_back()


@contextmanager
def followed(trainer: L.Trainer) -> Iterator[None]:
    """Watch the processes that are started inside; one that failed ends this one too."""
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
        if left.wait(GRACE) or received() is not None:
            return
        status, words = found
        log.error("error: %s", words)
        end_now(status)


def _take_over(trainer: L.Trainer) -> None:
    """Take the processes from Lightning, whose observer ends once it has none to look after."""
    # Any strategy may have a launcher, and not each launcher starts processes.
    started = getattr(trainer.strategy.launcher, "procs", None)
    if started and isinstance(started[0], Popen):
        CHILDREN.extend(started)
        started.clear()
