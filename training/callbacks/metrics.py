"""Metrics of a run: one row per logged step, and a progress bar."""

from pathlib import Path
from typing import Any, final

import lightning as L
from lightning.pytorch.callbacks import Callback, ProgressBar
from tqdm import tqdm

from modules.base import PostTrainingModule
from runtime.metrics_log import MetricsLog

SHOWN = ("train/reward", "train/loss", "val/accuracy")
"""Metrics shown beside the bar, by the last part of their names."""


LOGS = ("metrics.jsonl", "rollouts.jsonl", "timings.jsonl", "reaudit.jsonl")
"""Files of a run directory with rows by optimizer step."""


def log_row(trainer: L.Trainer, rows: MetricsLog, values: dict[str, float]) -> None:
    """Append a row to a log of the run, and send it to its loggers."""
    if trainer.is_global_zero:
        rows.append(trainer.global_step, values)
    for logger in trainer.loggers:  # not by Lightning, which would count batches
        logger.log_metrics(values, step=trainer.global_step)


@final
class RowsOfResumedRun(Callback):
    """Drop rows behind the checkpoint that the run continues from, in all logs."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Drop them before the first one is written."""
        if trainer.is_global_zero:
            for name in LOGS:
                MetricsLog(self.run_dir / name).truncate_after(trainer.global_step)


@final
class MetricsWriter(Callback):
    """Append the metrics of every logged step to `metrics.jsonl`, the run's source of truth.

    Written from the hook that checkpoints follow, not from a logger, which comes after them: a
    kill between the two would then lose a row that no resumed run writes again.
    """

    def __init__(self, path: Path, *, every: int) -> None:
        self.metrics = MetricsLog(path)
        self.every = every

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        """Write the step that just ended, if it is due or the last."""
        assert isinstance(pl_module, PostTrainingModule), "a stage of train.py"
        last = trainer.should_stop or trainer.global_step == trainer.max_steps
        if last or trainer.global_step % self.every == 0:
            log_row(trainer, self.metrics, dict(sorted(pl_module.step_metrics.items())))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the validation of this step."""
        if not trainer.sanity_checking:
            logged = sorted(trainer.callback_metrics.items())
            values = {name: value.item() for name, value in logged if name.startswith("val/")}
            log_row(trainer, self.metrics, values)


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
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
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
