"""Judge the answers of a manifest as completions are judged, before anybody is asked for them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from datamodules.sample import AnswerWith, Sample
from modules.verifiers.extraction import CLOSE, OPEN
from modules.verifiers.verify import Verdict, verify_all


def wrong_golds(
    samples: Sequence[Sample], answer_with: AnswerWith, imitated: Callable[[Sample], str]
) -> list[str]:
    """Say of each question why its answer, given as it is asked for, is not right; else `""`.

    A completion that answers is judged too: what is imitated must not be wrong.

    Args:
        answer_with: how the options are named where the questions are put.
        imitated: writes what is imitated of a question as it is put.
    """
    asked = [replace(one, answer_with=answer_with) for one in samples]
    told = [one for one in asked if one.completion]
    try:
        given = [_given(one) for one in asked]
        verdicts = verify_all(given, asked)
        learned = verify_all([imitated(one) for one in told], told)
    except ValueError as error:  # of one question, which is looked for
        if len(samples) == 1:
            return [f"{samples[0].id!r} cannot be judged: {error}"]
        half = len(samples) // 2
        return [
            *wrong_golds(samples[:half], answer_with, imitated),
            *wrong_golds(samples[half:], answer_with, imitated),
        ]
    reasons = [
        "" if verdict.correct else _why(sample, said, verdict.parsed)
        for sample, said, verdict in zip(asked, given, verdicts, strict=True)
    ]
    others = {
        id(sample): _other(sample, verdict)
        for sample, verdict in zip(told, learned, strict=True)
        if verdict.parsed and not verdict.correct
    }
    return [why or others.get(id(one), "") for why, one in zip(reasons, asked, strict=True)]


def _given(sample: Sample) -> str:
    """Write the right answer in its tags, or alone where words are asked for without any."""
    return sample.answer if sample.free else f"{OPEN}{sample.named_answer}{CLOSE}"


def _other(sample: Sample, verdict: Verdict) -> str:
    return (
        f"the completion of {sample.id!r} answers {str(verdict.extracted)[:80]!r}, but the answer "
        f"is {sample.named_answer[:80]!r}, and one of them would be learned: mend or drop either."
    )


def _why(sample: Sample, said: str, parsed: bool) -> str:
    found = "judged wrong" if parsed else f"not read as a {sample.answer_type}"
    return (
        f"{said!r} is the answer of {sample.id!r} and is {found}, but who gives the right answer "
        "must be right: mend the answer or the options, or set another answer_type."
    )
