"""Questions as a LightningDataModule: read, filter, put in order, decode, pack."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import lightning as L
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from configs.schema import DataConfig
from datamodules.batch import Batch
from datamodules.prompts import PromptEncoder
from datamodules.question_set import InOrder, QuestionSet, load_questions
from datamodules.sampler import prompts_at
from datamodules.selection import Selected, select_questions


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Questions that are read in epochs of their own."""

    places: Sequence[int]
    """Where they stand among all questions."""

    weights: NDArray[np.float64] | None = None
    """How often each is read, in proportion; None reads all alike."""


@final
class Shuffled(IterableDataset[Batch]):
    """Batches without end, each a function of (seed, step): resume starts counting elsewhere."""

    def __init__(
        self,
        questions: QuestionSet,
        pool: Pool,
        *,
        batch_size: int,
        seed: int,
        first_step: int,
        rank: int,
        world: int,
        with_targets: bool,
        curriculum: Pool | None = None,
        curriculum_steps: int = 0,
    ) -> None:
        """Read `curriculum` in the first `curriculum_steps` micro-batches, and `pool` after them.

        Each pool counts its own steps, so that the second begins with its first epoch.
        """
        assert curriculum is not None or not curriculum_steps
        self.questions = questions
        self.pool = pool
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step
        self.rank = rank
        self.world = world
        self.with_targets = with_targets
        self.curriculum = curriculum
        self.curriculum_steps = curriculum_steps

    def __iter__(self) -> Iterator[Batch]:
        step = self.first_step
        while True:
            if self.curriculum is not None and step < self.curriculum_steps:
                pool, steps_before = self.curriculum, step
            else:
                pool, steps_before = self.pool, step - self.curriculum_steps
            numbers = prompts_at(
                steps_before,
                seed=self.seed,
                size=len(pool.places),
                batch_size=self.batch_size,
                rank=self.rank,
                world=self.world,
                weights=pool.weights,
            )
            yield self._readable(pool, numbers, step)
            step += 1

    def _readable(self, pool: Pool, numbers: list[int], step: int) -> Batch:
        """Take the next readable question where a whole batch is not, so that steps stay steps."""
        for _ in pool.places:
            indices = [pool.places[number] for number in numbers]
            batch = self.questions.batch(indices, step=step, with_targets=self.with_targets)
            if batch is not None:
                return batch
            numbers = [(numbers[-1] + 1) % len(pool.places)]
        raise ValueError(
            f"not one of {len(pool.places)} questions could be read. Their reasons are in "
            f"{self.questions.quarantine.file}: mend the files, or data.root."
        )


@final
class QuestionData(L.LightningDataModule):
    """Training and validation questions of one run."""

    train_questions: QuestionSet
    """All of the manifest, read or not."""

    selected: Selected

    def __init__(
        self,
        data: DataConfig,
        encoder: PromptEncoder,
        *,
        seed: int,
        batch_size: int,
        accumulate: int = 1,
        val_samples: int = 200,
        with_targets: bool = False,
        run_dir: Path,
    ) -> None:
        super().__init__()
        self.data = data
        self.encoder = encoder
        self.seed = seed
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.val_samples = val_samples
        self.with_targets = with_targets
        self.run_dir = run_dir

    def setup(self, stage: str | None = None) -> None:
        """Read the training questions and choose those that the contribution rule keeps."""
        self.train_questions = load_questions(
            self.data, self.data.train, self.encoder, run_dir=self.run_dir
        )
        self.selected = select_questions(
            self.train_questions.samples, self.data, seed=self.seed, run_dir=self.run_dir
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Continue where the trainer stands: its step is all the state there is."""
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer before it asks for loaders"
        selected = self.selected
        batches = Shuffled(
            self.train_questions,
            Pool(places=selected.kept.tolist(), weights=selected.weights),
            batch_size=self.batch_size,
            seed=self.seed,
            first_step=trainer.global_step * self.accumulate,
            rank=trainer.global_rank,
            world=trainer.world_size,
            with_targets=self.with_targets,
            curriculum=Pool(places=selected.weak.tolist()),
            curriculum_steps=self.data.contribution.curriculum_steps * self.accumulate,
        )
        # One worker keeps the order; more would interleave, so each step's batch has one maker.
        return DataLoader(batches, batch_size=None, num_workers=min(self.data.workers, 1))

    def val_dataloader(self) -> DataLoader[Batch | None]:
        """The first `val_samples` validation questions, always the same."""
        questions = load_questions(self.data, self.data.val, self.encoder, run_dir=self.run_dir)
        batches = InOrder(questions, batch_size=self.batch_size * 2, limit=self.val_samples)
        return DataLoader(batches, batch_size=None, num_workers=self.data.workers)
