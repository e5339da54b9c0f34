"""Read segments of media, from start to end in seconds, from columns and objects."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Literal

from datamodules.sample import Modality
from datamodules.sources.adapter import Row
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import absent
from datamodules.sources.fields.hints import SAID, words_of
from datamodules.sources.fields.printed import held_in
from datamodules.sources.fields.row import Fields
from datamodules.sources.fields.times import BETWEEN, ONE_TIME, is_time

Bound = Literal["start", "end", "both"]

MILLI = frozenset(("ms", "msec", "millisecond"))
UNITS = frozenset(("time", "timestamp", "s", "sec", "second", "at", "clip", "segment")) | MILLI
LENGTHS = frozenset(("duration", "length", "dur"))
BOUNDS: Mapping[Bound, frozenset[str]] = {
    "start": frozenset(("start", "begin", "from", "onset")),
    "end": frozenset(("end", "stop", "to", "finish", "until")),
    "both": frozenset(("segment", "span", "interval", "timestamp", "range", "window", "trim"))
    | {"clip"},
}
"""Words that name where a segment begins, where it ends, or both in a pair."""


def within(held: Row, shown: dict[str, object]) -> dict[str, object]:
    """Take the segment of a medium from the object that names it."""
    for kind in (str(shown["modality"]), ""):
        if (found := _segment(held, kind)) is not None:
            return shown | found
    return shown


def in_segments(row: Row, media: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Apply the segment in the columns of a row to the one medium that it can refer to.

    That is the only one with a duration; for columns as `video_start`, the only video. Where there
    are several the columns stay unread, which quarantines the row.
    """
    shown = [*media]
    for kind, kinds in (("", ("audio", "video")), ("audio", ("audio",)), ("video", ("video",))):
        places = [at for at, one in enumerate(shown) if one["modality"] in kinds]
        if len(places) == 1 and not {"start", "end"} & shown[places[0]].keys():
            shown[places[0]] = shown[places[0]] | (_segment(row, kind) or {})
    return shown


def _segment(row: Row, kind: str) -> dict[str, object] | None:
    """Read a segment from the fields for this kind of media; `""` is any."""
    seen = row.peek if isinstance(row, Fields) else row.get
    told: dict[Bound, set[float | None]] = {"start": set(), "end": set()}
    for name in row:
        about = _bound_of(str(name))
        if about is None or about[1] != kind or not is_time(seen(name)):
            continue
        bound, _, scale = about
        times = _times(seen(name))
        if len(times) != (2 if bound == "both" else 1):
            continue  # and so it stays unread
        row[name]
        ends: tuple[Bound, ...] = ("start", "end") if bound == "both" else (bound,)
        for one, value in zip(ends, times, strict=True):
            told[one].add(seconds(value, scale))
    for bound, values in told.items():
        if len(values) > 1:
            raise RowError(
                "bad_media",
                f"the segment's {bound} is {' and '.join(map(str, values))} s, but it has one: "
                "drop one of the fields.",
            )
    length = next((name for name in row if _is_length(str(name)) and is_time(seen(name))), None)
    if told["start"] - {None, 0.0} and not told["end"] and length is not None:
        raise RowError(
            "bad_media",
            f"the segment has a start and no end, and {length!r} may be its length or the file's: "
            "give its end, or drop that field.",
        )
    found = {str(bound): next(iter(values)) for bound, values in told.items() if values}
    return {bound: value for bound, value in found.items() if value is not None} or None


@lru_cache(maxsize=4096)
def _is_length(name: str) -> bool:
    """Tell whether a field by its name is a duration."""
    words = {*words_of(name)}
    return not words.isdisjoint(LENGTHS) and words <= LENGTHS | UNITS | SAID.keys()


def _times(value: object) -> list[object]:
    """List the times that a cell holds: one, or those of a list or of "00:12-00:31"."""
    held = held_in(value)
    if isinstance(held, str):
        one = re.fullmatch(ONE_TIME, held.strip())
        return [held] if one else [*re.split(BETWEEN, held.strip())]
    if isinstance(held, Mapping):
        return []
    return held if isinstance(held, list) else [held]


@lru_cache(maxsize=4096)
def _bound_of(name: str) -> tuple[Bound, Modality | Literal[""], float] | None:
    """Return the bound that a field names, its kind of medium, and its unit in seconds."""
    words = words_of(name)
    kinds = [SAID[word] for word in words if word in SAID]
    rest = {word for word in words if word not in SAID}
    fitting = [bound for bound in BOUNDS if rest & BOUNDS[bound] and rest <= BOUNDS[bound] | UNITS]
    if not fitting or len(kinds) > 1:
        return None
    return fitting[0], kinds[0] if kinds else "", 1.0 if rest.isdisjoint(MILLI) else 0.001


def seconds(value: object, scale: float = 1.0) -> float | None:
    """Read seconds from a number, a text that holds one, or a clock as in "00:01:05.5"."""
    if absent(value):
        return None
    text = re.sub(r"\s*s(?:ecs?|econds?)?$", "", str(value).strip())
    parts = (text.replace(",", ".") if ":" in text else text).split(":")
    numbers = all(re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", part) for part in parts)
    if isinstance(value, bool) or not numbers:
        raise RowError(
            "bad_media",
            f"{str(value)[:40]!r} is no time, but a segment is in seconds or as 00:01:05: mend it.",
        )
    total = 0.0
    for part in parts:
        total = 60 * total + float(part)
    return total * scale
