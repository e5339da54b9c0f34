"""Grade a checkpoint's answers to one set: verdicts, official scores, and a row for each."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.benchmark import parse_condition
from datamodules.prompts.orders import option_order
from datamodules.sample import LETTERS, Sample
from evaluation.benchmarking.answers import Answer, AnswerKey
from evaluation.benchmarking.baselines import first_option, longest_option
from evaluation.benchmarking.datasets import BenchmarkSet, media_shown
from modules.rewards.evidence_reward import leaks_answer
from modules.verifiers.publisher import OfficialScore, official_score, official_summary
from modules.verifiers.verify import NOTHING, Verdict, verify_all


@dataclass(frozen=True, kw_only=True)
class GradedAnswer:
    """One answer of one checkpoint, with its verdict."""

    sample: Sample
    """As prompted."""

    setting: str
    order: int
    places: tuple[int, ...]
    """Which option, as written, stood at each place."""

    answer: Answer
    verdict: Verdict
    official: OfficialScore | None

    @property
    def missing(self) -> bool:
        """Whether the question could not be shown."""
        return self.answer.completion is None


@dataclass(frozen=True, kw_only=True)
class SetScores:
    """Scores of one checkpoint on the questions of one set under one condition.

    Shapes: all arrays (Q,), malformed rows of the manifest last
    """

    right: NDArray[np.float64]
    """Mean over the orders of the options."""

    all_right: NDArray[np.float64]
    """1 where the answer was right in every order."""

    unparsed: NDArray[np.float64]
    missing: NDArray[np.float64]
    first_option: NDArray[np.float64]
    """Score of that blind baseline in the same orders; so is the next one."""

    longest_option: NDArray[np.float64]
    given_away: NDArray[np.float64]
    """1 for descriptions that leak the answer; 0 where answers are given."""


def grade_answers(
    dataset: BenchmarkSet, answers: Mapping[AnswerKey, Answer], setting: str
) -> list[list[GradedAnswer]]:
    """Grade the answers to every question of a set under a condition, in each of its orders."""
    places = [(n, order) for n, orders in enumerate(dataset.orders) for order in orders]
    samples = [dataset.as_prompted(dataset.samples[n], order) for n, order in places]
    own = [answers[dataset.answer_key(n, setting, order)] for n, order in places]
    verdicts = verify_all([answer.completion or "" for answer in own], samples)
    graded: list[list[GradedAnswer]] = [[] for _ in dataset.samples]
    for (n, order), sample, answer, verdict in zip(places, samples, own, verdicts, strict=True):
        text, described = answer.completion, answer.reader_verdict is not None
        verdict = answer.reader_verdict or verdict
        graded[n].append(
            GradedAnswer(
                sample=sample,
                setting=setting,
                order=order,
                places=option_order(dataset.samples[n], order),
                answer=answer,
                verdict=NOTHING if text is None else verdict,
                official=None if text is None or described else official_score(sample, text),
            )
        )
    return graded


def set_scores(dataset: BenchmarkSet, graded: Sequence[Sequence[GradedAnswer]]) -> SetScores:
    """Average over orders; malformed rows are wrong and missing."""

    def over(values: Sequence[Sequence[float]], malformed: float = 0.0) -> NDArray[np.float64]:
        return np.array([np.mean(own) for own in values] + [malformed] * dataset.malformed)

    def each(value: Callable[[GradedAnswer], float]) -> list[list[float]]:
        return [[float(value(answer)) for answer in group] for group in graded]

    right = each(lambda answer: answer.verdict.correct)
    return SetScores(
        right=over(right),
        all_right=over([[min(own)] for own in right]),
        unparsed=over(each(lambda answer: not (answer.missing or answer.verdict.parsed))),
        missing=over(each(lambda answer: answer.missing), 1.0),
        first_option=over(each(lambda answer: first_option(answer.sample))),
        longest_option=over(each(lambda answer: longest_option(answer.sample))),
        given_away=over(each(_leaks)),
    )


def official(
    graded: Sequence[Sequence[GradedAnswer]], *, malformed: int = 0
) -> Mapping[str, float] | None:
    """Aggregate as the publisher does, over the options as written; None where no rule is known.

    A question that could not be shown has no completion, unlike an empty one. Sets that mix
    publishers have no rule.
    """
    pairs: list[tuple[Sample, OfficialScore]] = []
    completions: list[str | None] = []
    for first, *_ in graded:
        score = first.official
        if first.missing:
            score = official_score(first.sample, "")
        if score is not None:
            pairs.append((first.sample, score))
            completions.append(first.answer.completion)
    sources = sorted({sample.source for sample, _ in pairs})
    if len(sources) != 1:
        return None
    return official_summary(sources[0], pairs, completions, malformed=malformed)


def rows(
    dataset: BenchmarkSet, graded: Sequence[Sequence[GradedAnswer]], *, described: bool
) -> Iterator[dict[str, object]]:
    """Write a row for every answer."""
    for each in (each for own in graded for each in own):
        sample, answer, verdict = each.sample, each.answer, each.verdict
        condition, how = parse_condition(each.setting)
        description = {"description": answer.completion, "honest": not _leaks(each)}
        yield {
            "set": dataset.name,
            "id": sample.id,
            "condition": condition,
            "how": how,
            "order": each.order,
            "content_hash": sample.content_hash,
            "asset_id": sample.asset_id,
            "source": sample.source,
            "question": sample.question,
            "options": list(sample.options),
            "option_order": "".join(LETTERS[option] for option in each.places),
            "media": media_shown(sample, condition, how),
            "prompt": answer.prompt,
            **(description if described else {"completion": answer.completion}),
            "gold": sample.answer,
            "answer_with": sample.answer_with,
            "extracted": verdict.extracted,
            "rule": verdict.rule,
            "correct": verdict.correct,
            "missing": each.missing,
            "official": None if each.official is None else each.official.score,
            "official_parsed": None if each.official is None else each.official.parsed,
        }


def _leaks(graded: GradedAnswer) -> bool:
    """Tell whether a description states the answer."""
    answer = graded.answer
    described = answer.reader_verdict is not None and answer.completion is not None
    return described and leaks_answer(answer.completion or "", graded.sample)
