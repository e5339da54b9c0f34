"""Read questions that models are trained on: AudioMCQ, R1-AQA's AVQA and Video-R1."""

from collections.abc import Iterator

from datamodules.sample import AnswerType
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers import RowError
from datamodules.sources.columns import (
    absent,
    answer_of,
    facts,
    file_of,
    medium,
    options_of,
    tagged,
    text_of,
)

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

    `gemini_cot` is imitated where it ends in a tagged answer; keys of other chains of thought are
    not known to us, and the published recipe trains on none.
    """
    options, source = options_of(row.get("choices")), text_of(row, "source_dataset")
    thought = row.get("gemini_cot")
    yield {
        **({} if absent(row.get("id")) else {"id": f"{source}/{text_of(row, 'id')}"}),
        "question": row.get("question"),
        "options": options,
        "answer": answer_of(row.get("answer"), options, "text"),
        "media": [medium("audio", file_of(row.get("audio_path"), place))],
        "completion": thought if isinstance(thought, str) and tagged(thought) != thought else "",
        "source": source,
        "facts": facts(row, "question_type", "audio-contribution"),
    }


def avqa(row: Row, place: Place) -> Iterator[Row]:
    """Read AVQA as R1-AQA has it: an answer that is an integer counts from 0; others are texts."""
    options, answer = options_of(row.get("multi_choice")), row.get("answer")
    counted = isinstance(answer, int) and not isinstance(answer, bool)
    told = ("question_relation", "question_type", "video_name", "video_id")
    yield {
        "id": row.get("id"),
        "question": row.get("question_text"),
        "options": options,
        "answer": answer_of(answer, options, "index" if counted else "any"),
        "media": [medium("audio", file_of(row.get("audio_path"), place))],
        "source": row.get("dataset_name"),
        "facts": facts(row, *told),
    }


def video_r1(row: Row, place: Place) -> Iterator[Row]:
    """Read Video-R1; `process`, where a row has it, is imitated with the solution behind it.

    Numbers are right up to half a hundredth, since the published reward rounds them to two places.
    """
    problem = text_of(row, "problem_type").lower()
    kind, answer_type = text_of(row, "data_type"), PROBLEMS.get(problem)
    if answer_type is None:
        raise RowError(
            "bad_answer_type",
            f"problem_type is {problem!r}, but says how to score: choose from "
            f"{', '.join(PROBLEMS)}. IntentBench has others: name it with data.format=intentbench.",
        )
    options = options_of(row.get("options")) if answer_type == "choice" else []
    solution, process = text_of(row, "solution"), row.get("process")
    yield {
        "id": row.get("problem_id"),
        "question": row.get("problem"),
        "options": options,
        "answer": answer_of(solution, options, "tagged"),
        "answer_type": answer_type,
        "tolerance": 0.005 if answer_type == "number" else None,
        "media": [{"modality": kind, "path": file_of(row.get("path"), place)}],
        "completion": "" if absent(process) else f"{text_of(row, 'process')}\n{solution}",
        "source": row.get("data_source"),
        "facts": facts(row, "problem_type"),
    }


TRAINING: tuple[Format, ...] = (
    Format(
        name="audiomcq",
        fields=frozenset({"source_dataset", "audio_path", "question", "choices", "answer"}),
        adapt=audiomcq,
    ),
    Format(
        name="avqa",
        fields=frozenset({"question_text", "multi_choice", "answer", "audio_path"}),
        adapt=avqa,
    ),
    Format(
        name="video_r1",
        fields=frozenset(
            {"problem_id", "problem", "problem_type", "data_type", "path", "solution"}
        ),
        adapt=video_r1,
    ),
)
