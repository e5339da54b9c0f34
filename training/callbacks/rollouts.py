"""What a reinforced run shows of its inside: what was said, what it earned, where time went.

Beside `metrics.jsonl`, which two runs of one command share bit for bit, lie `rollouts.jsonl` with
whole groups of completions, and `timings.jsonl`, which no two runs share.
"""

import time
from pathlib import Path
from typing import Any, final

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from modules.rlvr import RlvrModule
from modules.rollout.experience import Experience
from runtime.runs import MetricsLog

COLUMNS = ("step", "id", "question", "media", "answer", "completion", "correct", "reward")
"""Of the table in Weights & Biases."""


@final
class RolloutTable(Callback):
    """Write some prompts of a round with all that was said to them, every few steps."""

    def __init__(self, path: Path, *, every: int, prompts: int) -> None:
        self.rows = MetricsLog(path)
        self.every = every
        self.prompts = prompts

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget what came after the checkpoint that the run continues from."""
        if trainer.is_global_zero:
            self.rows.truncate_after(trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Write the first prompts of a due round, and of the first round of all."""
        assert isinstance(pl_module, RlvrModule), "only rounds have rollouts"
        step = trainer.global_step
        first = step == pl_module.rlvr.updates
        if not trainer.is_global_zero or not (first or step % self.every == 0):
            return
        rows = [row for one in pl_module.round for row in _told(one)][: self.prompts]
        for row in rows:
            self.rows.append(step, row)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_table("rollouts", columns=list(COLUMNS), data=_flat(step, rows))


def _told(one: Experience) -> list[dict[str, Any]]:
    """Write each prompt of a micro-batch with its group."""
    group = one.group_size
    advantage = one.advantage
    assert advantage is not None, "a round that has ended was compared"
    by_name = {name: _digits(part) for name, part in one.parts.items()}
    columns = zip(
        one.rollout.texts,
        one.rollout.completions.lens,
        one.rollout.finished,
        one.correct.flatten().tolist(),
        _digits(one.reward),
        _digits(advantage),
        strict=True,
    )
    names = ("text", "tokens", "finished", "correct", "reward", "advantage")
    said = [
        dict(zip(names, values, strict=True))
        | {"parts": {name: part[number] for name, part in by_name.items()}}
        for number, values in enumerate(columns)
    ]
    return [
        {
            "id": sample.id,
            "question": sample.question,
            "options": list(sample.options),
            "media": [item.path for item in sample.media],
            "answer": sample.answer,
            "completions": said[number * group : (number + 1) * group],
        }
        for number, sample in enumerate(one.batch.samples)
    ]


def _digits(values: Tensor) -> list[float]:
    """Write float32 numbers as short as they were meant."""
    return [round(value, 6) for value in values.flatten().tolist()]


def _flat(step: int, rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Make one line of every completion, in the order of COLUMNS."""
    return [
        [
            step,
            *(row["id"], row["question"], ", ".join(row["media"]), row["answer"]),
            *(said["text"], said["correct"], said["reward"]),
        ]
        for row in rows
        for said in row["completions"]
    ]


@final
class Timings(Callback):
    """Write where the seconds of a step went, and how many tokens were sampled in one of them."""

    def __init__(self, path: Path, *, every: int) -> None:
        self.rows = MetricsLog(path)
        self.every = every
        self.seconds: dict[str, float] = {}
        self.tokens = 0.0
        self.steps = 0
        self.began = self.ended = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock, and forget what came after the checkpoint."""
        if trainer.is_global_zero:
            self.rows.truncate_after(trainer.global_step)
        self.ended = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the time since the last round as waiting for data; saving is part of it."""
        assert isinstance(pl_module, RlvrModule), "only rounds are timed"
        waited = time.perf_counter() - self.ended
        self.seconds["data"] = self.seconds.get("data", 0.0) + waited
        pl_module.watch.seconds.clear()
        self.began = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add up a round; write the means per optimizer step of those since the last row."""
        assert isinstance(pl_module, RlvrModule), "only rounds are timed"
        self.ended = time.perf_counter()
        laps = dict(pl_module.watch.seconds)
        laps["other"] = self.ended - self.began - sum(laps.values())
        for name, seconds in laps.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.tokens += pl_module.published["train/sampled_tokens"]
        self.steps += pl_module.rlvr.updates
        if trainer.global_step % self.every and trainer.global_step != trainer.max_steps:
            return
        total = sum(self.seconds.values())
        values = {f"time/{name}": seconds / self.steps for name, seconds in self.seconds.items()}
        values |= {"time/step": total / self.steps, "time/tokens_per_second": self.tokens / total}
        if trainer.is_global_zero:
            self.rows.append(trainer.global_step, dict(sorted(values.items())))
        for logger in trainer.loggers:
            logger.log_metrics(values, step=trainer.global_step)
        self.seconds, self.tokens, self.steps = {}, 0.0, 0
