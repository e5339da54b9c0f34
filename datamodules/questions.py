"""The LightningDataModule: read questions, select, mix, order, decode and pack them."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import final

import lightning as L
import numpy as np
from numpy.typing import NDArray

from configs.schema import DataConfig
from datamodules.batch import Batch, View
from datamodules.contribution.selection import Selected, select_questions
from datamodules.loading.loader import IterShard, Loader, T
from datamodules.loading.mixture import mixture_weights
from datamodules.loading.question_set import QuestionSet, SequentialBatches, load_splits
from datamodules.loading.streams import BatchStream, PromptResampler, QuestionPool, RoundDataset
from datamodules.loading.too_long import LengthLimit, drop_places, enforce_limit, find_too_long
from datamodules.loading.traces import check_option_naming, read_traces, with_traces
from datamodules.loading.views import ViewSettings, make_view
from datamodules.media.files import MediaError
from datamodules.prompts.encoder import PromptEncoder
from datamodules.sample import Sample
from datamodules.sources.index.gold_check import GoldCheck


@final
class QuestionData(L.LightningDataModule):
    """Training and validation questions of one run."""

    train_questions: QuestionSet
    """All questions that may be trained on, read or not."""

    selected: Selected
    """The selection by the contribution rule."""

    too_long: Mapping[int, int]
    """Completions that are too long to imitate, in tokens, by the places of their questions."""

    def __init__(
        self,
        data: DataConfig,
        encoder: PromptEncoder,
        *,
        seed: int,
        batch_size: int,
        micro_batches: int = 1,
        accumulate: int = 0,
        updates: int = 1,
        pack_tokens: int = 0,
        views: Mapping[View, ViewSettings] | None = None,
        traces: Path | None = None,
        val_samples: int = 0,
        with_targets: bool = False,
        golds: GoldCheck | None = None,
        longest: LengthLimit | None = None,
        run_dir: Path,
    ) -> None:
        """Describe a run's questions; they are read in `setup`.

        Args:
            batch_size: prompts of one process in one micro-batch, unless they are packed.
            micro_batches: of one list, which is what a training step is handed.
            accumulate: those of them that one optimizer step learns from; 0 is all.
            updates: optimizer steps that one list feeds.
            pack_tokens: cut the prompts of a list into micro-batches of at most so many tokens
                instead; 0 does not.
            views: what else each training batch carries, see `Batch.views`.
            traces: file of the completions to imitate instead of the manifest's.
            val_samples: questions that are scored during training; 0 reads none.
            golds: how the answers of questions are judged, see `load_questions`.
            longest: what completions may be imitated; None does not look.
        """
        super().__init__()
        self.data = data
        self.encoder = encoder
        self.seed = seed
        self.batch_size = batch_size
        self.micro_batches = micro_batches
        self.accumulate = accumulate or micro_batches
        self.updates = updates
        self.pack_tokens = pack_tokens
        self.views = views or {}
        self.traces = traces
        self.val_samples = val_samples
        self.with_targets = with_targets
        self.golds = golds
        self.longest = longest
        self.run_dir = run_dir

    def setup(self, stage: str | None = None) -> None:
        """Read the training questions and select those that the contribution rule keeps."""
        self.train_questions, self._scored = load_splits(
            self.data,
            self.encoder,
            validate=self.val_samples > 0,
            run_dir=self.run_dir,
            golds=self.golds,
        )
        self.selected = select_questions(
            self.train_questions.samples, self.data, seed=self.seed, run_dir=self.run_dir
        )
        self._read = self.train_questions
        self._pool = QuestionPool(places=self.selected.kept, weights=self.selected.weights)
        self._weak = QuestionPool(places=self.selected.weak)
        if self.traces is not None:
            self._imitate(self.traces)
        if self.longest is not None:
            self._fit(self.longest)
        self._mix()
        self._views = {name: make_view(self._read, view) for name, view in self.views.items()}

    def _imitate(self, file: Path) -> None:
        """Replace the questions kept, and those of a curriculum, by one sample for each of their
        traces."""
        if self.data.task != "answer":
            raise ValueError(
                f"data.task={self.data.task} says by itself what is imitated, but so does "
                f"sft.traces={file}, whose traces are answers: leave one of the two out."
            )
        everything, traces = self.train_questions.samples, read_traces(file)
        check_option_naming(traces, self.train_questions.encoder.answer_with)
        kept = [everything[place] for place in self._pool.places]
        weak = [everything[place] for place in self._weak.places]
        first = with_traces(kept, traces)
        last = with_traces(weak, traces) if self.data.contribution.curriculum_steps else []
        self._read = copy(self.train_questions)
        self._read.samples = first + last
        weights = self._pool.weights
        if weights is not None:  # which each trace takes over from its question
            counts = [len(traces.get((sample.id, sample.content_hash), ())) for sample in kept]
            weights = np.repeat(weights, counts)
        self._pool = QuestionPool(places=np.arange(len(first)), weights=weights)
        self._weak = QuestionPool(places=len(first) + np.arange(len(last)))

    def _fit(self, longest: LengthLimit) -> None:
        """Refuse completions that are too long, or leave them out, before training begins."""
        samples = self._read.samples
        places = [*dict.fromkeys([*self._pool.places, *self._weak.places])]
        found = find_too_long(samples, places, self.encoder, self.data.task, longest.tokens)
        self.too_long = found
        enforce_limit(found, samples, len(places), longest)
        self._pool, self._weak = drop_places(self._pool, found), drop_places(self._weak, found)

    def _mix(self) -> None:
        """Weight the questions by the shares that `data.mixture` asks for."""
        mixture, places = self.data.mixture, self._pool.places
        mixed = mixture.by != "none"
        samples = [self._read.samples[place] for place in places] if mixed else []
        counted = self.with_targets and mixed
        weights = mixture_weights(
            samples,
            mixture,
            output_tokens=self._output_tokens(samples) if counted else None,
            weights=self._pool.weights,
        )
        self._pool = QuestionPool(places=places, weights=weights)

    def _output_tokens(self, samples: list[Sample]) -> NDArray[np.int64]:
        """Count the tokens of each completion to be imitated."""
        counts = np.zeros(len(samples), dtype=np.int64)
        for number, sample in enumerate(samples):
            try:
                counts[number] = len(
                    self.encoder.target(self._read.arrange_options(sample), task=self.data.task)
                )
            except MediaError:  # it cannot be imitated: the quarantine says so when it is read
                continue
        return counts

    def train_dataloader(self) -> Loader[list[Batch]]:
        """Continue at the trainer's step, which is all the state there is."""
        stream = self._stream()
        assert self.trainer is not None, "see _stream"
        rounds = RoundDataset(
            stream,
            micro_batches=self.micro_batches,
            first=self.trainer.global_step // self.updates,
            pack_tokens=self.pack_tokens,
        )
        return self._loader(rounds.iter_shard)

    def prompt_resampler(self) -> PromptResampler:
        """Return the source of further prompts for a round, from the pool that the round was read
        from."""
        return PromptResampler(self._stream(), micro_batches=self.micro_batches)

    def _stream(self) -> BatchStream:
        """Return the stream of micro-batches of this process."""
        trainer = self.trainer
        assert trainer is not None, "Lightning attaches the trainer before it asks for loaders"
        return self.stream(rank=trainer.global_rank, world=trainer.world_size)

    def stream(self, *, rank: int, world: int) -> BatchStream:
        """Return the stream of micro-batches of one process of several."""
        return BatchStream(
            questions=self._read,
            pool=self._pool,
            seed=self.seed,
            batch_size=self.batch_size,
            rank=rank,
            world=world,
            with_targets=self.with_targets,
            views=self._views,
            curriculum=self._weak,
            curriculum_batches=self._curriculum_batches(),
        )

    def _curriculum_batches(self) -> int:
        """Count the micro-batches that the optimizer steps of the curriculum begin with."""
        rounds, steps = divmod(self.data.contribution.curriculum_steps, self.updates)
        begun = min(steps * self.accumulate, self.micro_batches)
        return rounds * self.micro_batches + begun

    def val_dataloader(self) -> Loader[Batch | None]:
        """The first `val_samples` validation questions, always the same, in batches that do not
        depend on how many processes share them."""
        assert self.trainer is not None, "see _stream"
        batches = SequentialBatches(
            self._scored,
            batch_size=self.batch_size * 2,
            limit=self.val_samples,
            rank=self.trainer.global_rank,
            world=self.trainer.world_size,
        )
        return self._loader(batches.iter_shard)

    def _loader(self, iter_shard: IterShard[T]) -> Loader[T]:
        return Loader(iter_shard=iter_shard, workers=self.data.workers, patience=self.data.patience)
