"""Read questions that models are trained on: AudioMCQ, R1-AQA's AVQA, Video-R1, plain columns."""

from collections.abc import Iterator
from typing import get_args

from datamodules.sample import AnswerType, Modality
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers import RowError
from datamodules.sources.columns import (
    absent,
    answer_of,
    columned,
    facts,
    file_of,
    is_short,
    medium,
    options_of,
    tagged,
    text_of,
)
from datamodules.sources.omni_benchmarks import intentbench
from datamodules.sources.published import named
from datamodules.sources.rows import ROW_FIELDS
from datamodules.sources.video_benchmarks import video_holmes

PROBLEMS: dict[str, AnswerType] = {
    "multiple choice": "choice",
    "numerical": "number",
    "ocr": "ocr",
    "free-form": "text",
    "regression": "regression",
}
"""Video-R1's types of problems."""

MEDIA_COLUMNS: dict[str, Modality] = {
    f"{kind}{ending}": kind for kind in get_args(Modality) for ending in ("", "_path", "s")
}

OPTION_COLUMNS = ("choices", "options")
ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".png", ".jpg", ".jpeg", ".webp", ".mp4")


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
            f"{', '.join(PROBLEMS)}. IntentBench has others: name it with data.format=intentbench, "
            "and training questions in its form with data.format=intentbench_train.",
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
        "completion": _thought(solution)
        if absent(process)
        else f"{text_of(row, 'process')}\n{solution}",
        "source": row.get("data_source"),
        "facts": facts(row, "problem_type"),
    }


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


def plain_columns(row: Row, place: Place) -> Iterator[Row]:
    """Read a table of questions: question, answer, options in a list or in columns, media by kind.

    Columns of our own manifest mean what they mean there, but for the letters that options may
    have. Other columns are facts, unless they name a medium or hold more than a text.
    """
    options = next(
        (options_of(row[key]) for key in OPTION_COLUMNS if not absent(row.get(key))), columned(row)
    )
    media = [
        medium(MEDIA_COLUMNS[name], file_of(file, place))
        for name, value in row.items()
        if name in MEDIA_COLUMNS and not absent(value)
        for file in (value if isinstance(value, list) else [value])
    ]
    answer = row.get("answer")
    counts = isinstance(answer, int) and not isinstance(answer, bool)
    if options and counts and str(answer) not in options:
        raise RowError(
            "bad_answer",
            f"answer is {answer}, but may count from 0 or from 1: write the option's letter or "
            "text.",
        )
    text = answer_of(answer, options, "any")
    told = None if options or is_short(text) else "text"
    own = row.get("facts")
    yield {
        **{name: value for name, value in row.items() if name in ROW_FIELDS},
        "options": options,
        "answer": text,
        "answer_type": row.get("answer_type") or told,
        "media": media or row.get("media"),
        "facts": {**_others(row), **(own if isinstance(own, dict) else {})},
    }


def _others(row: Row) -> dict[str, str]:
    """Keep columns that nobody else reads, unless a misspelled one would be lost among them."""
    known = {*ROW_FIELDS, *MEDIA_COLUMNS, *OPTION_COLUMNS}
    others = [name for name in row if name not in known and not name.startswith("choice_")]
    for name in others:
        value = row[name]
        if isinstance(value, dict | list | bytes) or str(value).lower().endswith(ENDINGS):
            raise RowError(
                "unknown_field",
                f"{name!r} holds {str(value)[:80]!r}, but media stand in columns named "
                f"{', '.join(MEDIA_COLUMNS)}, and other columns are texts: rename or drop it.",
            )
    return facts(row, *others)


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
    Format(name="intentbench_train", fields=frozenset(), adapt=intentbench_train),
    Format(name="video_holmes_train", fields=frozenset(), adapt=video_holmes),
    *(
        Format(
            name="columns",
            fields=frozenset({"question", "answer", *options}),
            adapt=plain_columns,
            generic=True,
        )
        for options in ((), ("choices",), ("options",), ("choice_a", "choice_b"))
    ),
)
