"""Range checks that several sections share."""

import re
from math import inf
from urllib.parse import urlsplit


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


KEYS = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|hf|gsk|gh[opsu]|xai|nvapi|pplx|r8|glpat|key|tok|token|Bearer)"
    r"[-_ ][\w-]{10,}|AIza[\w-]{10,}|A[KS]IA[A-Z0-9]{12,}|eyJ[\w-]{10,}"
)
"""How keys of well-known services begin."""

LONG = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])(?![0-9a-f]{32}\b)[A-Za-z0-9]{20,}")
"""Letters and digits as they stand in keys; 32 hexadecimal digits are the name of an account."""


def an_address(key: str, url: str, *, keep: str) -> None:
    """Refuse an address that nobody could be asked at, or that might hold a key.

    What might is not repeated in the message.

    Args:
        keep: where a key belongs instead.
    """
    place = f"and would be written to config.yaml: leave that part out, and put the key into {keep}"
    if "@" in url:
        raise ValueError(f"{key} holds a user or a key before its @, {place}.")
    if set("?#=&;") & {*url}:
        raise ValueError(f"{key} holds more than a host and a path, such as a key, {place}.")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        usable = False
    if not usable or not re.fullmatch(r"[\w.~:/\[\]-]+", url):
        raise ValueError(
            f"{key} is no address of a server, but starts with http:// or https://, goes on with a "
            "host, and may name a port and a path: give one such as http://127.0.0.1:8000/v1."
        )
    if KEYS.search(url) or LONG.search(parts.path):
        raise ValueError(f"{key} holds what looks like a key, {place}.")


def a_variable(key: str, name: str) -> None:
    """Refuse what is no name of an environment variable, above all a key pasted in its place."""
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name) or KEYS.search(name) or LONG.search(name):
        raise ValueError(
            f"{key} is no name of an environment variable, and is not repeated here, since it may "
            "be a key: names are of capital letters, digits and underscores; put the key into a "
            f"variable, and give {key}=OPENAI_API_KEY or whichever it is."
        )
