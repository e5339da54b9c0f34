"""Find the questions in a JSON file: a list, an object around one, or objects in objects.

    [{"question": ...}, ...]
    {"info": {...}, "questions": [{"question": ...}, ...]}
    {"Perception": {"0": {"question": ...}, ...}, "Comprehension": {"0": {"question": ...}, ...}}
    {"video_1": {"duration": ..., "task0": {"question": ...}}, ...}

What a name outside of a row says is not lost: a name that is no count becomes the `id` of a row
that has none, or its `audio`, `image` or `video` where it is that of a file, and that of one of
several parts becomes its `split`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import final

from datamodules.sources.answers.normalize import RowError
from datamodules.sources.bounds import Spoiled
from datamodules.sources.fields.naming import ending_of

QUESTION = re.compile(r"question([ _-]?(text|en))?|problem|prompt|query|instruction", re.IGNORECASE)
"""Names of a text in which a row asks something."""

CHAT = re.compile(r"messages|conversations?|prompt")
"""Names of a list of turns."""

SUBJECT = re.compile(
    r"(video|audio|image|clip|film|sound)s?([ _-]?(id|path|file|name|url))?", re.IGNORECASE
)
"""Names of a field which says what the questions beside it are about."""

OWN_NAME = re.compile(r"(.*[ _-])?(id|ID|index|qid)")
"""Names of a field that tells a row from the others of a file."""

SPLIT = re.compile(
    r"(train|training|val|valid|validation|dev|test|testing|eval|evaluation)([ _-].*)?",
    re.IGNORECASE,
)
"""Names of parts of which one is trained on and another is not."""

LOOKED_AT = 20
"""Rows of a part that tell whether they are questions."""

DEEPEST = 3
"""Objects around a row: a part, the rows of it, and what the file is about."""

MOST_PARTS = 10
"""Parts of one file. Where there are more, their names say what the questions are about."""


@final
@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows that belong together, each with its name or index."""

    name: str
    """`""` for the whole file."""

    rows: tuple[tuple[str, object], ...]

    @property
    def asks(self) -> bool:
        """Whether the rows are questions, by the first ones."""
        return any(_asks(row) or "questions" in row for row in self._first())

    @property
    def tells(self) -> bool:
        """Whether its rows identify themselves, without the name of the part."""
        return all(_names_itself(row) for row in self._first())

    def _first(self) -> list[dict[str, object]]:
        return [row for _, row in islice(self.rows, LOOKED_AT) if isinstance(row, dict)]


def questions_in(held: object, file: object) -> Iterator[tuple[str, object]]:
    """List the rows that a JSON file holds, each with its place in it, as in `[Perception][0]`.

    Args:
        held: what was read from the file.
        file: its name, for messages.
    """
    if isinstance(held, list):
        parts = [_listed("", held)]
    elif isinstance(held, dict) and is_row(held):
        parts = [_listed("", [held])]
    else:
        parts = _chosen([*parts_in(held)], file)
    for part in parts:
        for place, row in part.rows:
            name = part.name if len(parts) > 1 else ""
            yield (f"[{name}][{place}]" if name else f"[{place}]"), _told(row, place, name)


def _chosen(parts: list[Part], file: object) -> list[Part]:
    """Drop parts without questions; refuse parts that must not be read together."""
    asking = [part for part in parts if part.asks] or parts
    splits = [part.name for part in asking if SPLIT.fullmatch(part.name.rsplit(".", 1)[-1])]
    together = all(part.asks and part.tells for part in asking) and not splits
    if len(asking) == 1 or (together and 0 < len(asking) <= MOST_PARTS):
        return asking
    names = ", ".join(part.name for part in asking[:MOST_PARTS])
    raise ValueError(
        f"{file} holds {len(asking)} lists of questions{f' ({names})' if names else ''}, but one "
        "is read from a JSON file, or parts that belong together: write those that are meant as "
        "one list, or one object per line as .jsonl."
    )


def parts_in(held: object, name: str = "", depth: int = 0) -> Iterator[Part]:
    """Look for rows: in lists of objects, and in objects whose values are all objects."""
    if isinstance(held, list):
        if any(isinstance(item, dict) for item in held):
            yield _listed(name, held)
    elif isinstance(held, dict) and held and depth < DEEPEST:
        rows = [value for value in held.values() if not isinstance(value, Spoiled | RowError)]
        if rows and all(isinstance(value, dict) and is_row(value) for value in rows):
            yield Part(name=name, rows=tuple((str(key), row) for key, row in held.items()))
            return
        for key, value in held.items():
            yield from parts_in(value, f"{name}.{key}" if name else str(key), depth + 1)


def _listed(name: str, rows: list[object]) -> Part:
    return Part(name=name, rows=tuple((str(index), row) for index, row in enumerate(rows)))


def is_row(held: Mapping[str, object]) -> bool:
    """Tell a row from an object around rows: it has a question, or a subject."""
    return _asks(held) or any(_is_subject(*item) for item in held.items())


def _is_subject(name: str, value: object) -> bool:
    named = SUBJECT.fullmatch(name.strip()) is not None
    return isinstance(value, str) and (named or ending_of(value) is not None)


def _names_itself(row: Mapping[str, object]) -> bool:
    return any(OWN_NAME.fullmatch(name) or _is_subject(name, value) for name, value in row.items())


def _asks(held: Mapping[str, object]) -> bool:
    """Tell whether an object has a question, itself or in an object beside texts of its own."""
    if any(
        CHAT.fullmatch(name) or (QUESTION.fullmatch(name.strip()) and isinstance(value, str))
        for name, value in held.items()
    ):
        return True
    texts = any(isinstance(value, str) for value in held.values())
    return texts and any(isinstance(value, dict) and _asks(value) for value in held.values())


def _told(row: object, place: str, part: str) -> object:
    """Write the names around a row into it, where it has no field of its own for them."""
    if not isinstance(row, dict):
        return row
    kind = ending_of(place)  # a row by the name of its file is about it
    names = {} if place.isdecimal() else {kind or "id": place}
    return names | ({"split": part} if part else {}) | row
