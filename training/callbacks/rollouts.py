"""Logs of a run with rollouts: groups of completions with their rewards, and timings.

Beside `metrics.jsonl`, which two runs of one command share bit for bit, lie `rollouts.jsonl` with
whole groups of completions, and `timings.jsonl`, which no two runs share.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from datamodules.loading.question_set import QuestionSet
from datamodules.questions import QuestionData
from datamodules.sample import Sample
from modules.rlvr import RlvrModule
from modules.rollout.rollout import Experience
from runtime.metrics_log import MetricsLog
from training.callbacks.metrics import log_row

COLUMNS = ("step", "id", "question", "media", "answer", "completion", "correct", "reward")
"""Of the table in Weights & Biases, which has players of the media beside them."""

QuestionRows = Sequence[tuple[Sample, Sequence[Sequence[Any]]]]  # Any: cells of every type
"""Questions, each with its rows of a table."""


class QuestionLogger(ABC):
    """A logger that shows questions with their media."""

    @abstractmethod
    def log_questions(
        self, name: str, columns: Sequence[str], rows: QuestionRows, questions: QuestionSet
    ) -> None:
        """Log a table.

        Args:
            questions: where the media of the rows are read.
        """


@final
class RolloutTable(Callback):
    """Write some prompts with their groups of completions, every few steps."""

    def __init__(self, path: Path, *, every: int, prompts: int) -> None:
        self.rows = MetricsLog(path)
        self.every = every
        self.prompts = prompts

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: object
    ) -> None:
        """Write the first prompts of a due step, and of the first one."""
        assert isinstance(pl_module, RlvrModule), "other stages have no rollouts"
        step = trainer.global_step
        first = step == pl_module.rlvr.updates
        if not trainer.is_global_zero or not (first or step % self.every == 0):
            return
        groups = [pair for each in outputs["experiences"] for pair in _rows(each)][: self.prompts]
        for group in groups:
            self.rows.append(step, group[1])
        # Any: Lightning lends it to the trainer without a type
        data: Any = getattr(trainer, "datamodule", None)
        for logger in trainer.loggers:
            if isinstance(logger, QuestionLogger) and isinstance(data, QuestionData):
                rows = [(sample, _flat(step, row)) for sample, row in groups]
                logger.log_questions("rollouts", COLUMNS, rows, data.train_questions)


def _rows(experience: Experience) -> list[tuple[Sample, dict[str, Any]]]:
    """Write each prompt of a micro-batch with its group."""
    rollout, sampled = experience.rollout, experience.rollout.sampled
    group = rollout.group_size
    parts = {name: _rounded(part) for name, part in rollout.reward_parts.items()}
    columns = zip(
        sampled.texts,
        sampled.completions.lens,
        sampled.finished,
        rollout.correct.flatten().tolist(),
        _rounded(rollout.rewards),
        _rounded(experience.advantages),
        strict=True,
    )
    names = ("text", "tokens", "finished", "correct", "reward", "advantage")
    completions = [
        dict(zip(names, values, strict=True))
        | {"parts": {name: part[number] for name, part in parts.items()}}
        for number, values in enumerate(columns)
    ]
    return [
        (
            sample,
            {
                "id": sample.id,
                "question": sample.question,
                "options": list(sample.options),
                "media": [item.path for item in sample.media],
                "answer": sample.answer,
                "completions": completions[number * group : (number + 1) * group],
            },
        )
        for number, sample in enumerate(rollout.batch.samples)
    ]


def _rounded(values: Tensor) -> list[float]:
    """Round float32 numbers to the digits that they hold."""
    return [round(value, 6) for value in values.flatten().tolist()]


def _flat(step: int, row: dict[str, Any]) -> list[list[Any]]:
    """Make a row of every completion, in the order of COLUMNS."""
    return [
        [
            step,
            *(row["id"], row["question"], ", ".join(row["media"]), row["answer"]),
            *(completion["text"], completion["correct"], completion["reward"]),
        ]
        for completion in row["completions"]
    ]


@final
class Timings(Callback):
    """Write the seconds of each phase of a step, and the tokens sampled per second."""

    def __init__(self, path: Path, *, every: int) -> None:
        self.rows = MetricsLog(path)
        self.every = every
        self.seconds: dict[str, float] = {}
        self.tokens = 0.0
        self.steps = 0
        self.began = self.ended = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self.ended = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        """Count the time since the last training step as waiting for data; saving is part of it."""
        assert isinstance(pl_module, RlvrModule), "other stages are not timed"
        waited = time.perf_counter() - self.ended
        self.seconds["data"] = self.seconds.get("data", 0.0) + waited
        pl_module.timer.seconds.clear()
        self.began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        """Add up a training step; write means per optimizer step since the last row."""
        assert isinstance(pl_module, RlvrModule), "other stages are not timed"
        self.ended = time.perf_counter()
        phases = dict(pl_module.timer.seconds)
        phases["other"] = self.ended - self.began - sum(phases.values())
        for name, seconds in phases.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.tokens += pl_module.step_metrics["train/sampled_tokens"]
        self.steps += pl_module.rlvr.updates
        if trainer.global_step % self.every and trainer.global_step != trainer.max_steps:
            return
        total = sum(self.seconds.values())
        values = {f"time/{name}": seconds / self.steps for name, seconds in self.seconds.items()}
        values |= {"time/step": total / self.steps, "time/tokens_per_second": self.tokens / total}
        log_row(trainer, self.rows, dict(sorted(values.items())))
        self.seconds, self.tokens, self.steps = {}, 0.0, 0
