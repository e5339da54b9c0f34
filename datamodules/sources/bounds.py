"""How large a row may be, whatever file it comes in, so that one cannot take all memory.

What a row costs is bounded before it is made: a line is counted before it is parsed, and a row of
Parquet is weighed as Arrow holds it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from datamodules.sources.adapter import Row
from datamodules.sources.answers.normalize import RowError

MEBIBYTE = 2**20

LONGEST_ROW = 32 * MEBIBYTE
"""Bytes of a row as text; a medium in base64 may be three quarters of it."""

LARGEST_ROW = 64 * MEBIBYTE
"""Bytes of all media that a row of Parquet holds as bytes."""

MOST_VALUES = 200_000
"""Values of a row, those in lists and objects too: each costs far more memory than its bytes."""

MOST_COLUMNS = 1_000

LONGEST_TEXT = 131_072
"""Characters of a question, an option, an answer or a completion: more than any model reads."""


@final
@dataclass(frozen=True, kw_only=True)
class Spoiled:
    """Stands in a row for what could not be read of it, until the row is looked at."""

    fault: str


def too_large(what: str, most: int, unit: str) -> RowError:
    """Say that a row has too much of something."""
    return RowError(
        "too_large",
        f"{what}, but a row has at most {most:,} {unit}: shorten it, put its media into files of "
        "their own, or leave it out.",
    )


def refuse_long_texts(row: Row) -> None:
    """Refuse a row of our own manifest with a text that no model would read to its end."""
    left: list[object] = [row]
    while left:
        value = left.pop()
        if isinstance(value, str) and len(value) > LONGEST_TEXT:
            raise too_large(
                f"{value[:40]!r}... has {len(value):,} characters", LONGEST_TEXT, "in a text"
            )
        if isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list | tuple):
            left += value


def refuse_many_values(text: bytes) -> None:
    """Count what may be values of a row as JSON: of a line before any is made."""
    values = text.count(b",") + text.count(b"[") + text.count(b"{")
    if values > MOST_VALUES:
        raise too_large(f"the row has some {values:,} values", MOST_VALUES, "values")


def checked(row: object) -> Row:
    """Let in objects whose texts can be written in UTF-8: a character may have lost its half."""
    if isinstance(row, Spoiled):
        _plain(row)
    if not isinstance(row, dict):
        raise RowError(
            "malformed",
            f"the row is a JSON {type(row).__name__}, but must be an object as in "
            '{"id": ..., "question": ..., "answer": ...}.',
        )
    try:
        text = json.dumps(row, ensure_ascii=False, default=_plain).encode()
    except TypeError as error:  # a name of bytes or numbers in a table
        raise RowError(
            "malformed", f"the row has a name that is no text ({error}), but all must be: mend it."
        ) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, RowError):
            raise
        raise RowError(
            "malformed", f"the row is not in UTF-8 ({error}), but all texts must be: mend it."
        ) from error
    if len(text) > LONGEST_ROW:
        raise too_large(f"the row has {len(text):,} bytes", LONGEST_ROW, "bytes")
    refuse_many_values(text)
    return row


def _plain(value: object) -> str:
    """Name what JSON has no word for; media have been weighed by then."""
    if isinstance(value, Spoiled):
        raise RowError("malformed", f"{value.fault}.")
    return "" if isinstance(value, bytes) else str(value)
