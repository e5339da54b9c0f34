"""Verify that the gold answers of a manifest would be graded as correct."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from datamodules.sample import AnswerWith, Sample
from modules.verifiers.extraction import CLOSE, OPEN
from modules.verifiers.verify import Verdict, verify_all


def wrong_golds(
    samples: Sequence[Sample], answer_with: AnswerWith, imitated: Callable[[Sample], str]
) -> list[str]:
    """Say for each question why its gold answer would not be graded as correct; else `""`.

    Supervised completions are graded too.

    Args:
        answer_with: how prompts name the options.
        imitated: writes the supervised completion of a question.
    """
    named = [replace(sample, answer_with=answer_with) for sample in samples]
    supervised = [sample for sample in named if sample.completion]
    try:
        answers = [_written_gold(sample) for sample in named]
        verdicts = verify_all(answers, named)
        learned = verify_all([imitated(sample) for sample in supervised], supervised)
    except ValueError as error:  # bisect for the question that it is about
        if len(samples) == 1:
            return [f"{samples[0].id!r} cannot be judged: {error}"]
        half = len(samples) // 2
        return [
            *wrong_golds(samples[:half], answer_with, imitated),
            *wrong_golds(samples[half:], answer_with, imitated),
        ]
    reasons = [
        "" if verdict.correct else _why(sample, answer, verdict.parsed)
        for sample, answer, verdict in zip(named, answers, verdicts, strict=True)
    ]
    conflicts = {
        id(sample): _conflict(sample, verdict)
        for sample, verdict in zip(supervised, learned, strict=True)
        if verdict.parsed and not verdict.correct
    }
    return [
        reason or conflicts.get(id(sample), "")
        for reason, sample in zip(reasons, named, strict=True)
    ]


def _written_gold(sample: Sample) -> str:
    """Write the gold answer in tags, or bare for free-form questions."""
    return sample.answer if sample.free else f"{OPEN}{sample.named_answer}{CLOSE}"


def _conflict(sample: Sample, verdict: Verdict) -> str:
    return (
        f"the completion of {sample.id!r} answers {str(verdict.extracted)[:80]!r}, but the answer "
        f"is {sample.named_answer[:80]!r}, and one of them would be learned: mend or drop either."
    )


def _why(sample: Sample, answer: str, parsed: bool) -> str:
    outcome = "judged wrong" if parsed else f"not read as a {sample.answer_type}"
    return (
        f"{answer!r} is the answer of {sample.id!r} and is {outcome}, but who gives the right "
        "answer must be right: mend the answer or the options, or set another answer_type."
    )
