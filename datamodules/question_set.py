"""Questions of one manifest, and the way from any of them to a batch."""

import logging
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, final

from torch.utils.data import Dataset

from configs.ablation import LEFT, Condition, How, Part
from configs.inputs import Ask
from configs.schema import DataConfig, MediaConfig
from datamodules.ablation import Donors, Withholding, ablate, extent
from datamodules.batch import Batch
from datamodules.collate import collate
from datamodules.digits.build import ensure
from datamodules.features import Features
from datamodules.media import Decoded, MediaError, decode
from datamodules.orders import reorder
from datamodules.prompts import PromptEncoder, required_evidence
from datamodules.quarantine import Quarantine
from datamodules.sample import Media, Role, Sample
from datamodules.sources.manifest import read_manifest

log = logging.getLogger(__name__)

CACHED_BYTES = 2**30
"""Processed media that a reader keeps in memory; questions, conditions and orders share them."""

COMPARED = 4
"""Media of other assets among which `how=mismatched` takes the one nearest in length."""


def _cached_media(budget: MediaConfig) -> int:
    """How many media fit, were each as large as the budget allows: 12 bytes for three colors."""
    largest = 12 * budget.image_max_pixels * max(2, budget.video_max_frames)
    return max(1, CACHED_BYTES // largest)


@final
class MediaReader:
    """Decode and process each medium once, however many questions and orders show it."""

    def __init__(
        self, samples: Sequence[Sample], *, data: DataConfig, encoder: PromptEncoder
    ) -> None:
        self.data = data
        self.encoder = encoder
        self.donors = Donors(samples)
        self._start_caches()

    def _start_caches(self) -> None:
        self._features = lru_cache(maxsize=_cached_media(self.data.media))(self._process)
        self._extent = lru_cache(maxsize=1 << 16)(self._measure)

    def within(self, budget: MediaConfig) -> "MediaReader":
        """Read the same media within another budget."""
        other = copy(self)
        other.data = replace(self.data, media=budget)
        other._start_caches()
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Leave the caches behind on the way to a loader process, which starts its own."""
        caches = ("_features", "_extent")
        return {name: value for name, value in vars(self).items() if name not in caches}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start_caches()

    def features(self, media: Media, asset_id: str, withheld: Withholding) -> tuple[Features, ...]:
        """Turn what is left of one medium into tower inputs; nothing may be left."""
        if not withheld.touches(media.modality):
            withheld = Withholding()  # one entry for all conditions that leave it as it is
        return self._features(media, asset_id if withheld.how == "mismatched" else "", withheld)

    def _process(self, media: Media, asset_id: str, withheld: Withholding) -> tuple[Features, ...]:
        left = self.left(media, asset_id, withheld)
        return () if left is None else self.encoder.features(left)

    def left(self, media: Media, asset_id: str, withheld: Withholding) -> Decoded | None:
        """Decode one medium and take from it what is withheld."""
        item = self._decode(media)
        parts = withheld.parts(item)
        donor = None
        if parts and withheld.how == "mismatched":
            donor = self._decode(self._donor(media, item, asset_id, parts))
        return ablate(item, withheld, donor=donor)

    def _decode(self, media: Media) -> Decoded:
        return decode(Path(self.data.root), media, self.data.media)

    def _donor(self, media: Media, item: Decoded, asset_id: str, parts: frozenset[Part]) -> Media:
        """Find a medium of another asset that has the parts withheld, about as much of them."""
        part: Part = "visual" if "visual" in parts else "audio"
        suitable = (
            (other, sizes[part])
            for other in self.donors.candidates(item, asset_id)
            if parts <= (sizes := self._extent(other)).keys()
        )
        wanted = extent(item)[part]
        nearest = min(
            islice(suitable, COMPARED), key=lambda pair: abs(pair[1] - wanted), default=None
        )
        if nearest is None:
            raise MediaError(
                f"{media.path}: no readable {item.modality} of another asset than {asset_id!r} has "
                f"{' and '.join(sorted(parts))}, but how=mismatched shows one in its place: choose "
                "probe.how=noise, or leave the question out.",
                kind="no_donor",
                path=media.path,
            )
        return nearest[0]

    def _measure(self, media: Media) -> dict[Part, int]:
        try:
            return extent(self._decode(media))
        except MediaError:  # its own question sets it aside; here it only cannot stand in
            return {}


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
    def how(self) -> How:
        """What stands in for what is withheld."""
        return self.withheld.how

    @property
    def want(self) -> Ask:
        """What is asked for, see `data.ask`."""
        return self.data.ask

    @property
    def ask(self) -> bool:
        """Whether the text of the question is shown; its options are in any case."""
        return "text" in LEFT[self.withheld.condition]

    def under(
        self,
        condition: Condition,
        how: How,
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

    def shown(self, sample: Sample) -> list[list[Decoded]]:
        """List what is left of each of a sample's media: one item, or none.

        Raises a `MediaError` where one of them cannot be read.
        """
        left = [
            self.reader.left(item, sample.asset_id, self.withheld) for item in self.media(sample)
        ]
        return [[] if item is None else [item] for item in left]

    def features(self, sample: Sample) -> list[tuple[Role, tuple[Features, ...]]]:
        """List the role and the tower inputs of each of a sample's media, as `shown` does."""
        return [
            (item.role, self.reader.features(item, sample.asset_id, self.withheld))
            for item in self.media(sample)
        ]

    def media(self, sample: Sample) -> tuple[Media, ...]:
        """List the media that are read: none where words stand for them, which must be there."""
        if self.want != "told":
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
            sample = reorder(self.samples[index], self.option_seed)
            try:
                prompt = self.encoder.prompt(
                    sample,
                    self.features(sample),
                    want=self.want,
                    ask=self.ask,
                    suffix=self.suffix,
                )
                targets += [self.encoder.target(sample, self.want)] if with_targets else []
                prompts.append(prompt)
                samples.append(sample)
            except MediaError as error:
                self.quarantine.add(sample.id, error.kind, str(error), error.path)
                self.quarantine.check(self.manifest_rows)
        if not samples:
            return None
        return collate(samples, prompts, step=step, targets=targets if with_targets else None)


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


def load_questions(
    data: DataConfig, split: str, encoder: PromptEncoder, *, run_dir: Path
) -> QuestionSet:
    """Read a manifest, or several as in `a+b`, making the embedded data first where it is missing.

    No two questions of several manifests may have the same id.
    """
    root = Path(data.root)
    if data.embedded:
        ensure(root)
    quarantine = Quarantine(max_bad_share=data.max_bad_share, run_dir=run_dir)
    samples: list[Sample] = []
    for name in split.split("+"):
        taken = {sample.id for sample in samples}
        samples += read_manifest(root / f"{name}.jsonl", root, quarantine, taken=taken)
    quarantine.check(len(samples) + len(quarantine))
    log.info("%s: %d questions, %d quarantined", split, len(samples), len(quarantine))
    return QuestionSet(
        samples,
        data=data,
        encoder=encoder,
        quarantine=quarantine,
        manifest_rows=len(samples) + len(quarantine),
    )
