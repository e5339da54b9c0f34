"""Metrics of a run: one row per logged step, and a progress bar."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import lightning as L
from lightning.pytorch.callbacks import Callback, ProgressBar
from tqdm import tqdm

from modules.base import PostTrainingModule
from runtime.runs import MetricsLog

SHOWN = ("train/reward", "train/loss", "val/accuracy")
"""Metrics shown beside the bar, by the last part of their names."""


@final
class MetricsWriter(Callback):
    """Append the metrics of every logged step to `metrics.jsonl`, the run's source of truth.

    Written from the hook that checkpoints follow, not from a logger, which comes after them: a
    kill between the two would then lose a row that no resumed run writes again.
    """

    def __init__(self, path: Path, *, every: int) -> None:
        self.metrics = MetricsLog(path)
        self.every = every

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Drop rows behind the checkpoint that the run continues from."""
        if trainer.is_global_zero:
            self.metrics.truncate_after(trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write the step that just ended, if it is due or the last."""
        assert isinstance(pl_module, PostTrainingModule), "a stage of train.py"
        last = trainer.should_stop or trainer.global_step == trainer.max_steps
        if last or trainer.global_step % self.every == 0:
            self._write(trainer, pl_module.step_metrics)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the validation of this step."""
        if not trainer.sanity_checking:
            logged = trainer.callback_metrics.items()
            self._write(trainer, {n: v.item() for n, v in logged if n.startswith("val/")})

    def _write(self, trainer: L.Trainer, values: Mapping[str, float]) -> None:
        if trainer.is_global_zero:
            self.metrics.append(trainer.global_step, dict(sorted(values.items())))
        for logger in trainer.loggers:  # not by Lightning, which would count batches
            logger.log_metrics(dict(values), step=trainer.global_step)


@final
class StepProgress(ProgressBar):
    """A bar over the optimizer steps of the whole run, with reward and time left.

    Lightning's own counts batches of an epoch, and an epoch here has no end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bar: tqdm[Any] | None = None
        self.hidden = False

    def disable(self) -> None:
        """Show nothing; Lightning calls this on all ranks but the first."""
        self.hidden = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar where the run continues."""
        self.bar = tqdm(
            total=trainer.max_steps,
            initial=trainer.global_step,
            desc="train",
            unit="step",
            disable=self.hidden,
            dynamic_ncols=True,
            mininterval=1.0,
        )

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Advance to the trainer's step and show the metrics that matter."""
        assert self.bar is not None, "opened in on_train_start"
        assert isinstance(pl_module, PostTrainingModule), "a stage of train.py"
        logged = trainer.callback_metrics | pl_module.step_metrics
        shown = {n.split("/")[1]: f"{float(logged[n]):.3f}" for n in SHOWN if n in logged}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(trainer.global_step - self.bar.n)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the full bar on the screen."""
        if self.bar is not None:
            self.bar.close()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leave the bar as it stands, so that the error is the last line."""
        if self.bar is not None:
            self.bar.close()
