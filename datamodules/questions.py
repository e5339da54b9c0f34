"""Questions as a LightningDataModule: read, filter, put in order, decode, pack."""

from collections.abc import Mapping
from pathlib import Path
from typing import final

import lightning as L
from torch.utils.data import DataLoader

from configs.schema import DataConfig
from datamodules.ablation import Withholding
from datamodules.batch import Batch, View
from datamodules.prompts import PromptEncoder
from datamodules.question_set import InOrder, QuestionSet, load_questions
from datamodules.rounds import Pool, Refills, Rounds, Shuffled, Stream
from datamodules.selection import Selected, select_questions


@final
class QuestionData(L.LightningDataModule):
    """Training and validation questions of one run."""

    train_questions: QuestionSet
    """All of the manifest, read or not."""

    selected: Selected

    view_questions: dict[View, QuestionSet]
    """The same with media withheld."""

    def __init__(
        self,
        data: DataConfig,
        encoder: PromptEncoder,
        *,
        seed: int,
        batch_size: int,
        accumulate: int = 1,
        updates: int = 1,
        round_batches: int = 0,
        views: Mapping[View, Withholding] | None = None,
        val_samples: int = 200,
        with_targets: bool = False,
        run_dir: Path,
    ) -> None:
        """Describe a run's questions; they are read in `setup`.

        Args:
            accumulate: micro-batches of one optimizer step.
            updates: optimizer steps that the micro-batches of one round feed.
            round_batches: micro-batches of one round, handed out as a list; 0 hands out single
                ones, as many as are accumulated to one optimizer step.
            views: what else each training batch carries, see `Batch.views`.
        """
        super().__init__()
        self.data = data
        self.encoder = encoder
        self.seed = seed
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.updates = updates
        self.round_batches = round_batches
        self.views = views or {}
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
        self.view_questions = {
            name: self.train_questions.under(
                withheld.condition, withheld.how, silence_seconds=withheld.silence_seconds
            )
            for name, withheld in self.views.items()
        }

    def train_dataloader(self) -> DataLoader[Batch] | DataLoader[list[Batch]]:
        """Continue where the trainer stands: its step is all the state there is."""
        stream = self._stream()
        assert self.trainer is not None, "see _stream"
        first = self.trainer.global_step // self.updates
        # One worker keeps the order; more would interleave, so each step's batch has one maker.
        workers = min(self.data.workers, 1)
        if not self.round_batches:
            batches = Shuffled(stream, first=first * self.accumulate)
            return DataLoader(batches, batch_size=None, num_workers=workers)
        rounds = Rounds(stream, micro_batches=self.round_batches, first=first)
        ahead = 1 if workers else None  # a round is large: one in waiting is enough
        return DataLoader(rounds, batch_size=None, num_workers=workers, prefetch_factor=ahead)

    def refills(self) -> Refills:
        """Offer more prompts for a round, from the pool that it was read from."""
        assert self.round_batches, "single batches are not refilled"
        return Refills(self._stream(), micro_batches=self.round_batches)

    def _stream(self) -> Stream:
        """Number the micro-batches that this process reads."""
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer before it asks for loaders"
        selected = self.selected
        return Stream(
            questions=self.train_questions,
            pool=Pool(places=selected.kept.tolist(), weights=selected.weights),
            seed=self.seed,
            batch_size=self.batch_size,
            rank=trainer.global_rank,
            world=trainer.world_size,
            with_targets=self.with_targets,
            views=self.view_questions,
            curriculum=Pool(places=selected.weak.tolist()),
            curriculum_batches=self._curriculum_batches(),
        )

    def _curriculum_batches(self) -> int:
        """Count the micro-batches that optimizer steps of the curriculum are the first to use."""
        size = self.round_batches or self.accumulate
        rounds, steps = divmod(self.data.contribution.curriculum_steps, self.updates)
        return rounds * size + min(steps * self.accumulate, size)

    def val_dataloader(self) -> DataLoader[Batch | None]:
        """The first `val_samples` validation questions, always the same."""
        questions = load_questions(self.data, self.data.val, self.encoder, run_dir=self.run_dir)
        batches = InOrder(questions, batch_size=self.batch_size * 2, limit=self.val_samples)
        return DataLoader(batches, batch_size=None, num_workers=self.data.workers)
