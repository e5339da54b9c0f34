"""The questions of one manifest, and all the ways in which a benchmark puts them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.ablation import LEFT, Condition, How
from configs.benchmark import shown
from configs.schema import Config
from datamodules.conditions import PARTS, why_undefined, withholds
from datamodules.contamination.clean_view import CleanView, find_views
from datamodules.loading.question_set import QuestionSet, load_questions
from datamodules.media.ablation import Withholding
from datamodules.media.files import MediaError
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.orders import option_order, put
from datamodules.prompts.wording import turn
from datamodules.sample import Sample
from datamodules.sources.index.table import checked
from evaluation.benchmarking.answers import Asked
from inference.loading import build_gold_check


@dataclass(frozen=True, kw_only=True)
class BenchmarkSet:
    """One manifest that is benchmarked."""

    name: str
    questions: QuestionSet
    """Those that are asked."""

    malformed: int
    """Rows of the manifest that hold no question which could be asked: they count, as wrong."""

    views: Mapping[str, NDArray[np.bool_]]
    """By rule, which questions are left once those are taken out that need no media."""

    settings: Sequence[str]
    """Conditions, as `benchmark.conditions` names them."""

    turns: int
    """Orders of the options, as `benchmark.orders` counts them."""

    others: str
    """Digest of all that how=mismatched chooses by: what the manifest asks, about which assets, and
    by which files."""

    def __len__(self) -> int:
        return len(self.samples) + self.malformed

    @property
    def samples(self) -> Sequence[Sample]:
        """The questions, as written."""
        return self.questions.samples

    @cached_property
    def orders(self) -> list[tuple[int, ...]]:
        """Number the orders in which each question is asked; no two show the same."""
        return [orders_of(sample, self.turns) for sample in self.samples]

    @cached_property
    def clusters(self) -> list[str]:
        """Name what each question is about; of what could not be read nobody knows."""
        known = [sample.asset_id for sample in self.samples]
        return known + [f"malformed row {number}" for number in range(self.malformed)]

    def put(self, sample: Sample, order: int) -> Sample:
        """Make a question as it is asked in one of its orders, whoever asks or judges it."""
        return put(sample, option_seed=order, answer_with=self.questions.encoder.answer_with)

    def asked(self, index: int, setting: str, order: int) -> Asked:
        """Name one question under one condition and order.

        Where the condition takes nothing from it, that is the question as it is.
        """
        sample = self.samples[index]
        condition, how = shown(setting)
        if not withholds(sample.media, condition, how):
            condition, how = "full", "absent"
        return Asked(
            content_hash=sample.content_hash,
            id=sample.id,
            condition=condition,
            how=how,
            order=order,
            besides=self._besides(index, how),
        )

    def _besides(self, index: int, how: How) -> str:
        """Digest the words around question and options, and what is shown in place of media."""
        told = [self._wordings[index]]
        if how == "described":
            told += [item.text for item in self.samples[index].media]
        if how == "mismatched":
            told.append(self.others)
        return _digest(told)

    @cached_property
    def _wordings(self) -> list[str]:
        """Digest each question as it is put, with the instruction below its options."""
        want = self.questions.want
        return [_digest(turn(self.put(sample, 0), want=want)) for sample in self.samples]

    def touched(self, setting: str) -> NDArray[np.bool_]:
        """Mark the questions that a condition takes something from, and leaves the options of."""
        condition, how = shown(setting)
        taken = [
            condition != "full" and not why_undefined(condition, how, sample.media)
            for sample in self.samples
        ]
        return np.array(taken + [False] * self.malformed, dtype=np.bool_)

    def passes(self) -> Iterator[tuple[str, int, list[int]]]:
        """List conditions and orders, each with the questions that are asked so."""
        for setting in self.settings:
            for order in range(max(map(max, self.orders)) + 1):
                yield setting, order, [n for n, asked in enumerate(self.orders) if order in asked]


def orders_of(sample: Sample, turns: int) -> tuple[int, ...]:
    """Number the orders of the options to ask a question in, leaving out those that look alike.

    Args:
        turns: how many; 0 puts each option at each place once.
    """
    seen: dict[tuple[int, ...], int] = {}
    for seed in range(turns or max(1, len(sample.options))):
        seen.setdefault(option_order(sample, seed), seed)
    return tuple(seen.values())


def media_shown(sample: Sample, condition: Condition, how: How) -> list[str]:
    """List the files of a question in the order in which they, or media in their place, are shown.

    What is left out, or told in words, is not shown.
    """
    withheld = Withholding(condition=condition, how=how)
    left = [
        item
        for item in sample.media
        if how not in ("absent", "described")
        or not withheld.affects(item.modality)
        or PARTS[item.modality] & LEFT[condition]
    ]
    return [item.path for item in sorted(left, key=lambda item: item.role == "option")]


def load_set(name: str, config: Config, encoder: PromptEncoder, *, run_dir: Path) -> BenchmarkSet:
    """Read a manifest and what stage=clean said of it."""
    settings = config.benchmark
    golds = build_gold_check(config)
    questions = load_questions(config.data, name, encoder, run_dir=run_dir, golds=golds)
    whole = _unchanged(questions)
    if not whole:
        raise ValueError(
            f"{name} holds no question that could be read, but there is nothing else to score: see "
            f"{questions.quarantine.file}, or leave it out of benchmark.sets."
        )
    rows = questions.manifest_rows
    limit = min(settings.limit or rows, rows)
    views = {view.rule: view.kept(whole)[:limit] for view in _views(name, config)}
    questions.samples = whole[:limit]
    return BenchmarkSet(
        name=name,
        questions=questions,
        malformed=limit - len(questions.samples),
        views=views,
        settings=settings.conditions,
        turns=settings.orders,
        others=_digest(
            [(one.content_hash, one.asset_id, [item.path for item in one.media]) for one in whole]
        ),
    )


def _unchanged(questions: QuestionSet) -> list[Sample]:
    """Take the questions whose media are those that their hashes are of, and set the others aside.

    An index may be older than the media: what was answered about others must not stand for these.
    """
    found = []
    for index, sample in enumerate(questions.samples):
        try:
            found.append(checked(questions.samples, index))
        except MediaError as error:
            questions.quarantine.add(sample.id, error.kind, str(error), error.path)
    questions.quarantine.check(questions.manifest_rows)
    return found


def _digest(value: object) -> str:
    return blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()


def _views(name: str, config: Config) -> list[CleanView]:
    """Find what is asked for among the views of a set."""
    wanted, place = config.benchmark.view, Path(config.data.root) / config.clean.views
    found = [] if wanted == "none" else find_views(place, name)
    if wanted in ("none", "auto"):
        return found
    chosen = [view for view in found if view.rule == wanted]
    if not chosen:
        raise ValueError(
            f"benchmark.view is {wanted}, but {place} holds no view of {name} by that rule: make "
            f"it with `python eval.py stage=clean 'clean.sets=[{name}]' "
            f"'clean.rules=[{wanted}]'`, or leave benchmark.view=auto."
        )
    return chosen
