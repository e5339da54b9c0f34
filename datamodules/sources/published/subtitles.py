"""Read the transcript of a video from subtitles that a publisher ships."""

import re
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from datamodules.media.paths import is_machine_error
from datamodules.sources.adapter import Place
from datamodules.sources.fields.columns import absent
from untrusted.json_text import json_of

LONGEST_SUBTITLES = 2_000_000
"""Size of a file of subtitles; a day of speech is less."""


def subtitles(place: Place, *names: str, begin: float = 0.0, duration: float | None = None) -> str:
    """Read what is spoken in a video from the first of these files that exists; `""` without one.

    Files are SubRip, or JSON as LongVideoBench has it: lines with `start`, `end` and `line`, or
    with `timestamp` and `text`. They stay inside the data root.

    Args:
        begin: seconds of the video that the subtitles are of, at which the published one begins.
        duration: seconds of the published video; None is all of it.
    """
    if not names:
        return ""
    root, path = place.root.resolve(), place.root / place.first_of(names)
    try:
        inside = path.is_file() and path.resolve().is_relative_to(root)
        if not inside or path.stat().st_size > LONGEST_SUBTITLES:
            return ""
        content = path.read_text(encoding="utf-8-sig")
        spoken = _lines(json_of(content)) if path.suffix == ".json" else _subrip(content)
    except (OSError, ValueError, RecursionError) as error:  # words beside a question
        if is_machine_error(error):
            raise
        return ""  # it is asked without
    last = float("inf") if duration is None else begin + duration
    said = [line for middle, line in spoken if middle is None or begin <= middle <= last]
    return " ".join(" ".join(said).encode(errors="ignore").decode().split())  # no half characters


def _subrip(content: str) -> Iterator[tuple[None, str]]:
    """Leave the numbers, times and colors of subtitles out."""
    lines = [line.strip() for line in content.splitlines()]
    for line, following in zip_longest(lines, lines[1:], fillvalue=""):
        if "-->" not in line and not (line.isdecimal() and "-->" in following):
            yield None, re.sub(r"<[^<>]{1,100}>", "", line) if "<" in line else line


def _lines(given: object) -> Iterator[tuple[float | None, str]]:
    """List the lines of subtitles, each with the second in its middle."""
    for item in given if isinstance(given, list) else ():
        if isinstance(item, Mapping):
            times = item.get("timestamp") or [item.get("start"), item.get("end")]
            line = item.get("text", item.get("line"))
            if isinstance(line, str):
                yield _middle(times), line


def _middle(times: object) -> float | None:
    if not isinstance(times, list) or len(times) != 2 or absent(times[0]):
        return None
    start, end = (seconds(times[0]), seconds(times[0] if absent(times[1]) else times[1]))
    return None if start is None or end is None else (start + end) / 2


def seconds(time: object) -> float | None:
    """Read seconds, or hours:minutes:seconds; None if it is neither."""
    if isinstance(time, str) and re.fullmatch(r"\d{1,3}:\d\d:\d\d(?:[.,]\d{1,6})?", time):
        hours, minutes, rest = time.replace(",", ".").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)
    if isinstance(time, bool) or not isinstance(time, int | float) or not 0 <= time < 1e9:
        return None
    return float(time)
