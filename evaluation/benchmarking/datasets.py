"""The questions of one manifest, under all conditions and orders of a benchmark."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.ablation import LEFT, Condition, Replacement
from configs.benchmark import parse_condition
from configs.schema import Config
from datamodules.conditions import PARTS, why_undefined, withholds
from datamodules.contamination.clean_view import CleanView, find_views
from datamodules.loading.question_set import QuestionSet, load_questions
from datamodules.media.ablation import MediaAblation
from datamodules.media.files import MediaError
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.orders import arrange_options, option_order
from datamodules.prompts.templates import user_turn
from datamodules.sample import Sample
from datamodules.sources.index.table import checked
from evaluation.benchmarking.answers import AnswerKey
from inference.loading import build_gold_check


@dataclass(frozen=True, kw_only=True)
class BenchmarkSet:
    """One manifest of a benchmark."""

    name: str
    questions: QuestionSet
    """Those that can be asked."""

    malformed: int
    """Unreadable rows of the manifest, which count as wrong."""

    views: Mapping[str, NDArray[np.bool_]]
    """By rule, which questions remain without those that need no media."""

    settings: Sequence[str]
    """Conditions, as `benchmark.conditions` names them."""

    n_orders: int
    """Orders of the options, as `benchmark.option_permutations` counts them."""

    mismatch_digest: str
    """Digest of all that replacement=mismatched chooses from: questions, assets and files."""

    def __len__(self) -> int:
        return len(self.samples) + self.malformed

    @property
    def samples(self) -> Sequence[Sample]:
        """The questions, as written."""
        return self.questions.samples

    @cached_property
    def orders(self) -> list[tuple[int, ...]]:
        """The distinct orders in which each question is asked, by number."""
        return [orders_of(sample, self.n_orders) for sample in self.samples]

    @cached_property
    def clusters(self) -> NDArray[np.str_]:
        """What each question is about; each malformed row is a cluster of its own."""
        known = [sample.asset_id for sample in self.samples]
        others = [f"malformed row {number}" for number in range(self.malformed)]
        return np.array(known + others, dtype=np.str_)

    def as_prompted(self, sample: Sample, order: int) -> Sample:
        """Return a question with its options in one of their orders, named as in the prompt."""
        return arrange_options(
            sample, option_seed=order, answer_with=self.questions.encoder.answer_with
        )

    def answer_key(self, index: int, setting: str, order: int) -> AnswerKey:
        """Identify the answer to one question under one condition and order.

        Where the condition withholds nothing from it, that is the question under `full`.
        """
        sample = self.samples[index]
        condition, how = parse_condition(setting)
        if not withholds(sample.media, condition, how):
            condition, how = "full", "absent"
        return AnswerKey(
            content_hash=sample.content_hash,
            id=sample.id,
            condition=condition,
            how=how,
            order=order,
            prompt_hash=self._prompt_hash(index, how),
        )

    def _prompt_hash(self, index: int, how: Replacement) -> str:
        """Digest the text of the prompt, and what replaces media."""
        parts = [self._texts[index]]
        if how == "described":
            parts += [item.text for item in self.samples[index].media]
        if how == "mismatched":
            parts.append(self.mismatch_digest)
        return _digest(parts)

    @cached_property
    def _texts(self) -> list[str]:
        """Digest the text of each question, with the instruction below its options."""
        task, samples = self.questions.task, self.samples
        return [_digest(user_turn(self.as_prompted(sample, 0), task=task)) for sample in samples]

    def affected(self, setting: str) -> NDArray[np.bool_]:
        """Mark the questions that a condition withholds something from, besides options."""
        condition, how = parse_condition(setting)
        affected = [
            condition != "full" and not why_undefined(condition, how, sample.media)
            for sample in self.samples
        ]
        return np.array(affected + [False] * self.malformed, dtype=np.bool_)

    def requests(self) -> Iterator[tuple[str, int, list[int]]]:
        """List the conditions and orders, each with its questions."""
        for setting in self.settings:
            for order in range(max(map(max, self.orders)) + 1):
                yield setting, order, [n for n, own in enumerate(self.orders) if order in own]


def orders_of(sample: Sample, n_orders: int) -> tuple[int, ...]:
    """List the orders of the options to ask a question in, without those that look alike.

    Args:
        n_orders: how many; 0 puts each option at each place once.
    """
    seen: dict[tuple[int, ...], int] = {}
    for seed in range(n_orders or max(1, len(sample.options))):
        seen.setdefault(option_order(sample, seed), seed)
    return tuple(seen.values())


def media_shown(sample: Sample, condition: Condition, how: Replacement) -> list[str]:
    """List the files of a question in the order in which they or their replacements are shown.

    Media that are left out, or replaced by text, are not listed.
    """
    withheld = MediaAblation(condition=condition, how=how)
    left = [
        item
        for item in sample.media
        if how not in ("absent", "described")
        or not withheld.affects(item.modality)
        or PARTS[item.modality] & LEFT[condition]
    ]
    return [item.path for item in sorted(left, key=lambda item: item.role == "option")]


def load_set(name: str, config: Config, encoder: PromptEncoder, *, run_dir: Path) -> BenchmarkSet:
    """Read a manifest and its clean views."""
    settings = config.benchmark
    golds = build_gold_check(config)
    questions = load_questions(config.data, name, encoder, run_dir=run_dir, golds=golds)
    samples = _unchanged(questions)
    if not samples:
        raise ValueError(
            f"{name} holds no question that could be read, but there is nothing else to score: see "
            f"{questions.quarantine.file}, or leave it out of benchmark.sets."
        )
    rows = questions.manifest_rows
    limit = min(settings.limit or rows, rows)
    views = {view.rule: view.kept(samples)[:limit] for view in _views(name, config)}
    questions.samples = samples[:limit]
    return BenchmarkSet(
        name=name,
        questions=questions,
        malformed=limit - len(questions.samples),
        views=views,
        settings=settings.conditions,
        n_orders=settings.option_permutations,
        mismatch_digest=_digest(
            [(s.content_hash, s.asset_id, [item.path for item in s.media]) for s in samples]
        ),
    )


def _unchanged(questions: QuestionSet) -> list[Sample]:
    """Take the questions whose media match their hashes, and quarantine the others.

    An index may be older than the media: answers about former media must not be reused.
    """
    samples = []
    for index, sample in enumerate(questions.samples):
        try:
            samples.append(checked(questions.samples, index))
        except MediaError as error:
            questions.quarantine.add(sample.id, error.kind, str(error), error.path)
    questions.quarantine.check(questions.manifest_rows)
    return samples


def _digest(value: object) -> str:
    return blake2b(json.dumps(value).encode(), digest_size=8).hexdigest()


def _views(name: str, config: Config) -> list[CleanView]:
    """Find the clean views of a set that the settings ask for."""
    wanted, place = config.benchmark.clean_view, Path(config.data.root) / config.clean.views
    views = [] if wanted == "none" else find_views(place, name)
    if wanted in ("none", "auto"):
        return views
    chosen = [view for view in views if view.rule == wanted]
    if not chosen:
        raise ValueError(
            f"benchmark.clean_view is {wanted}, but {place} holds no view of {name} by that rule: "
            f"make it with `python eval.py stage=clean 'clean.sets=[{name}]' "
            f"'clean.rules=[{wanted}]'`, or leave benchmark.clean_view=auto."
        )
    return chosen
