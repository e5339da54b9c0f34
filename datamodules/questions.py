"""Questions as a LightningDataModule: read, filter, put in order, decode, pack."""

import logging
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, final

import lightning as L
from torch.utils.data import DataLoader, Dataset, IterableDataset

from configs.schema import Condition, DataConfig, MediaConfig
from datamodules.batch import Batch
from datamodules.collate import collate
from datamodules.digits.build import ensure
from datamodules.media import How, MediaError, ablate, decode
from datamodules.prompts import Features, PromptEncoder
from datamodules.quarantine import Quarantine
from datamodules.sample import Media, Sample
from datamodules.sampler import prompts_at
from datamodules.selection import select_questions
from datamodules.sources.manifest import read_manifest

log = logging.getLogger(__name__)

CACHED_BYTES = 2**30
"""Processed media that a reader keeps in memory; questions share them."""


def _cached_media(budget: MediaConfig) -> int:
    """How many media fit, were each as large as the budget allows: 12 bytes for three colors."""
    largest = 12 * budget.image_max_pixels * max(2, budget.video_max_frames)
    return max(1, CACHED_BYTES // largest)


@final
class QuestionSet:
    """Questions of one manifest and the way from any of them to a batch."""

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        data: DataConfig,
        encoder: PromptEncoder,
        quarantine: Quarantine,
        manifest_rows: int,
        condition: Condition = "full",
        how: How = "absent",
    ) -> None:
        self.samples = samples
        self.data = data
        self.encoder = encoder
        self.quarantine = quarantine
        self.manifest_rows = manifest_rows  # good and bad: what the share of bad ones is taken of
        self.condition: Condition = condition
        self.how: How = how
        self._shown = lru_cache(maxsize=_cached_media(data.media))(self._show)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the cache behind on the way to a loader process, which starts its own."""
        return {name: value for name, value in vars(self).items() if name != "_shown"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._shown = lru_cache(maxsize=_cached_media(self.data.media))(self._show)

    def under(self, condition: Condition, how: How) -> "QuestionSet":
        """Ask the same questions with media withheld."""
        return QuestionSet(
            self.samples,
            data=self.data,
            encoder=self.encoder,
            quarantine=self.quarantine,
            manifest_rows=self.manifest_rows,
            condition=condition,
            how=how,
        )

    def batch(
        self, indices: Sequence[int], *, step: int, with_targets: bool = False
    ) -> Batch | None:
        """Decode and pack the questions at `indices`, or return None where none can be read.

        Unreadable ones are quarantined; too many of them stop the run.
        """
        samples, prompts = [], []
        for index in indices:
            sample = self.samples[index]
            try:
                media = [(item.role, self._shown(item)) for item in sample.media]
                prompts.append(self.encoder.prompt(sample, media))
                samples.append(sample)
            except MediaError as error:
                self.quarantine.add(sample.id, error.kind, str(error), error.path)
                self.quarantine.check(self.manifest_rows)
        if not samples:
            return None
        targets = [self.encoder.target(sample) for sample in samples] if with_targets else None
        return collate(samples, prompts, step=step, targets=targets)

    def _show(self, media: Media) -> tuple[Features, ...]:
        """Decode one medium under the condition and turn it into tower inputs."""
        decoded = decode(Path(self.data.root), media, self.data.media)
        left = ablate([decoded], self.condition, self.how)
        return tuple(feature for item in left for feature in self.encoder.features(item))


@final
class InOrder(Dataset[Batch | None]):
    """Every question once, in the order of the manifest: for validation and evaluation.

    None stands for a batch of which nothing can be read.
    """

    def __init__(self, questions: QuestionSet, *, batch_size: int, limit: int = 0) -> None:
        self.questions = questions
        self.batch_size = batch_size
        self.count = min(limit or len(questions.samples), len(questions.samples))

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __getitem__(self, number: int) -> Batch | None:
        if not 0 <= number < len(self):
            raise IndexError(number)
        start = number * self.batch_size
        indices = range(start, min(start + self.batch_size, self.count))
        return self.questions.batch(indices, step=number)


@final
class Shuffled(IterableDataset[Batch]):
    """Batches without end, each a function of (seed, step): resume starts counting elsewhere."""

    def __init__(
        self,
        questions: QuestionSet,
        *,
        batch_size: int,
        seed: int,
        first_step: int,
        rank: int,
        world: int,
        with_targets: bool,
    ) -> None:
        self.questions = questions
        self.batch_size = batch_size
        self.seed = seed
        self.first_step = first_step
        self.rank = rank
        self.world = world
        self.with_targets = with_targets

    def __iter__(self) -> Iterator[Batch]:
        step = self.first_step
        while True:
            indices = prompts_at(
                step,
                seed=self.seed,
                size=len(self.questions.samples),
                batch_size=self.batch_size,
                rank=self.rank,
                world=self.world,
            )
            yield self._readable(indices, step)
            step += 1

    def _readable(self, indices: list[int], step: int) -> Batch:
        """Take the next readable question where a whole batch is not, so that steps stay steps."""
        for _ in range(len(self.questions.samples)):
            batch = self.questions.batch(indices, step=step, with_targets=self.with_targets)
            if batch is not None:
                return batch
            indices = [(indices[-1] + 1) % len(self.questions.samples)]
        raise ValueError(
            f"not one of {len(self.questions.samples)} questions could be read. Their reasons are "
            f"in {self.questions.quarantine.file}: mend the files, or data.root."
        )


@final
class QuestionData(L.LightningDataModule):
    """Training and validation questions of one run."""

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
        """Read the training questions and keep those that the contribution rule keeps."""
        train = load_questions(self.data, self.data.train, self.encoder, run_dir=self.run_dir)
        kept = select_questions(train.samples, self.data, run_dir=self.run_dir)
        train.samples = kept
        if not kept:
            raise ValueError(
                f"data.contribution.rule={self.data.contribution.rule} with "
                f"keep={self.data.contribution.keep} leaves no question of {self.data.train} to "
                "train on: choose another rule or keep=all."
            )
        self.train_questions = train

    def train_dataloader(self) -> DataLoader[Batch]:
        """Continue where the trainer stands: its step is all the state there is."""
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer before it asks for loaders"
        batches = Shuffled(
            self.train_questions,
            batch_size=self.batch_size,
            seed=self.seed,
            first_step=trainer.global_step * self.accumulate,
            rank=trainer.global_rank,
            world=trainer.world_size,
            with_targets=self.with_targets,
        )
        # One worker keeps the order; more would interleave, so each step's batch has one maker.
        return DataLoader(batches, batch_size=None, num_workers=min(self.data.workers, 1))

    def val_dataloader(self) -> DataLoader[Batch | None]:
        """The first `val_samples` validation questions, always the same."""
        questions = load_questions(self.data, self.data.val, self.encoder, run_dir=self.run_dir)
        batches = InOrder(questions, batch_size=self.batch_size * 2, limit=self.val_samples)
        return DataLoader(batches, batch_size=None, num_workers=self.data.workers)


def load_questions(
    data: DataConfig, split: str, encoder: PromptEncoder, *, run_dir: Path
) -> QuestionSet:
    """Read one manifest, making the embedded data first where it is missing."""
    root = Path(data.root)
    if data.embedded:
        ensure(root)
    quarantine = Quarantine(max_bad_share=data.max_bad_share, run_dir=run_dir)
    samples = read_manifest(root / f"{split}.jsonl", root, quarantine)
    quarantine.check(len(samples) + len(quarantine))
    log.info("%s: %d questions, %d quarantined", split, len(samples), len(quarantine))
    return QuestionSet(
        samples,
        data=data,
        encoder=encoder,
        quarantine=quarantine,
        manifest_rows=len(samples) + len(quarantine),
    )
