"""Training sets: AudioMCQ, R1-AQA's AVQA and Video-R1."""

import re
from collections.abc import Iterator

from datamodules.sample import AnswerType
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.golds import BY_LETTER, BY_TEXT, WAYS, Way
from datamodules.sources.answers.normalize import RowError, written
from datamodules.sources.fields.columns import (
    absent,
    facts,
    file_of,
    offered,
    tagged,
    text_of,
)
from datamodules.sources.published.media_lookup import find_medium
from datamodules.sources.published.omni_benchmarks import intentbench
from datamodules.sources.published.shared import choice, lettered_options, named, right
from datamodules.sources.published.video_benchmarks import video_holmes
from datamodules.sources.rows import RightOption, bare

PROBLEMS: dict[str, AnswerType] = {
    "multiple choice": "choice",
    "numerical": "number",
    "ocr": "ocr",
    "free-form": "text",
    "regression": "regression",
}
"""Video-R1's types of problems."""


def audiomcq(row: Row, place: Place) -> Iterator[Row]:
    """Read AudioMCQ and its StrongAC subset.

    `gemini_cot` is imitated where it ends in a tagged answer, which must be the right one; other
    chains of thought end in none, and the published recipe trains on none.
    """
    options, source = offered(row.get("choices")), text_of(row, "source_dataset")
    gold = right(row.get("answer"), options, place, *BY_TEXT)
    thought = row.get("gemini_cot")
    ends = isinstance(thought, str) and tagged(thought) != thought
    if ends and right(thought, options, place, *BY_TEXT) != gold:
        raise RowError(
            "bad_answer",
            f"gemini_cot ends in {tagged(str(thought))[:80]!r}, but the answer is "
            f"{options.texts[gold]!r}, and one of them would be learned: drop either.",
        )
    yield {
        **({} if absent(row.get("id")) else {"id": f"{source}/{bare(row['id'])}"}),
        "question": row.get("question"),
        "options": [*options.texts],
        "answer": RightOption(index=gold),
        "media": [find_medium(row, place, "audio", ("audio_path", "audio"))],
        "completion": thought if ends else "",
        "source": source,
        "facts": facts(row, "question_type", "audio-contribution"),
    }


def avqa(row: Row, place: Place) -> Iterator[Row]:
    """Read AVQA as R1-AQA has it: an answer that is a number counts from 0; others are texts."""
    options, answer = offered(row.get("multi_choice")), row.get("answer")
    counted = isinstance(answer, int | float) and not isinstance(answer, bool)
    ways: tuple[Way, ...] = ("from_0",) if counted else ("text", "letter", "from_0")
    told = ("question_relation", "question_type", "video_name", "video_id")
    yield {
        "id": bare(row.get("id")),
        **choice(row.get("question_text"), options, answer, place, *ways),
        "media": [find_medium(row, place, "audio", ("audio_path", "audio"))],
        "source": row.get("dataset_name"),
        "facts": facts(row, *told),
    }


def video_r1(row: Row, place: Place) -> Iterator[Row]:
    """Read Video-R1; `process`, where a row has it, is imitated with the solution behind it.

    Numbers are right up to half a hundredth, since the published reward rounds them to two places.
    """
    problem = text_of(row, "problem_type").lower()
    spelled = (problem, re.sub("[-_]", " ", problem), re.sub("[ _]", "-", problem))
    answer_type = next((PROBLEMS[one] for one in spelled if one in PROBLEMS), None)
    kind = text_of(row, "data_type")
    if answer_type is None:
        raise RowError(
            "bad_answer_type",
            f"problem_type is {problem!r}, but says how to score: choose from "
            f"{', '.join(PROBLEMS)}. IntentBench has others: name it with data.format=intentbench, "
            "and training questions in its form with data.format=intentbench_train.",
        )
    question, solution, source = row.get("problem"), row.get("solution"), row.get("data_source")
    options = lettered_options(row.get("options"))
    asked = {"question": question, "answer": "" if absent(solution) else _bare(solution)}
    if answer_type == "choice":
        asked = choice(question, options, solution, place, *BY_LETTER)
    yield {
        "id": row.get("problem_id"),
        **asked,
        "answer_type": answer_type,
        "tolerance": 0.005 if answer_type == "number" else None,
        "media": [{"modality": kind, "path": file_of(row.get("path"), place)}],
        "completion": _process(row),
        "source": source,
        "facts": facts(row, "problem_type"),
    }


def _bare(solution: object) -> str:
    return tagged(written(solution))


def intentbench_train(row: Row, place: Place) -> Iterator[Row | RowError]:
    """Read HumanOmniV2's training questions, whose solutions hold the reasoning that is imitated.

    They have IntentBench's kinds of problems, and Video-R1's.
    """
    kind = text_of(row, "problem_type").lower()
    read = video_r1 if kind in PROBLEMS and kind != "multiple choice" else intentbench
    for one in read(row, place):
        yield {
            **one,
            "id": None,
            **named("intentbench_train", row, "problem_id", "id"),
            "completion": _thought(text_of(row, "solution")),
            "source": row.get("data_source"),
        }


def _thought(solution: str) -> str:
    """Take a solution for a completion if it says more than the answer in its tags."""
    before, tag, _ = solution.rpartition("<answer>")
    return solution if tag and before.strip() else ""


def _process(row: Row) -> str:
    """Put the solution behind the process that leads to it, which either may hold already."""
    process, solution = row.get("process"), row.get("solution")
    if absent(solution):
        return ""
    if absent(process):
        return _thought(written(solution))
    text, ending = str(process).strip(), written(solution)
    if tagged(text) == text:
        return f"{text}\n{ending}"
    if tagged(text) != tagged(ending):
        raise RowError(
            "bad_answer",
            f"process ends in {tagged(text)[:80]!r}, but the solution is {tagged(ending)[:80]!r}, "
            "and one of them would be learned: drop either.",
        )
    return text


TRAINING: tuple[Format, ...] = (
    Format(
        name="audiomcq",
        fields=frozenset({"source_dataset", "audio_path", "question", "choices", "answer"}),
        adapt=audiomcq,
        harmless=frozenset({"structured_cot", "unstructured_cot"}),
    ),
    Format(
        name="avqa",
        fields=frozenset({"question_text", "multi_choice", "answer", "audio_path"}),
        adapt=avqa,
        ways=WAYS,
    ),
    Format(
        name="video_r1",
        fields=frozenset(
            {"problem_id", "problem", "problem_type", "data_type", "path", "solution"}
        ),
        adapt=video_r1,
    ),
    Format(
        name="intentbench_train",
        fields=frozenset(),
        adapt=intentbench_train,
        harmless=frozenset({"path"}),
    ),
    Format(
        name="video_holmes_train",
        fields=frozenset(),
        adapt=video_holmes,
        harmless=frozenset({"Explanation"}),
    ),
)
