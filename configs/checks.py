"""Range checks that several sections share."""

import re
from math import inf


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
