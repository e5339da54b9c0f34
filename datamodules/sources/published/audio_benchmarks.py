"""Audio benchmarks: MMAU, MMAR and MMSU, as they and their copies are published."""

from collections.abc import Iterator

from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.golds import BY_TEXT
from datamodules.sources.fields.columns import absent, facts, offered
from datamodules.sources.published.media_lookup import find_medium
from datamodules.sources.published.shared import cells, choice, named

SOUNDS = ("", "audio", "audios")


def mmau(row: Row, place: Place) -> Iterator[Row]:
    """Read MMAU, all versions and the copy of lmms-eval, where choices are a text that holds JSON.

    The answers of its 9,000 hidden questions are published nowhere: those rows are set aside.
    """
    sounds = ("audio_id", "audio_path", "audio", "audio_url")
    yield {
        **named("mmau", row, "id"),
        **choice(
            row.get("question"), offered(row.get("choices")), row.get("answer"), place, *BY_TEXT
        ),
        "media": [find_medium(row, place, "audio", sounds, *SOUNDS)],
        "facts": facts(
            row,
            *("dataset", "task", "split", "category", "sub-category", "sub_category"),
            "difficulty",
        ),
    }


def mmar(row: Row, place: Place) -> Iterator[Row]:
    """Read MMAR, and the copy in which choices and answers have letters.

    Many of its sounds are cut out of one recording, which `url` names.
    """
    url = row.get("url")
    yield {
        **named("mmar", row, "id"),
        **choice(
            row.get("question"), offered(row.get("choices")), row.get("answer"), place, *BY_TEXT
        ),
        "media": [find_medium(row, place, "audio", ("audio_path", "audio"), *SOUNDS)],
        "asset_id": None if absent(url) else url,
        "facts": facts(
            row, "modality", "category", "sub-category", "subcategory", "language", "source"
        ),
    }


def mmsu(row: Row, place: Place) -> Iterator[Row]:
    """Read MMSU, whose options are columns, and some of whose questions have three of them."""
    options = cells(row, [f"choice_{letter}" for letter in "abcdefghij"])
    gold = "answer" if absent(row.get("answer_gt")) else "answer_gt"
    yield {
        **named("mmsu", row, "id"),
        **choice(row.get("question"), options, row.get(gold), place, *BY_TEXT),
        "media": [find_medium(row, place, "audio", ("audio_path", "audio"), *SOUNDS)],
        "facts": facts(
            row,
            *("task_name", "category", "sub-category", "sub_category", "sub-sub-category"),
            "linguistics_sub_discipline",
        ),
    }


AUDIO_BENCHMARKS: tuple[Format, ...] = (
    *(
        Format(
            name="mmau",
            fields=frozenset({"question", "choices", "task", *fields}),
            adapt=mmau,
            test=True,
            # What the publisher's script has models add.
            harmless=frozenset({"model_output", "model_prediction"}),
        )
        for fields in ({"dataset", "difficulty"}, {"audio_id"})
    ),
    *(
        Format(
            name="mmar",
            fields=frozenset({"question", "choices", "modality", "category", name}),
            adapt=mmar,
            test=True,
            # Where in the recording the sound is from, and what annotators think of the answer.
            harmless=frozenset({"timestamp", "thinking", "cue", "rubric", "answer_prediction"}),
        )
        for name in ("sub-category", "subcategory")
    ),
    Format(
        name="mmsu",
        fields=frozenset({"question", "choice_a", "choice_b", "task_name", "category"}),
        adapt=mmsu,
        test=True,
    ),
)
