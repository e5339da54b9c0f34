"""Read media from the columns, lists and objects of a row."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache

from datamodules.sample import Modality
from datamodules.sources.adapter import Place, Row
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import FILE_KEYS, absent, file_of, medium
from datamodules.sources.fields.hints import SAID, words_of
from datamodules.sources.fields.naming import ending_of, stem_of
from datamodules.sources.fields.printed import held_in
from datamodules.sources.fields.row import Fields, fields_of
from datamodules.sources.fields.segments import within

NAMES = frozenset(("path", "file", "filename", "filepath", "url", "uri", "link", "src", "byte"))
"""Words of columns that name files, besides those of a kind of media."""

PLAIN = frozenset(("media", "multimedia", "clip", "attachment", "track", "medium", "item"))
"""Words of columns with media whose kind their endings tell."""

BESIDE = frozenset(("local", "abs", "rel", "relative", "list", "name", "data", "input"))
ADDRESSES = frozenset(("url", "uri", "link"))

Named = tuple[Modality, object]
"""The kind of a medium, and its value in the row: a path, bytes, or an object with either."""

OTHERS: Mapping[Modality, tuple[Modality, ...]] = {
    "audio": ("image",),
    "image": ("audio", "video"),
    "video": ("audio", "image"),
}
"""Kinds that the file of a medium must not have, whatever its column says."""


def named_media(row: Row) -> list[Named]:
    """List the media in the columns of a row, in order.

    A column gives the kind of its media by its name, as `audio`, `video_path` or `image_files` do,
    or leaves it to their endings, as `media` and `file_name` do. Of several columns about the same
    file one is read. Empty cells, also those of lists, hold no medium. A column of unknown kind
    stays unread, which quarantines the row.
    """
    fields = fields_of(row)
    found: dict[tuple[Modality, str], list[tuple[str, object]]] = {}
    for name in _numbered(fields):
        for kind, item in _of_column(name, fields):
            number = "".join(re.findall(r"[0-9]+", name))
            found.setdefault((kind, number), []).append((name, item))
    return [(kind, item) for (kind, _), items in found.items() for item in _told_once(items)]


def _numbered(names: Iterable[str]) -> list[str]:
    """Sort columns that differ by their number alone: `image_10` behind `image_2`."""
    families: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if len(numbers := re.findall(r"[0-9]+", name)) == 1:
            family = families.setdefault(re.sub(r"[0-9]+", "#", name), [])
            family.append((int(numbers[0]), name))
    following = {name: iter(sorted(family)) for name, family in families.items()}
    stems = [(name, re.sub(r"[0-9]+", "#", name)) for name in names]
    return [next(following[stem])[1] if stem in following else name for name, stem in stems]


def _of_column(name: str, row: Fields) -> list[Named]:
    about = _speaks_of(name)
    if about is None:
        return []
    said, by_name = about
    seen = held_in(row.peek(name))
    if absent(seen) or isinstance(seen, bool) or (by_name and not _has_ending(seen)):
        return []
    items = [*_items(seen, said)]
    if any(kind is None for kind, _ in items):
        return []
    taken = _items(row.held(name), said)
    return [(kind, item) for (kind, _), (_, item) in zip(items, taken, strict=True) if kind]


@lru_cache(maxsize=4096)
def _speaks_of(name: str) -> tuple[Modality | None, bool] | None:
    """Return the kind of the media of a column, and whether it names them without a folder.

    None for a column that, by its name, holds none or something else as well.
    """
    words = words_of(name)
    kinds = {SAID[word] for word in words if word in SAID}
    rest = {word for word in words if word not in SAID}
    plain = not rest.isdisjoint(NAMES | PLAIN)
    if len(kinds) > 1 or not rest <= NAMES | PLAIN | BESIDE or not (kinds or plain):
        return None
    return next(iter(kinds), None), "name" in rest


def _items(value: object, said: Modality | None) -> Iterator[tuple[Modality | None, object]]:
    """List the values of a cell, each with its kind; None where the kind is unknown."""
    if isinstance(value, list):
        for item in value:
            if not absent(item):
                yield from _items(item, said)
    elif isinstance(value, Mapping) and value and said is None and _by_kind(value):
        for name in value:
            if not absent(value[name]):
                yield from _items(value[name], SAID[words_of(str(name))[0]])
    else:
        yield said or _kind_of(value), value


def _by_kind(value: Mapping[str, object]) -> bool:
    """Tell whether an object has media by their kinds, as {"image": [...], "audio": [...]}."""
    words = [words_of(str(name)) for name in value]
    return all(len(one) == 1 and one[0] in SAID for one in words)


def _kind_of(value: object) -> Modality | None:
    if isinstance(value, str):
        return ending_of(value)
    if isinstance(value, Fields) or not isinstance(value, Mapping):
        return None
    said = str(value.get("type", value.get("modality", ""))).lower()
    kinds = [SAID[word] for word in words_of(said) if word in SAID]
    kinds += [SAID[name] for name in value if name in SAID]
    kinds += [kind for one in value.values() if isinstance(one, str) and (kind := ending_of(one))]
    return kinds[0] if kinds else None


def _has_ending(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(isinstance(item, str) and ending_of(item) is not None for item in items)


def _told_once(items: Sequence[tuple[str, object]]) -> list[object]:
    """Drop addresses of media that are also in the row, and columns that repeat a file."""
    here = [one for one in items if ADDRESSES.isdisjoint(words_of(one[0]))] or [*items]
    kept: list[tuple[str, object]] = []
    for name, item in here:
        stem = _stem(item)
        if not any(other != name and stem and stem == _stem(one) for other, one in kept):
            kept.append((name, item))
    return [item for _, item in kept]


def _stem(value: object) -> str:
    if isinstance(value, Mapping):
        seen = value.peek if isinstance(value, Fields) else value.get
        value = next((one for one in map(seen, FILE_KEYS) if isinstance(one, str) and one), "")
    return stem_of(value) if isinstance(value, str) else ""


def medium_of(value: object, place: Place, kind: Modality) -> dict[str, object]:
    """Write a medium in the form of our manifest, with the segment of an object."""
    file = file_of(value, place)
    ending = ending_of(file)
    if ending in OTHERS[kind] and not file.lower().endswith(".gif"):
        raise RowError(
            "bad_media",
            f"{file[-80:]!r} is named as {kind}, but is {ending} by its ending: name it as that, "
            "and a film as one file, not by its pictures.",
        )
    shown = medium(kind, file)
    return within(value, shown) if isinstance(value, Mapping) else shown
