"""Benchmarks of hearing: MMAU, MMAR and MMSU, as they and their copies are published."""

from collections.abc import Iterator
from functools import partial

from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers import RowError
from datamodules.sources.columns import (
    absent,
    answer_of,
    columned,
    facts,
    file_of,
    listed,
    medium,
    options_of,
)
from datamodules.sources.published import choice, chosen, named


def mmau(row: Row, place: Place) -> Iterator[Row]:
    """Read MMAU, all versions and the copy of lmms-eval, where choices are a text that holds JSON.

    The answers of its 9,000 hidden questions are published nowhere: those rows are set aside.
    """
    yield {
        **named("mmau", row, "id"),
        **_asked(row),
        "media": [_sound(row, place, "audio", "audio_id", "audio_path", "audio_url")],
        "facts": facts(
            row,
            *("dataset", "task", "split", "category", "sub-category", "sub_category"),
            "difficulty",
        ),
    }


def mmar(row: Row, place: Place) -> Iterator[Row]:
    """Read MMAR, and the copy in which choices and answers have letters."""
    yield {
        **named("mmar", row, "id"),
        **_asked(row),
        "media": [_sound(row, place, "audio", "audio_path")],
        "facts": facts(
            row, "modality", "category", "sub-category", "subcategory", "language", "source"
        ),
    }


def mmsu(row: Row, place: Place) -> Iterator[Row]:
    """Read MMSU, whose options are columns, and some of whose questions have three of them."""
    options = columned(row)
    answer = answer_of(row.get("answer_gt", row.get("answer")), options, "any")
    yield {
        **named("mmsu", row, "id"),
        **choice(row.get("question"), options, answer),
        "media": [_sound(row, place, "audio", "audio_path")],
        "facts": facts(
            row,
            *("task_name", "category", "sub-category", "sub_category", "sub-sub-category"),
            "linguistics_sub_discipline",
        ),
    }


def _asked(row: Row) -> Row:
    """Read a question whose answer is a letter where its options have letters, and a text else."""
    given = row.get("choices")
    options = options_of(given)
    texts = isinstance(given, list | str) and options == [str(one).strip() for one in listed(given)]
    find = partial(answer_of, how="any") if texts else chosen
    return choice(row.get("question"), options, find(row.get("answer"), options))


def _sound(row: Row, place: Place, *names: str) -> dict[str, object]:
    """Find the sound in the first of these columns that has one, as a path or as bytes."""
    for name in names:
        value = row.get(name)
        if not absent(value):
            return medium("audio", file_of(value, place, ".wav"))
    raise RowError(
        "bad_media",
        f"none of {', '.join(names)} names a sound, but the question is about one: add its path.",
    )


AUDIO_BENCHMARKS: tuple[Format, ...] = (
    Format(
        name="mmau",
        fields=frozenset({"question", "choices", "dataset", "task", "difficulty"}),
        adapt=mmau,
        test=True,
    ),
    Format(
        name="mmau",
        fields=frozenset({"audio_id", "question", "choices", "task"}),
        adapt=mmau,
        test=True,
    ),
    Format(
        name="mmar",
        fields=frozenset({"question", "choices", "modality", "category", "sub-category"}),
        adapt=mmar,
        test=True,
    ),
    Format(
        name="mmar",
        fields=frozenset({"question", "choices", "modality", "category", "subcategory"}),
        adapt=mmar,
        test=True,
    ),
    Format(
        name="mmsu",
        fields=frozenset({"question", "choice_a", "choice_b", "task_name", "category"}),
        adapt=mmsu,
        test=True,
    ),
)
