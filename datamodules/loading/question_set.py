"""Questions of one manifest, and how to make batches of them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import final

from configs.ablation import LEFT, Condition, Replacement
from configs.inputs import Task
from configs.schema import DataConfig, MediaConfig
from datamodules.batch import Batch
from datamodules.contamination.splits import check_splits, held_out, without_tests
from datamodules.digits.build import ensure
from datamodules.loading.media_reader import MediaReader
from datamodules.media.ablation import MediaAblation
from datamodules.media.files import Decoded, MediaError
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder, require_evidence
from datamodules.prompts.orders import arrange_options
from datamodules.prompts.renderers.base import Medium
from datamodules.sample import Media, Role, Sample
from datamodules.sources.index.gold_check import GoldCheck, with_right_golds
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.index.table import checked, column_of, take
from datamodules.sources.manifest_files import manifest_path
from datamodules.sources.quarantine import Quarantine

log = logging.getLogger(__name__)

VisibleMedia = Mapping[Media, Sequence[Medium | str]]
"""What remains visible of each medium: its tower inputs, a text in its place, both, or nothing."""


@final
class QuestionSet:
    """Questions with all that is needed to make batches of them."""

    def __init__(
        self,
        samples: Sequence[Sample],
        *,
        data: DataConfig,
        encoder: PromptEncoder,
        quarantine: Quarantine,
        manifest_rows: int,
    ) -> None:
        self.samples = samples
        self.data = data
        self.encoder = encoder
        self.quarantine = quarantine
        self.manifest_rows = manifest_rows  # good and bad: what the share of bad ones is taken of
        self.reader = MediaReader(samples, data=data, encoder=encoder)
        self.ablation = MediaAblation()
        self.option_seed = 0
        self.suffix = ""

    @property
    def condition(self) -> Condition:
        """The condition under which the questions are asked."""
        return self.ablation.condition

    @property
    def how(self) -> Replacement:
        """What replaces withheld media."""
        return self.ablation.how

    @property
    def task(self) -> Task:
        """What is asked for, see `data.task`."""
        return self.data.task

    @property
    def show_question(self) -> bool:
        """Whether the text of the question is shown; its options always are."""
        return "text" in LEFT[self.ablation.condition]

    def with_condition(
        self,
        condition: Condition,
        replacement: Replacement,
        *,
        option_seed: int = 0,
        suffix: str = "",
        silence_seconds: float | None = None,
    ) -> "QuestionSet":
        """Return the same questions under another condition; media in memory are not read again.

        Args:
            option_seed: which order of the options, see `orders.option_order`.
            suffix: added below the question, except under `full`, which withholds nothing.
            silence_seconds: see `MediaAblation`.
        """
        asked = copy(self)
        asked.ablation = MediaAblation(
            condition=condition, how=replacement, silence_seconds=silence_seconds
        )
        asked.reader.mismatches.check(asked.ablation)
        asked.option_seed = option_seed
        asked.suffix = "" if condition == "full" else suffix
        return asked

    def with_media_budget(self, budget: MediaConfig) -> "QuestionSet":
        """Return the same questions with another budget for their media."""
        other = copy(self)
        other.data = replace(self.data, media=budget)
        other.reader = self.reader.with_budget(budget)
        return other

    def visible_media(self, sample: Sample) -> list[list[Decoded | str]]:
        """List what remains of each of a sample's media: arrays, text, both, or nothing.

        Raises a `MediaError` where one of them cannot be read.
        """
        media = self.media(sample)
        budget = self.reader.budget(media)
        return [self.reader.left(item, sample.asset_id, self.ablation, budget) for item in media]

    def features(self, sample: Sample) -> VisibleMedia:
        """Read the tower inputs of what `visible_media` lists."""
        media = self.media(sample)
        budget = self.reader.budget(media)
        return {
            item: self.reader.features(item, sample.asset_id, self.ablation, budget)
            for item in media
        }

    def arrange_options(self, sample: Sample) -> Sample:
        """Put the options of a question in this set's order, named as the model is to name them."""
        answer_with = self.encoder.answer_with
        return arrange_options(sample, option_seed=self.option_seed, answer_with=answer_with)

    def media(self, sample: Sample) -> tuple[Media, ...]:
        """List the media to read: none where a description replaces them, which must be there."""
        if self.task != "answer_from_description":
            return sample.media
        require_evidence(sample)
        return ()

    def batch(
        self, indices: Sequence[int], *, step: int, with_targets: bool = False
    ) -> Batch | None:
        """Decode and pack the questions at `indices`; None where none can be read.

        The batch holds the samples with their options in this set's order. Unreadable ones are
        quarantined; too many of them stop the run.
        """
        samples, prompts, targets = [], [], []
        for index in indices:
            try:
                sample = self.arrange_options(checked(self.samples, index))
                prompt = self.encoder.prompt(
                    sample,
                    media_in_order(self.media(sample), self.features(sample)),
                    task=self.task,
                    show_question=self.show_question,
                    suffix=self.suffix,
                )
                targets += [self.encoder.target(sample, self.task)] if with_targets else []
                prompts.append(prompt)
                samples.append(sample)
            except MediaError as error:
                self.quarantine.add(self.samples[index].id, error.kind, str(error), error.path)
                self.quarantine.check(self.manifest_rows)
        if not samples:
            return None
        return collate(samples, prompts, step=step, targets=targets if with_targets else None)


def media_in_order(
    media: Sequence[Media], visible_media: VisibleMedia
) -> list[tuple[Role, Medium | str]]:
    """List the visible parts of media in order, each with its role; an empty tuple where nothing is
    left."""
    return [(item.role, part) for item in media for part in visible_media[item] or [()]]


@final
class SequentialBatches:
    """Every question once, in the order of the manifest: for validation and evaluation.

    None stands for a batch of which nothing can be read.
    """

    def __init__(
        self,
        questions: QuestionSet,
        *,
        batch_size: int,
        limit: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """Describe the batches; of `world` processes, each reads every `world`-th of them."""
        self.questions = questions
        self.batch_size = batch_size
        self.count = min(limit or len(questions.samples), len(questions.samples))
        self.rank = rank
        self.world = world

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def iter_shard(self, shard: int, shards: int) -> Iterator[Batch | None]:
        """Read every `shards`-th batch of this process, see `Loader`."""
        own = range(self.rank, len(self), self.world)
        return (self[number] for number in own[shard::shards])

    def __getitem__(self, number: int) -> Batch | None:
        if not 0 <= number < len(self):
            raise IndexError(number)
        start = number * self.batch_size
        indices = range(start, min(start + self.batch_size, self.count))
        return self.questions.batch(indices, step=number)


def load_questions(
    data: DataConfig,
    split: str,
    encoder: PromptEncoder,
    *,
    run_dir: Path,
    golds: GoldCheck | None = None,
    learned: bool = False,
) -> QuestionSet:
    """Read a manifest, or several as in `a+b`; build the embedded data set first where it is
    missing.

    No two questions of several manifests may have the same id.

    Args:
        golds: how reference answers are checked; questions whose own would be judged wrong are
            quarantined. The embedded data have none, as a test asserts.
        learned: a checkpoint is trained on these or chosen by them, so no tests may be among them.
    """
    root = Path(data.root)
    if data.embedded:
        ensure(root)
    quarantine = Quarantine(max_bad_share=data.max_bad_share, run_dir=run_dir)
    read: list[Sequence[Sample]] = []
    for name in split.split("+"):
        path = manifest_path(root, name)
        found = open_samples(
            path,
            root,
            quarantine,
            taken={id_ for samples in read for id_ in column_of(samples, "id")},
            format=data.format,
            verifiers=data.verifiers,
            outside_root=data.outside_root,
        )
        if golds is not None and not data.embedded:
            found = with_right_golds(found, golds, quarantine, path)
        read.append(without_tests(found, path, data, quarantine) if learned else found)
    samples = read[0] if len(read) == 1 else [*chain(*read)]
    quarantine.check(len(samples) + len(quarantine))
    log.info("%s: %d questions, %d quarantined", split, len(samples), len(quarantine))
    return QuestionSet(
        samples,
        data=data,
        encoder=encoder,
        quarantine=quarantine,
        manifest_rows=len(samples) + len(quarantine),
    )


def load_splits(
    data: DataConfig,
    encoder: PromptEncoder,
    *,
    validate: bool,
    run_dir: Path,
    golds: GoldCheck | None = None,
) -> tuple[QuestionSet, QuestionSet]:
    """Read the training and the validation questions of a run, which must have nothing in common.

    Args:
        validate: False reads no `data.val`, and leaves the second empty unless `data.val_share`
            holds some out.
        golds: see `load_questions`.
    """
    load = partial(load_questions, encoder=encoder, run_dir=run_dir, golds=golds, learned=True)
    train = load(data, data.train)
    val = copy(train)
    val.samples = []
    if data.val_share:
        learned, scored = held_out(train.samples, data.val_share)
        val.samples = take(train.samples, scored)
        train.samples = take(train.samples, learned)
        told = data.val_share, len(scored), len(learned)
        log.info("data.val_share=%g holds out %d questions; %d are left to train on", *told)
    elif validate:
        val = load(data, data.val)
    val.samples = check_splits(train.samples, val.samples, data, run_dir=run_dir)
    return train, val
