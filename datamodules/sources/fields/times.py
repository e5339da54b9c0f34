"""Recognize times: seconds, clocks, and ranges."""

import re
from collections.abc import Mapping

from datamodules.sources.fields.printed import held_in

_UNIT = r"(?:ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)"
_CLOCK = r"(?:[0-9]{1,3}:)?[0-9]{1,3}:[0-9]{1,2}(?:[.,][0-9]+)?"
ONE_TIME = (
    rf"(?:{_CLOCK}|[0-9]+(?:\.[0-9]+)?(?: ?{_UNIT})?(?: ?[0-9]+(?:\.[0-9]+)? ?{_UNIT}){{0,2}})"
)
BETWEEN = r"\s*(?:-->|[-–~,;]|to)\s*"
TIME = re.compile(rf"(?![0-9]{{4}}-[0-9]{{2}}\b){ONE_TIME}(?:{BETWEEN}{ONE_TIME})?")
TIMES = re.compile(rf"{ONE_TIME}{BETWEEN}{ONE_TIME}")
CLOCKS = re.compile(rf"[\[(]?(?:{_CLOCK}{BETWEEN}{_CLOCK}|[0-9.]+ ?s{BETWEEN}[0-9.]+ ?s)[\])]?")

LATEST = 1e9
"""Seconds from which on a number is a date."""


def is_time(value: object) -> bool:
    """Tell whether a value is a time in seconds or on a clock, or holds some."""
    if isinstance(value, str):
        held = held_in(value)
        return is_time(held) if held is not value else TIME.fullmatch(value.strip()) is not None
    if isinstance(value, Mapping):
        return any(map(is_time, value.values()))
    if isinstance(value, list | tuple):
        return any(map(is_time, value))
    return isinstance(value, int | float) and not isinstance(value, bool) and value < LATEST


def is_pair(value: object) -> bool:
    """Tell whether a value is two times, the second of which is later where they are numbers."""
    held = held_in(value)
    if isinstance(held, list) and len(held) == 2 and all(isinstance(x, int | float) for x in held):
        return bool(held[0] < held[1])
    return isinstance(held, str) and TIMES.fullmatch(held.strip()) is not None


def is_span(value: object) -> bool:
    """Tell whether a value is two clock times, which are a segment whatever the name of the
    field."""
    return isinstance(value, str) and CLOCKS.fullmatch(value.strip()) is not None
