"""Read questions that models are trained on: AudioMCQ, R1-AQA's AVQA, Video-R1, plain columns."""

import re
from collections.abc import Iterator
from typing import get_args

from datamodules.sample import AnswerType, Modality
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers import RowError, written
from datamodules.sources.columns import (
    absent,
    answer_of,
    columned,
    facts,
    file_of,
    is_short,
    medium,
    offered,
    options_of,
    tagged,
    text_of,
)
from datamodules.sources.golds import Way
from datamodules.sources.published import choice, lettered_options, right
from datamodules.sources.rows import ROW_FIELDS, Right, bare
from datamodules.sources.finding import one_of

PROBLEMS: dict[str, AnswerType] = {
    "multiple choice": "choice",
    "numerical": "number",
    "ocr": "ocr",
    "free form": "text",
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

    `gemini_cot` is imitated where it ends in a tagged answer, which must be the right one; other
    chains of thought end in none, and the published recipe trains on none.
    """
    options, source = offered(row.get("choices")), text_of(row, "source_dataset")
    gold = right(row.get("answer"), options, place, "text", "letter")
    thought = row.get("gemini_cot")
    ends = isinstance(thought, str) and tagged(thought) != thought
    if ends and right(thought, options, place, "text", "letter") != gold:
        raise RowError(
            "bad_answer",
            f"gemini_cot ends in {tagged(str(thought))[:80]!r}, but the answer is "
            f"{options.texts[gold]!r}, and one of them would be learned: drop either.",
        )
    yield {
        **({} if absent(row.get("id")) else {"id": f"{source}/{bare(row['id'])}"}),
        "question": row.get("question"),
        "options": [*options.texts],
        "answer": Right(index=gold),
        "media": [one_of(row, place, "audio", ("audio_path", "audio"))],
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
        "media": [one_of(row, place, "audio", ("audio_path", "audio"))],
        "source": row.get("dataset_name"),
        "facts": facts(row, *told),
    }


def video_r1(row: Row, place: Place) -> Iterator[Row]:
    """Read Video-R1; `process`, where a row has it, is imitated with the solution behind it.

    Numbers are right up to half a hundredth, since the published reward rounds them to two places.
    """
    problem = re.sub(r"[-_ ]+", " ", text_of(row, "problem_type").lower())
    kind, answer_type = text_of(row, "data_type"), PROBLEMS.get(problem)
    if answer_type is None:
        raise RowError(
            "bad_answer_type",
            f"problem_type is {problem!r}, but says how to score: choose from "
            f"{', '.join(PROBLEMS)}. IntentBench has others: name it with data.format=intentbench.",
        )
    question, solution, source = row.get("problem"), row.get("solution"), row.get("data_source")
    options = lettered_options(row.get("options"))
    asked = {"question": question, "answer": "" if absent(solution) else _bare(solution)}
    if answer_type == "choice":
        asked = choice(question, options, solution, place, "letter", "text")
    yield {
        "id": row.get("problem_id"),
        **asked,
        "answer_type": answer_type,
        "tolerance": 0.005 if answer_type == "number" else None,
        "media": [{"modality": kind, "path": file_of(row.get("path"), place)}],
        "completion": _process(row),
        "source": source if isinstance(source, str) and "://" not in source else None,
        "facts": facts(row, "problem_type"),
    }


def _bare(solution: object) -> str:
    return tagged(written(solution))


def _process(row: Row) -> str:
    """Put the solution behind the process that leads to it, which may end in an answer itself."""
    process, solution = row.get("process"), row.get("solution")
    if absent(process) or absent(solution):
        return ""
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
        harmless=frozenset({"structured_cot", "unstructured_cot"}),
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
