"""Nothing in a row goes unread: a published row knows which of its fields an adapter took by name.

What is left over is either on the list of its format's harmless facts; or it looks as if an answer
depended on it, and sets the row aside; or it is told when the file is opened, with how many rows
have it and an example.
"""

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Literal, final

from datamodules.sources.answers import RowError

log = logging.getLogger(__name__)

Row = Mapping[str, object]
Kind = Literal["a medium", "a segment", "options", "a label of quality", "a second answer"]

WORDS: Mapping[Kind, str] = {
    "a medium": "audio image img picture pic photo video film movie clip frame sound speech "
    "recording wav media multimedia file filename filepath path byte attachment",
    "a segment": "start end begin stop from to offset onset segment span timestamp interval trim",
    "options": "option opt choice candidate distractor",
    "a label of quality": "label chosen rejected reject score reward preference preferred rating "
    "margin correct correctness",
    "a second answer": "answer solution gold golden gt target response output truth reference "
    "completion",
}
"""Words in a field's name that say what it holds, in the singular."""

MEDIA_ENDINGS = re.compile(
    r"\.(wav|flac|ogg|oga|opus|mp3|m4a|aac|aiff?|au|caf|w64|wma|amr|png|jpe?g|webp|bmp|gif|tiff?"
    r"|mp4|m4v|mkv|webm|avi|mov|mpe?g|ts|flv|wmv|ogv|3gp)(?:[?#].*)?$",
    re.IGNORECASE,
)
LETTERED = re.compile(r"[A-J]|[a-j]")
EXAMPLE = 60
"""Characters of a value that are shown."""


@final
class Fields(Mapping[str, object]):
    """A row, or an object within one, that remembers which of its fields were looked at by name.

    Objects within it, also those in lists, are such rows too. Going through the names reads
    nothing; comparing two rows reads nothing either.
    """

    def __init__(self, held: Row) -> None:
        self._held = held
        self._read: set[str] = set()
        self._within: dict[str, object] = {}

    def __getitem__(self, name: str) -> object:
        value = self._held[name]
        self._read.add(name)
        if isinstance(value, Mapping | list):
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
        """Take all that it holds as it is, which reads everything in it."""
        self._read.update(self._held)
        self._within.clear()
        return dict(self._held)

    def unread(self) -> Iterator[tuple[str, object]]:
        """List the fields that nobody looked at, with their values; those within as `a.b`.

        Empty cells are left out: whatever they are called, they hold nothing.
        """
        for name, value in self._held.items():
            if name not in self._read:
                if not _empty(value):
                    yield str(name), value
            else:
                for deeper, found in _unread(self._within.get(name)):
                    yield f"{name}.{deeper}", found


def whole(value: object) -> object:
    """Take a value as it was before it was watched, which reads all that it holds."""
    if isinstance(value, Fields):
        return value.whole()
    if isinstance(value, list):
        return [whole(item) for item in value]
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    return value


def _watched(value: object) -> object:
    if isinstance(value, Mapping):
        return Fields(value)
    return [_watched(item) for item in value] if isinstance(value, list) else value


def _unread(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Fields):
        yield from value.unread()
    elif isinstance(value, list):
        for item in value:
            yield from _unread(item)


def _empty(value: object) -> bool:
    return value is None or value == "" or value == [] or value == {} or value != value


def looks_like(name: str, value: object) -> Kind | None:
    """Say what a field is that an answer may depend on, by the words of its name or by its value.

    Names are taken apart at marks, digits and capitals: `audioPath`, `audio-path` and `audio_2`
    speak of a sound. A lone letter from A to J is an option.
    """
    last = name.rsplit(".", 1)[-1]
    if LETTERED.fullmatch(last):
        return "options"
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", last)
    words = {word.lower().removesuffix("s") for word in (last, *parts)}
    for kind, known in WORDS.items():
        if not words.isdisjoint(known.split()):
            return kind
    return "a medium" if holds_media(value) else None


def holds_media(value: object) -> bool:
    """Tell whether a value is bytes, or names a file of sound, pictures or film, however deep."""
    if isinstance(value, bytes | bytearray):
        return len(value) > 0
    if isinstance(value, str):
        return MEDIA_ENDINGS.search(value.strip()) is not None
    if isinstance(value, Mapping):
        return any(map(holds_media, value.values()))
    return isinstance(value, list | tuple) and any(map(holds_media, value))


@final
class Unread:
    """The fields of one manifest that nobody reads: how many rows have each, and an example."""

    def __init__(
        self, counts: Mapping[str, int] | None = None, examples: Mapping[str, str] | None = None
    ) -> None:
        self.counts = Counter(counts or {})
        self.examples = dict(examples or {})

    def check(self, row: Fields, format: str, harmless: Collection[str]) -> None:
        """Count what is left over of a row; raise a `RowError` if an answer may depend on it.

        Args:
            harmless: names of fields of this format that are facts and no more, with those of the
                objects they are in, as in `metadata.license`.
        """
        for name, value in row.unread():
            if name in harmless:
                continue
            kind = looks_like(name, value)
            if kind is not None:
                raise RowError(
                    "unread_field",
                    f"{name!r} holds {_shown(value)} and looks like {kind}, but {format} reads no "
                    "such field, and a question is not asked without a part of it: rename the "
                    "field to one that is read (docs/data.md), drop it, or name the format with "
                    "data.format=...",
                )
            self.counts[name] += 1
            self.examples.setdefault(name, _shown(value))

    def tell(self, path: Path) -> None:
        """Say which fields were not read, each with its number of rows and an example."""
        if not self.counts:
            return
        told = "; ".join(
            f"{name} ({count} rows, such as {self.examples[name]})"
            for name, count in self.counts.most_common()
        )
        log.warning("%s has fields that are not read: %s", path, told)

    def as_dict(self) -> dict[str, dict[str, int] | dict[str, str]]:
        """Write it down, for an index that keeps what a manifest held."""
        return {"counts": dict(self.counts), "examples": self.examples}


def _shown(value: object) -> str:
    text = f"{len(value)} bytes" if isinstance(value, bytes) else repr(value)
    return text if len(text) <= EXAMPLE else f"{text[: EXAMPLE - 3]}..."
