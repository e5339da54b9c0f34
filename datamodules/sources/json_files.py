"""Read the rows of a file that is one value of JSON; none is made before it is measured."""

import codecs
from collections.abc import Iterator
from functools import partial
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from datamodules.sources.adapter import Row
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.bounds import MOST_COLUMNS, Spoiled, checked, refuse_large
from datamodules.sources.nested import DEEPEST, is_row, parts_in, questions_in
from datamodules.sources.parquet import Raw
from untrusted.json_spans import Span, members
from untrusted.json_text import json_of, object_of

LARGEST_JSON = 2**30
"""Size of a file that is one JSON value, which is held in memory."""

AT_ONCE = 2**16
"""Bytes of rows that are made together."""

OPENING = (b"[", b"{")


def is_list(path: Path) -> bool:
    """Recognize one JSON list, whatever the file is named."""
    with path.open("rb") as file:
        if not file.read(64).lstrip(codecs.BOM_UTF8).lstrip().startswith(b"["):
            return False
    content = _whole(path)
    try:
        return sum(1 for _ in members(content, 0, len(content))) >= 0
    except ValueError:
        return False


def json_rows(path: Path) -> Iterator[Raw] | None:
    """Find the rows of a JSON file; None if it has one on each line instead.

    Those of a list are made one at a time. Around other rows are objects that have to be read to
    find them.
    """
    content = _whole(path)
    if content.startswith(b"["):
        return _listed(path, content)
    try:
        held = _measured(content, 0, len(content))
    except ValueError as error:
        if _begins_with_row(content):
            return None
        raise _not_json(path, error) from error
    rows = questions_in([held] if isinstance(held, RowError) else held, path)
    return (
        (f"{path}{place}", number, partial(checked, row))
        for number, (place, row) in enumerate(rows, start=1)
    )


def parsed(text: bytes) -> Row:
    """Make a row of its text, or raise a `RowError`."""
    refuse_large(text)
    try:
        return checked(json_of(text, spoiled=_spoiled))
    except ValueError as error:
        if isinstance(error, RowError):
            raise
        raise RowError(
            "malformed", f"the row is not JSON in UTF-8 ({error}), but each must be: mend it."
        ) from error


def _listed(path: Path, content: bytes) -> Iterator[Raw]:
    try:
        for index, (_, begin, end) in enumerate(members(content, 0, len(content))):
            place = f"{path}[{index}]"
            yield place, index + 1, partial(_parsed_whole, place, content, begin, end)
    except ValueError as error:
        raise _not_json(path, error) from error


def _parsed_whole(place: str, content: bytes, begin: int, end: int) -> Row:
    """Make a row of a list; where it is not JSON, it may be a part of one, or several."""
    refuse_large(content, begin, end)
    try:
        return parsed(content[begin:end])
    except RowError as error:
        if isinstance(error.__cause__, JSONDecodeError):
            raise _not_json(place, error.__cause__) from error
        raise


def _measured(content: bytes, begin: int, end: int, depth: int = 0) -> object:
    """Make a value; of one larger than a row may be, only what may be rows, or else a `RowError`.

    Args:
        depth: of the objects and lists around it.
    """
    try:
        refuse_large(content, begin, end)
    except RowError as error:
        if depth > DEEPEST or not content.startswith(OPENING, begin):
            return error
        open = _rows_of_list if content.startswith(b"[", begin) else _parts_of_object
        found = open(content, begin, end, depth)
        return error if found is None else found
    return _made(content[begin:end])


def _made(text: bytes) -> Any:
    # Bytes that are no UTF-8 become half characters, which spoil their own row only.
    return json_of(text.decode(errors="surrogateescape"), spoiled=_spoiled)


def _rows_of_list(content: bytes, begin: int, end: int, depth: int) -> object | None:
    _, first, _ = next(members(content, begin, end))
    if not content.startswith(b"{", first):
        return None
    rows: list[object] = []
    for first, last in _together(members(content, begin, end)):
        if last - first > AT_ONCE:
            rows.append(_measured(content, first, last, DEEPEST + 1))
        else:
            rows += _made(b"[%b]" % content[first:last])
    return rows


def _together(spans: Iterator[Span]) -> Iterator[tuple[int, int]]:
    """Join neighbors that are small enough to be made at once, which is faster."""
    _, first, last = next(spans)
    for _, begin, end in spans:
        if end - first > AT_ONCE:
            yield first, last
            first = begin
        last = end
    yield first, last


def _parts_of_object(content: bytes, begin: int, end: int, depth: int) -> object | None:
    plain: list[tuple[str, object]] = []
    inner: list[Span] = []
    for span in members(content, begin, end):
        name, first, last = span
        if content.startswith(OPENING, first):
            inner.append(span)
            continue
        plain.append((name, _measured(content, first, last, depth + 1)))
        if len(plain) > MOST_COLUMNS or is_row(dict(plain[-1:])):
            return None
    if depth == DEEPEST or is_row(dict.fromkeys(name for name, _, _ in inner)):
        return None
    made = [(name, _measured(content, first, last, depth + 1)) for name, first, last in inner]
    held = object_of(_spoiled, plain + made)
    return held if any(parts_in(held)) else None


def _whole(path: Path) -> bytes:
    """Read a file that is one JSON value, which has to fit in memory."""
    size = path.stat().st_size
    if size > LARGEST_JSON:
        raise ValueError(
            f"{path} is one value of JSON of {size:,} bytes, but such a file is held in memory as "
            f"a whole and has at most {LARGEST_JSON:,}: write each question on a line of its own, "
            "as .jsonl."
        )
    return path.read_bytes().removeprefix(codecs.BOM_UTF8).strip()


def _begins_with_row(content: bytes) -> bool:
    """Recognize JSON lines in a file named `.json`: the first line is an object."""
    try:
        parsed(content.split(b"\n", 1)[0])
    except RowError as error:
        return error.reason == "too_large" and b"\n" in content
    return True


def _not_json(place: object, error: ValueError) -> ValueError:
    return ValueError(
        f"{place} is not JSON ({error}), but a file of this ending holds JSON: mend it, or name "
        "it .jsonl if each line is an object of its own."
    )


def _spoiled(fault: str) -> Spoiled:
    return Spoiled(fault=fault)
