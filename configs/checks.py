"""Range checks that several sections share."""

import re
from math import inf, isfinite

MOST_BYTES = 200
"""Of a name; file systems take 255, endings included."""

REFERENCES = 8
"""Interpolations in one setting."""


def at_least(section: str, minimum: float, **values: float) -> None:
    """Refuse numbers below a minimum, infinity, and NaN, which compares with nothing."""
    for name, value in values.items():
        if not minimum <= value < inf:
            raise ValueError(
                f"{section}.{name} is {value}, but must be at least {minimum} and finite: "
                f"give {section}.{name}={minimum} or more."
            )


def positive(section: str, **values: float) -> None:
    """Refuse zero, negative numbers, infinity and NaN."""
    for name, value in values.items():
        if not 0 < value < inf:
            raise ValueError(
                f"{section}.{name} is {value}, but must be greater than 0 and finite: "
                f"give a positive {section}.{name}."
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
