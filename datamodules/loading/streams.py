"""The micro-batches of each step, and further prompts for dynamic sampling.

Everything is a function of the seed and a number, so a run resumes by counting from elsewhere, and
it does not matter into how many micro-batches and processes the same prompts are cut.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from typing import final

import numpy as np
from numpy.typing import NDArray

from datamodules.batch import Batch, View
from datamodules.draws import draw_seed, prompts_at
from datamodules.loading.packing import pack_batches
from datamodules.loading.question_set import QuestionSet
from datamodules.loading.views import batch_with_views


@dataclass(frozen=True, kw_only=True)
class QuestionPool:
    """Questions that are read in epochs of their own."""

    places: NDArray[np.int64]
    """Indices into all questions."""

    weights: NDArray[np.float64] | None = None
    """How often each is read, in proportion; None reads all equally often."""


@dataclass(frozen=True, kw_only=True)
class BatchStream:
    """Micro-batches by number, counted from the start of the run."""

    questions: QuestionSet
    pool: QuestionPool
    seed: int
    batch_size: int
    """Prompts of one process in one micro-batch."""

    rank: int = 0
    world: int = 1
    with_targets: bool = False
    views: Mapping[View, QuestionSet] = field(default_factory=dict)
    """The same questions rendered otherwise, carried by every batch."""

    curriculum: QuestionPool | None = None
    curriculum_batches: int = 0
    """Micro-batches at the start that are read from `curriculum`. Each pool counts its own, so that
    `pool` begins with its first epoch."""

    def __post_init__(self) -> None:
        assert self.curriculum is not None or not self.curriculum_batches

    def batch(self, number: int, *, step: int) -> Batch:
        """Read one micro-batch; where none of it can be read, the next readable question.

        Args:
            step: see `Batch.step`.
        """
        pool, places = self._places(number)
        own = places[self.rank :: self.world]
        for _ in range(len(pool.places)):
            batch = self.read(pool.places[own].tolist(), step=step)
            if batch is not None:
                return batch
            own = [(own[-1] + 1) % len(pool.places)]
        raise ValueError(
            f"not one of {len(pool.places)} questions could be read. Their reasons are in "
            f"{self.questions.quarantine.file}: mend the files, or data.root."
        )

    def read(self, indices: Sequence[int], *, step: int) -> Batch | None:
        """Pack questions of the manifest; None where none can be read."""
        return batch_with_views(
            self.questions, self.views, indices, step=step, with_targets=self.with_targets
        )

    def indices(self, number: int) -> list[int]:
        """List the questions of one micro-batch of all processes."""
        pool, places = self._places(number)
        found: list[int] = pool.places[places].tolist()
        return found

    def _places(self, number: int) -> tuple[QuestionPool, list[int]]:
        """Find the pool of one micro-batch and the places in it; processes take turns."""
        pool, before = self.pool_at(number)
        places = prompts_at(
            before,
            seed=self.seed,
            size=len(pool.places),
            batch_size=self.batch_size * self.world,
            weights=pool.weights,
        )
        return pool, places

    def pool_at(self, number: int) -> tuple[QuestionPool, int]:
        """Return the pool of a micro-batch, and how many micro-batches were read from it before."""
        if self.curriculum is not None and number < self.curriculum_batches:
            return self.curriculum, number
        return self.pool, number - self.curriculum_batches


@final
class RoundDataset:
    """The batches of each training step, without end: the micro-batches of one optimizer step, or
    of one round of sampling. All random draws of a list share one step.
    """

    def __init__(
        self, stream: BatchStream, *, micro_batches: int, first: int, pack_tokens: int = 0
    ) -> None:
        self.stream = stream
        self.micro_batches = micro_batches
        self.first = first
        self.pack_tokens = pack_tokens

    def iter_shard(self, shard: int, shards: int) -> Iterator[list[Batch]]:
        """Read every `shards`-th list, see `Loader`."""
        for step in count(self.first + shard, shards):
            batches = [self.stream.batch(n, step=step) for n in _numbers(step, self.micro_batches)]
            yield pack_batches(batches, budget=self.pack_tokens) if self.pack_tokens else batches


@final
class PromptResampler:
    """Further prompts for a round, to replace those whose rewards have no variance (DAPO, arXiv
    2503.14476)."""

    def __init__(self, stream: BatchStream, *, micro_batches: int) -> None:
        self.stream = stream
        self.micro_batches = micro_batches

    def batch(self, step: int, attempt: int) -> Batch | None:
        """Read this process's share of an attempt: `batch_size` prompts that the round has not had.

        There are fewer where some cannot be read or the pool runs out; None where there are none.
        """
        stream = self.stream
        everyone = stream.batch_size * stream.world
        first = attempt * everyone
        fresh = list(islice(self._fresh(step), first, first + everyone))
        own = fresh[stream.rank :: stream.world]
        return stream.read(own, step=step) if own else None

    def _fresh(self, step: int) -> Iterator[int]:
        """Iterate over the pool of a round, in an order of its own, skipping what the round has
        read.

        A repeated question would be completed by the same random numbers. With weights, one
        weighted epoch is iterated, so questions of large weight come earlier and others may not
        come at all.
        """
        stream, numbers = self.stream, _numbers(step, self.micro_batches)
        pool, _ = stream.pool_at(numbers[0])
        seen = {index for number in numbers for index in stream.indices(number)}
        walked = (
            place
            for number in count()
            for place in prompts_at(
                number,
                seed=draw_seed(stream.seed, "refill", step),
                size=len(pool.places),
                batch_size=stream.batch_size * stream.world,
                weights=pool.weights,
            )
        )
        for place in islice(walked, len(pool.places)):
            index = int(pool.places[place])
            if index not in seen:
                seen.add(index)
                yield index


def _numbers(step: int, micro_batches: int) -> range:
    """Return the numbers of the micro-batches of one list."""
    return range(step * micro_batches, (step + 1) * micro_batches)
