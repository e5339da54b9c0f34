"""Judge what a checkpoint answered to one set: verdicts, official scores, and a row for each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from configs.benchmark import parse_condition
from datamodules.prompts.orders import option_order
from datamodules.sample import LETTERS, Sample
from evaluation.benchmarking.answers import Answer, Asked
from evaluation.benchmarking.baselines import first_option, longest_option
from evaluation.benchmarking.datasets import BenchmarkSet, media_shown
from modules.rewards.evidence_reward import leaks_answer
from modules.verifiers.publisher import OfficialScore, official_score, official_summary
from modules.verifiers.verify import NOTHING, Verdict, verify_all


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One question as it was put to one checkpoint, and what came of it."""

    sample: Sample
    """As asked."""

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
        return self.answer.said is None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one checkpoint made of one set under one condition.

    Shapes: all arrays (Q,), malformed rows of the manifest last
    """

    right: NDArray[np.float64]
    """Mean over the orders of the options."""

    all_right: NDArray[np.float64]
    """1 where the answer was right in every order."""

    unparsed: NDArray[np.float64]
    missing: NDArray[np.float64]
    first_option: NDArray[np.float64]
    """What a blind choice would have scored in the orders that were asked; so has the next one."""

    longest_option: NDArray[np.float64]
    given_away: NDArray[np.float64]
    """Descriptions that state an answer; 0 where answers are given."""


def judged(one: BenchmarkSet, answers: Mapping[Asked, Answer], setting: str) -> list[list[Judged]]:
    """Judge every question of a set under a condition, in each of its orders."""
    samples = [
        [one.put(sample, order) for order in orders]
        for sample, orders in zip(one.samples, one.orders, strict=True)
    ]
    said = [
        [answers[one.asked(index, setting, order)] for order in orders]
        for index, orders in enumerate(one.orders)
    ]
    flat = [
        (sample, answer.said or "")
        for group, own in zip(samples, said, strict=True)
        for sample, answer in zip(group, own, strict=True)
    ]
    verdicts = iter(verify_all([text for _, text in flat], [sample for sample, _ in flat]))

    def judge(sample: Sample, answer: Answer, order: int, written: Sample) -> Judged:
        verdict, text = next(verdicts), answer.said
        described = answer.read is not None
        if answer.read is not None:
            verdict = answer.read
        return Judged(
            sample=sample,
            setting=setting,
            order=order,
            places=option_order(written, order),
            answer=answer,
            verdict=NOTHING if text is None else verdict,
            official=None if text is None or described else official_score(sample, text),
        )

    return [
        [judge(*each, written) for each in zip(group, own, orders, strict=True)]
        for group, own, orders, written in zip(samples, said, one.orders, one.samples, strict=True)
    ]


def outcome(one: BenchmarkSet, found: Sequence[Sequence[Judged]]) -> Outcome:
    """Average over orders; rows that could not be read are wrong and missing."""

    def over(values: Sequence[Sequence[float]], malformed: float = 0.0) -> NDArray[np.float64]:
        return np.array([np.mean(own) for own in values] + [malformed] * one.malformed)

    right = [[float(each.verdict.correct) for each in own] for own in found]
    return Outcome(
        right=over(right),
        all_right=over([[min(own)] for own in right]),
        unparsed=over(
            [[float(not (each.missing or each.verdict.parsed)) for each in own] for own in found]
        ),
        missing=over([[float(each.missing) for each in own] for own in found], 1.0),
        first_option=over([[first_option(each.sample) for each in own] for own in found]),
        longest_option=over([[longest_option(each.sample) for each in own] for own in found]),
        given_away=over([[float(_told(each)) for each in own] for own in found]),
    )


def official(
    found: Sequence[Sequence[Judged]], *, malformed: int = 0
) -> Mapping[str, float] | None:
    """Sum up as the publisher does, over the options as written; None where no rule is known.

    What could not be shown is no completion at all, as empty ones are. Sets that mix publishers
    have no rule.
    """
    pairs: list[tuple[Sample, OfficialScore]] = []
    completions: list[str | None] = []
    for each, *_ in found:
        score = each.official
        if each.missing:
            score = official_score(each.sample, "")
        if score is not None:
            pairs.append((each.sample, score))
            completions.append(each.answer.said)
    sources = sorted({sample.source for sample, _ in pairs})
    if len(sources) != 1:
        return None
    return official_summary(sources[0], pairs, completions, malformed=malformed)


def rows(
    one: BenchmarkSet, found: Sequence[Sequence[Judged]], *, described: bool
) -> Iterator[dict[str, object]]:
    """Write down every question, and what was said to it or read from that."""
    for each in (each for own in found for each in own):
        sample, answer, verdict = each.sample, each.answer, each.verdict
        condition, how = parse_condition(each.setting)
        told = {"description": answer.said, "honest": not _told(each)}
        yield {
            "set": one.name,
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
            **(told if described else {"completion": answer.said}),
            "gold": sample.answer,
            "answer_with": sample.answer_with,
            "extracted": verdict.extracted,
            "rule": verdict.rule,
            "correct": verdict.correct,
            "missing": each.missing,
            "official": None if each.official is None else each.official.score,
            "official_parsed": None if each.official is None else each.official.parsed,
        }


def _told(each: Judged) -> bool:
    """Whether a description states an answer."""
    described = each.answer.read is not None and each.answer.said is not None
    return described and leaks_answer(each.answer.said or "", each.sample)
