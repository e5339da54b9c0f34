"""Media as rows name them: in columns, lists and objects, with the segment that is meant."""

import re
from collections.abc import Iterator, Mapping, Sequence

from datamodules.sample import Modality
from datamodules.sources.adapter import Place, Row
from datamodules.sources.answers import RowError
from datamodules.sources.columns import FILE_KEYS, absent, file_of, medium
from datamodules.sources.fields import Fields
from datamodules.sources.hints import SAID, ending_of, held_in, is_time, stem_of, words_of

NAMES = frozenset(("path", "file", "filename", "filepath", "url", "uri", "link", "src", "byte"))
"""Words of a column that names a file, beside those that say of which kind."""

PLAIN = frozenset(("media", "multimedia", "clip", "attachment", "track", "medium", "item"))
"""Words of a column that names media whose kind their endings tell."""

BESIDE = frozenset(("local", "abs", "rel", "relative", "list", "name", "data", "input"))
ADDRESSES = frozenset(("url", "uri", "link"))

START = frozenset(("start", "begin", "from", "onset"))
END = frozenset(("end", "stop", "to"))
BOTH = frozenset(("segment", "span", "interval", "timestamp", "range", "window", "trim", "clip"))
MILLI = frozenset(("ms", "msec", "millisecond"))
UNITS = frozenset(("time", "timestamp", "s", "sec", "second", "at", "clip", "segment")) | MILLI

Named = tuple[Modality, object]
"""The kind of a medium, and what a row holds of it: a path, bytes, or an object with either."""

OTHERS: Mapping[Modality, tuple[Modality, ...]] = {
    "audio": ("image",),
    "image": ("audio", "video"),
    "video": ("audio", "image"),
}
"""What the file of a medium is not, whatever its column says."""


def named_media(row: Row) -> list[Named]:
    """List the media that the columns of a row name, in their order.

    A column says of which kind its media are, as `audio`, `video_path` or `image_files` do, or
    leaves it to their endings, as `media` and `file_name` do. Of several columns about the same
    file one is read. Empty cells, also those of lists, hold no medium. A column whose kind is not
    plain stays unread, which sets the row aside.
    """
    fields = row if isinstance(row, Fields) else Fields(row)
    found: dict[tuple[Modality, str], list[tuple[str, object]]] = {}
    for name in fields:
        for kind, item in _of_column(name, fields):
            number = "".join(re.findall(r"[0-9]+", name))
            found.setdefault((kind, number), []).append((name, item))
    return [(kind, item) for (kind, _), items in found.items() for item in _told_once(items)]


def _of_column(name: str, row: Fields) -> list[Named]:
    words = words_of(name)
    kinds = {SAID[word] for word in words if word in SAID}
    rest = {word for word in words if word not in SAID}
    plain = not rest.isdisjoint(NAMES | PLAIN)
    if len(kinds) > 1 or not rest <= NAMES | PLAIN | BESIDE or not (kinds or plain):
        return []
    seen = held_in(row.peek(name))
    if absent(seen) or isinstance(seen, bool) or ("name" in rest and not _has_ending(seen)):
        return []
    said = next(iter(kinds), None)
    items = [*_items(seen, said)]
    if any(kind is None for kind, _ in items):
        return []
    taken = _items(row.held(name), said)
    return [(kind, item) for (kind, _), (_, item) in zip(items, taken, strict=True) if kind]


def _items(value: object, said: Modality | None) -> Iterator[tuple[Modality | None, object]]:
    """List what a cell holds, each with its kind; None where nothing tells it."""
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
    """Know an object that has media by their kinds, as {"image": [...], "audio": [...]}."""
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
    """Leave out the addresses of what is also here, and columns that name a file again."""
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
    """Write a medium as our manifest has it, with the segment that an object says."""
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


def within(held: Row, shown: dict[str, object]) -> dict[str, object]:
    """Take the segment of a medium from the object that names it."""
    for kind in (str(shown["modality"]), ""):
        if (found := _segment(held, kind)) is not None:
            return shown | found
    return shown


def in_segments(row: Row, media: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Apply the segment that columns of a row name to the one medium that they can be of.

    That is the only one with a time; of columns as `video_start`, the only film. Where there are
    several the columns stay unread, which sets the row aside.
    """
    shown = [*media]
    for kinds in (("audio", "video"), ("audio",), ("video",)):
        places = [at for at, one in enumerate(shown) if one["modality"] in kinds]
        whole = [at for at in places if "start" not in shown[at] and "end" not in shown[at]]
        if len(places) == len(whole) == 1:
            found = _segment(row, kinds[0] if len(kinds) == 1 else "")
            shown[whole[0]] = shown[whole[0]] | (found or {})
    return shown


def _segment(row: Row, kind: str) -> dict[str, object] | None:
    """Read a segment out of the fields that name one for this kind; `""` is any."""
    seen = row.peek if isinstance(row, Fields) else row.get
    bounds: dict[str, set[float | None]] = {"start": set(), "end": set()}
    for name in row:
        words = words_of(str(name))
        said = {SAID[word] for word in words if word in SAID}
        rest = [word for word in words if word not in SAID]
        if said != ({kind} if kind else set()) or not rest or not is_time(seen(name)):
            continue
        pair = held_in(seen(name))
        if isinstance(pair, list) and len(pair) == 2 and {*rest} <= BOTH | UNITS:
            row[name]
            bounds["start"].add(seconds(pair[0], rest))
            bounds["end"].add(seconds(pair[1], rest))
            continue
        for bound, known in (("start", START), ("end", END)):
            if (
                not isinstance(pair, list | Mapping)
                and {*rest} <= known | UNITS
                and {*rest} & known
            ):
                bounds[bound].add(seconds(row[name], rest))
    for bound, told in bounds.items():
        if len(told) > 1:
            raise RowError(
                "bad_media",
                f"the segment's {bound} is {' and '.join(map(str, told))} s, but it has one: drop "
                "one of the fields.",
            )
    found = {bound: next(iter(told)) for bound, told in bounds.items() if told}
    return {bound: told for bound, told in found.items() if told is not None} or None


def seconds(value: object, words: Sequence[str] = ()) -> float | None:
    """Read seconds from a number, a text that holds one, or a clock as in "00:01:05.5"."""
    if absent(value):
        return None
    text = str(value).strip().replace(",", ".").removesuffix("s").strip()
    parts = text.split(":")
    if isinstance(value, bool) or not all(
        re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", one) for one in parts
    ):
        raise RowError(
            "bad_media",
            f"{str(value)[:40]!r} is no time, but a segment is in seconds or as 00:01:05: mend it.",
        )
    total = 0.0
    for part in parts:
        total = 60 * total + float(part)
    return total if MILLI.isdisjoint(words) else total / 1000
