"""Range checks that several sections share."""

import re
from collections.abc import Iterable, Iterator
from math import inf, isfinite

MOST_BYTES = 200
"""Of a name; file systems take 255, endings included."""

REFERENCES = 8
"""Interpolations in one setting."""


def _numbers(section: object, names: Iterable[str]) -> Iterator[tuple[str, float]]:
    """List settings of a section that are not null."""
    return ((name, vars(section)[name]) for name in names if vars(section)[name] is not None)


def at_least(section: str, minimum: float, settings: object, *names: str) -> None:
    """Refuse numbers below a minimum, infinity, and NaN, which compares with nothing."""
    for name, value in _numbers(settings, names):
        if not minimum <= value < inf:
            raise ValueError(
                f"{section}.{name} is {value}, but must be at least {minimum} and finite: "
                f"give {section}.{name}={minimum} or more."
            )


def positive(section: str, settings: object, *names: str) -> None:
    """Refuse zero, negative numbers, infinity and NaN."""
    for name, value in _numbers(settings, names):
        if not 0 < value < inf:
            raise ValueError(
                f"{section}.{name} is {value}, but must be greater than 0 and finite: "
                f"give a positive {section}.{name}."
            )


def from_0_to_1(section: str, settings: object, *names: str, such_as: str) -> None:
    """Refuse numbers that are no share of a whole."""
    for name, value in _numbers(settings, names):
        if not 0 <= value <= 1:
            raise ValueError(f"{section}.{name} is {value}, but is a share from 0 to 1: {such_as}.")


def a_confidence(section: str, confidence: float) -> None:
    """Refuse shares of intervals that no interval could keep."""
    if not 0 < confidence < 1:
        raise ValueError(
            f"{section}.confidence is {confidence}, but is a share between 0 and 1: "
            "95 percent is 0.95."
        )


def named_once(section: str, settings: object, *names: str) -> None:
    """Refuse empty lists, and those that hold something twice."""
    for name in names:
        listed = vars(settings)[name]
        if not listed or len(set(listed)) < len(listed):
            raise ValueError(
                f"{section}.{name} is {listed}, but names each of them once, and one at least: "
                "leave the copies out, or the setting."
            )


def a_share(section: str, shard: str) -> None:
    """Refuse what names no share of the questions; `auto` leaves it to where the process runs."""
    share = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", shard)
    if shard != "auto" and not (share and int(share[1]) <= int(share[2])):
        raise ValueError(
            f"{section}.shard is {shard!r}, but names one of several equal shares, counted from 1: "
            f"give {section}.shard=3/8, or auto."
        )


def a_name(setting: str, name: str) -> None:
    """Refuse what cannot be the name of one file or directory inside another."""
    if not name.strip(".") or set(name) & set("/\\\n\t\0"):
        raise ValueError(
            f"{setting} is {name!r}, but names one file or directory inside run.root: give a "
            "plain name, and choose its parent with run.root=..."
        )
    if (size := len(name.encode(errors="surrogatepass"))) > MOST_BYTES:
        raise ValueError(
            f"{setting} has {size} bytes and begins with {name[:40]!r}, but the name of a file or "
            f"directory may have {MOST_BYTES}: give a shorter one."
        )


def countable(key: str, value: object) -> None:
    """Refuse numbers that no machine counts with: too large, infinite, or none at all."""
    if isinstance(value, int) and value.bit_length() > 63:
        raise ValueError(
            f"{key} is a whole number of {value.bit_length()} bits, but numbers are counted in 63: "
            "give a smaller one."
        )
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{key} is {value}, but must be finite: give a number.")


def check_references(key: str, value: object) -> None:
    """Refuse settings that speak of so many others that resolving them would take for ever."""
    if (count := str(value).count("${")) > REFERENCES:
        raise ValueError(
            f"{key} holds {count} interpolations ${{...}}, but a setting may hold {REFERENCES}: "
            "give the text itself."
        )
