"""Limits on the size of a row, whatever file it comes in, so that one cannot take all memory.

The cost of a row is checked before it is parsed: a line by its length, and a row of Parquet by its
size in Arrow.
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
"""Values of a row, nested ones included: each costs far more memory than its bytes."""

MOST_COLUMNS = 1_000

LONGEST_TEXT = 131_072
"""Characters of a question, an option, an answer or a completion: more than any model reads."""


@final
@dataclass(frozen=True, kw_only=True)
class Spoiled:
    """Placeholder for an unreadable value of a row, until the row is checked."""

    fault: str


def too_large(what: str, most: int, unit: str) -> RowError:
    """Make the error for a row that exceeds a limit."""
    return RowError(
        "too_large",
        f"{what}, but a row has at most {most:,} {unit}: shorten it, put its media into files of "
        "their own, or leave it out.",
    )


def refuse_long_texts(row: Row) -> None:
    """Refuse a row of our own manifest with a text longer than any model reads."""
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


def refuse_large(text: bytes, begin: int = 0, end: int | None = None) -> None:
    """Measure a row as JSON before it is made: its bytes, and what may be values."""
    end = len(text) if end is None else end
    if end - begin <= min(MOST_VALUES, LONGEST_ROW):
        return
    if end - begin > LONGEST_ROW:
        raise too_large(f"the row has {end - begin:,} bytes", LONGEST_ROW, "bytes")
    values = sum(text.count(mark, begin, end) for mark in (b",", b"[", b"{"))
    if values > MOST_VALUES:
        raise too_large(f"the row has some {values:,} values", MOST_VALUES, "values")


def checked(row: object) -> Row:
    """Accept objects whose texts are valid UTF-8, without lone surrogates."""
    if isinstance(row, Spoiled | RowError):
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
    refuse_large(text)
    return row


def _plain(value: object) -> str:
    """Replace what JSON cannot express; media have been measured by then."""
    if isinstance(value, RowError):
        raise value
    if isinstance(value, Spoiled):
        raise RowError("malformed", f"{value.fault}.")
    return "" if isinstance(value, bytes) else str(value)
