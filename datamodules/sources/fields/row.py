"""Track which fields of a published row an adapter reads, so that none goes unread unnoticed.

An unread field is on the list of its format's harmless facts; or it may decide an answer, and
quarantines the row; or it is logged when the file is opened, with the number of rows that have it
and an example.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import final

from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.hints import ShownMedia, is_empty, looks_like
from datamodules.sources.fields.naming import stem_of
from datamodules.sources.fields.printed import held_in

log = logging.getLogger(__name__)

Row = Mapping[str, object]
EXAMPLE = 60
"""Characters of a value that are shown."""

MOST_TOLD = 100
"""Fields that are logged by name; the others are counted."""


@final
class Fields(Mapping[str, object]):
    """A row, or an object within one, that records which of its fields are accessed.

    Nested objects, also those in lists, are such rows too. Iterating over the names or comparing
    rows does not count as access.
    """

    def __init__(self, held: Row) -> None:
        self._held = held
        self._read: set[str] = set()
        self._within: dict[str, object] = {}

    def __getitem__(self, name: str) -> object:
        value = self._held[name]
        self._read.add(name)
        if isinstance(value, dict | list):
            if name not in self._within:
                self._within[name] = _watched(value)
            return self._within[name]
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __eq__(self, other: object) -> bool:
        return self._held == (other._held if isinstance(other, Fields) else other)

    __hash__ = None  # type: ignore[assignment] # as of any object that can hold lists

    def __repr__(self) -> str:
        return repr(self._held)

    def whole(self) -> dict[str, object]:
        """Return the plain object, which accesses everything in it."""
        self._read.update(self._held)
        self._within.clear()
        return dict(self._held)

    @property
    def taken(self) -> Collection[str]:
        """The fields that were accessed."""
        return self._read

    def peek(self, name: str) -> object:
        """Read a field without recording it."""
        return self._held.get(name)

    def held(self, name: str) -> object:
        """Read a field as `[]` does, and parse the list or object that a text holds."""
        if name not in self._held:
            return None
        value = self._held[name]
        if isinstance(value, str) and name not in self._within:
            found = held_in(value)
            if found is not value:
                self._within[name] = _watched(found)
        self._read.add(name)
        return self._within[name] if name in self._within else self.get(name)

    def unread(self) -> Iterator[tuple[str, str, object]]:
        """List the fields that were not accessed: path, as `a.b`; name and value.

        Empty cells are left out.
        """
        for name, value in self._held.items():
            if name not in self._read:
                if not is_empty(value):
                    yield str(name), str(name), value
            else:
                for deeper, last, found in _unread(self._within.get(name)):
                    yield f"{name}.{deeper}", last, found


def fields_of(row: Row) -> Fields:
    """Track the fields of a row, unless they are tracked already."""
    return row if isinstance(row, Fields) else Fields(row)


def whole(value: object) -> object:
    """Return a value without tracking, which accesses all of it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Fields):
        return value.whole()
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    return value


def _watched(value: object) -> object:
    if isinstance(value, dict):
        return Fields(value)
    return [_watched(item) for item in value] if isinstance(value, list) else value


def _unread(value: object) -> Iterator[tuple[str, str, object]]:
    if isinstance(value, Fields):
        yield from value.unread()
    elif isinstance(value, list):
        for item in value:
            yield from _unread(item)


@final
class Unread:
    """The unread fields of one manifest: how many rows have each, and an example."""

    def __init__(
        self, counts: Mapping[str, int] | None = None, examples: Mapping[str, str] | None = None
    ) -> None:
        self.counts = Counter(counts or {})
        self.examples = dict(examples or {})

    def check(
        self,
        row: Fields,
        format: str,
        harmless: Collection[str],
        questions: Sequence[object] = (),
    ) -> None:
        """Count the unread fields of a row; raise a `RowError` if an answer may depend on one.

        Args:
            harmless: fields of this format that are mere facts, nested ones as `metadata.license`.
            questions: what the row was converted to; other fields may refer to its media again.
        """
        shown: ShownMedia | None = None
        for name, last, value in row.unread():
            if name in harmless:
                continue
            shown = shown or shown_in(questions)
            kind = looks_like(last, value, shown)
            if kind is not None:
                raise RowError(
                    "unread_field",
                    f"{name!r} holds {_excerpt(value)} and looks like {kind}, but is not read, and "
                    "a question is not asked without a part of it: rename the field to one that "
                    f"{format} reads (docs/data.md), drop it, or name another data.format=...",
                )
            self.counts[name] += 1
            self.examples.setdefault(name, _excerpt(value))

    def tell(self, path: Path) -> None:
        """Log the unread fields, each with its number of rows and an example."""
        if not self.counts:
            return
        told = "; ".join(
            f"{name[:EXAMPLE]} ({count} rows, such as {self.examples[name]})"
            for name, count in self.counts.most_common(MOST_TOLD)
        )
        more = max(0, len(self.counts) - MOST_TOLD)
        more_told = f"; and {more} more" if more else ""
        log.warning("%s has fields that are not read: %s%s", path, told, more_told)

    def as_dict(self) -> dict[str, dict[str, int] | dict[str, str]]:
        """Return it as JSON, for an index."""
        return {"counts": dict(self.counts), "examples": self.examples}


def shown_in(questions: Sequence[object]) -> ShownMedia:
    """Collect the media of questions in our own format."""
    held = [one.get("media") for one in questions if isinstance(one, Mapping)]
    items = [item for media in held if isinstance(media, list | tuple) for item in media]
    media = [item for item in items if isinstance(item, Mapping)]
    return ShownMedia(
        kinds=frozenset(str(item.get("modality")) for item in media),
        stems=frozenset(stem_of(str(item.get("path"))) for item in media),
    )


def _excerpt(value: object) -> str:
    text = f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)
    return text if len(text) <= EXAMPLE else f"{text[: EXAMPLE - 3]}..."
