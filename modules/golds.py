"""Judge the answers of a manifest as completions are judged, before anybody is asked for them."""

from collections.abc import Sequence
from dataclasses import replace

from datamodules.sample import AnswerWith, Sample
from modules.extraction import CLOSE, OPEN
from modules.verifiers import verify_all


def wrong_golds(samples: Sequence[Sample], answer_with: AnswerWith) -> list[str]:
    """Say of each question why its answer, given as it is asked for, is not right; else `""`.

    Args:
        answer_with: how the options are named where the questions are put.
    """
    asked = [replace(one, answer_with=answer_with) for one in samples]
    try:
        given = [_given(one) for one in asked]
        verdicts = verify_all(given, asked)
    except ValueError as error:  # of one question, which is looked for
        if len(samples) == 1:
            return [f"{samples[0].id!r} cannot be judged: {error}"]
        half = len(samples) // 2
        return [
            *wrong_golds(samples[:half], answer_with),
            *wrong_golds(samples[half:], answer_with),
        ]
    return [
        "" if verdict.correct else _why(sample, said, verdict.parsed)
        for sample, said, verdict in zip(asked, given, verdicts, strict=True)
    ]


def _given(sample: Sample) -> str:
    """Write the right answer in its tags, or alone where words are asked for without any."""
    return sample.answer if sample.free else f"{OPEN}{sample.named_answer}{CLOSE}"


def _why(sample: Sample, said: str, parsed: bool) -> str:
    found = "judged wrong" if parsed else f"not read as a {sample.answer_type}"
    return (
        f"{said!r} is the answer of {sample.id!r} and is {found}, but who gives the right answer "
        "must be right: mend the answer or the options, or set another answer_type."
    )
