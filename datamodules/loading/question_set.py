"""Questions of one manifest, and the way from any of them to a batch."""

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
from datamodules.media.ablation import Withholding
from datamodules.media.files import Decoded, MediaError
from datamodules.prompts.collate import collate
from datamodules.prompts.encoder import PromptEncoder, required_evidence
from datamodules.prompts.orders import put
from datamodules.prompts.renderers.base import Medium
from datamodules.sample import Media, Role, Sample
from datamodules.sources.index.gold_check import GoldCheck, with_right_golds
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.index.table import checked, ids_of, take
from datamodules.sources.quarantine import Quarantine
from datamodules.sources.row_files import manifest_path

log = logging.getLogger(__name__)

Shown = Mapping[Media, Sequence[Medium | str]]
"""What is shown of each medium: its tower inputs, words that stand for it, both, or nothing."""


@final
class QuestionSet:
    """Questions and the way from any of them to a batch."""

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
        self.withheld = Withholding()
        self.option_seed = 0
        self.suffix = ""

    @property
    def condition(self) -> Condition:
        """What the model is left with."""
        return self.withheld.condition

    @property
    def how(self) -> Replacement:
        """What stands in for what is withheld."""
        return self.withheld.how

    @property
    def want(self) -> Task:
        """What is asked for, see `data.task`."""
        return self.data.task

    @property
    def ask(self) -> bool:
        """Whether the text of the question is shown; its options are in any case."""
        return "text" in LEFT[self.withheld.condition]

    def under(
        self,
        condition: Condition,
        how: Replacement,
        *,
        option_seed: int = 0,
        suffix: str = "",
        silence_seconds: float | None = None,
    ) -> "QuestionSet":
        """Ask the same questions otherwise; media that were read already are not read again.

        Args:
            option_seed: which order of the options, see `orders.option_order`.
            suffix: what is said below the question, except under `full`, which withholds nothing.
            silence_seconds: see `Withholding`.
        """
        asked = copy(self)
        asked.withheld = Withholding(condition=condition, how=how, silence_seconds=silence_seconds)
        asked.reader.donors.check(asked.withheld)
        asked.option_seed = option_seed
        asked.suffix = "" if condition == "full" else suffix
        return asked

    def showing(self, budget: MediaConfig) -> "QuestionSet":
        """Show the same questions with another budget for their media."""
        other = copy(self)
        other.data = replace(self.data, media=budget)
        other.reader = self.reader.within(budget)
        return other

    def shown(self, sample: Sample) -> list[list[Decoded | str]]:
        """List what is left of each of a sample's media: arrays, words, both, or nothing.

        Raises a `MediaError` where one of them cannot be read.
        """
        media = self.media(sample)
        budget = self.reader.budget(media)
        return [self.reader.left(item, sample.asset_id, self.withheld, budget) for item in media]

    def features(self, sample: Sample) -> Shown:
        """Read what is shown of each of a sample's media, as `shown` does."""
        media = self.media(sample)
        budget = self.reader.budget(media)
        return {
            item: self.reader.features(item, sample.asset_id, self.withheld, budget)
            for item in media
        }

    def put(self, sample: Sample) -> Sample:
        """Make one of these questions as it is asked here: in this order of its options, which are
        named as the model is to name them."""
        answer_with = self.encoder.answer_with
        return put(sample, option_seed=self.option_seed, answer_with=answer_with)

    def media(self, sample: Sample) -> tuple[Media, ...]:
        """List the media that are read: none where words stand for them, which must be there."""
        if self.want != "answer_from_description":
            return sample.media
        required_evidence(sample)
        return ()

    def batch(
        self, indices: Sequence[int], *, step: int, with_targets: bool = False
    ) -> Batch | None:
        """Decode and pack the questions at `indices`, or return None where none can be read.

        The batch holds the questions as they are asked, in this set's order of options. Unreadable
        ones are quarantined; too many of them stop the run.
        """
        samples, prompts, targets = [], [], []
        for index in indices:
            try:
                sample = self.put(checked(self.samples, index))
                prompt = self.encoder.prompt(
                    sample,
                    in_places(self.media(sample), self.features(sample)),
                    want=self.want,
                    ask=self.ask,
                    suffix=self.suffix,
                )
                targets += [self.encoder.target(sample, self.want)] if with_targets else []
                prompts.append(prompt)
                samples.append(sample)
            except MediaError as error:
                self.quarantine.add(self.samples[index].id, error.kind, str(error), error.path)
                self.quarantine.check(self.manifest_rows)
        if not samples:
            return None
        return collate(samples, prompts, step=step, targets=targets if with_targets else None)


def in_places(media: Sequence[Media], shown: Shown) -> list[tuple[Role, Medium | str]]:
    """List what is shown of media in their order, each in its role; of nothing, that."""
    return [(item.role, part) for item in media for part in shown[item] or [()]]


@final
class InOrder:
    """Every question once, in the order of the manifest: for validation and evaluation.

    None stands for a batch of which nothing can be read.
    """

    def __init__(self, questions: QuestionSet, *, batch_size: int, limit: int = 0) -> None:
        self.questions = questions
        self.batch_size = batch_size
        self.count = min(limit or len(questions.samples), len(questions.samples))

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def deal(self, turn: int, turns: int) -> Iterator[Batch | None]:
        """Read every so many-th batch, see `Loader`."""
        return (self[number] for number in range(turn, len(self), turns))

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
    """Read a manifest, or several as in `a+b`, making the embedded data first where it is missing.

    No two questions of several manifests may have the same id.

    Args:
        golds: how answers are judged; whose own is not right is set aside. The embedded data are
            made so that none is, and a test holds them to it.
        learned: a checkpoint is trained on these or chosen by them, so that no tests may be there.
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
            taken={id_ for samples in read for id_ in ids_of(samples)},
            format=data.format,
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
    """Read what a run trains on and what it is validated by, which must have nothing in common.

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
    elif validate:
        val = load(data, data.val)
    check_splits(train.samples, val.samples, data)
    return train, val
