"""Warn in words where a run seems to learn nothing, and mark its metrics."""

import logging
import math
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import final

import lightning as L
from lightning.pytorch.callbacks import Callback

from modules.base import PostTrainingModule
from training.signs import Row, needed, signs_in
from untrusted.json_text import json_of

log = logging.getLogger(__name__)

HOUR = 3600.0
"""Seconds in which one warning is enough."""


class WarningLogger(ABC):
    """A logger that passes on words, too."""

    @abstractmethod
    def log_warning(self, text: str) -> None:
        """Show a warning where people look."""


@final
class SignWatch(Callback):
    """Add a metric `signs/NAME` to the rows in which a sign shows, and warn of it once an hour.

    A row has the same signs in a resumed run as without the kill: they follow from the rows before
    it, which are read back.
    """

    def __init__(self, path: Path, *, every: int) -> None:
        """Take the file that rows are written to, after this callback.

        Args:
            every: optimizer steps between two rows.
        """
        self.path = path
        self.every = every
        self.rows: list[Row] = []
        self.warned = -math.inf

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Read the rows that the run has left, once those behind its checkpoint are dropped."""
        if trainer.is_global_zero and self.path.exists():
            with self.path.open("rb") as lines:
                rows = [json_of(line) for line in lines]
            due = [row for row in rows if "train/loss" in row and not row["step"] % self.every]
            self.rows = needed(due)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        """Look for signs in the rows so far and in the one that is due."""
        if not trainer.is_global_zero or trainer.global_step % self.every:
            return
        assert isinstance(pl_module, PostTrainingModule), "a stage of train.py"
        self.rows = needed([*self.rows, dict(pl_module.step_metrics)])
        found = signs_in(self.rows)
        pl_module.step_metrics |= dict.fromkeys((f"signs/{name}" for name in found), 1.0)
        if found and time.monotonic() - self.warned >= HOUR:
            self.warned = time.monotonic()
            self._warn(trainer, found)

    def _warn(self, trainer: L.Trainer, found: dict[str, str]) -> None:
        [(_, sentence), *others] = found.items()
        also = f" (also: {', '.join(name for name, _ in others)})" if others else ""
        text = f"step {trainer.global_step}: this run may learn nothing: {sentence}{also}"
        log.warning("%s; docs/results.md has the signs", text)
        for logger in trainer.loggers:
            if isinstance(logger, WarningLogger):
                logger.log_warning(text)
