"""Refuse addresses and names of variables that hold a key, without repeating what they hold."""

import re
from urllib.parse import urlsplit

from configs.credentials import key_in

LONG = re.compile(
    r"(?<![A-Za-z\d])(?=[A-Za-z]*\d)(?=\d*[A-Za-z])(?![\da-f]{32}(?![A-Za-z\d]))[A-Za-z\d]{20,}"
)
"""Letters and digits in a row as in keys; 32 hexadecimal digits are the number of an account."""


def an_address(setting: str, url: str, *, keep: str) -> None:
    """Refuse an address that is none, or may hold a key; what may is not repeated.

    Args:
        keep: where a key belongs instead.
    """
    place = f"and would be written to config.yaml: leave that part out, and put the key into {keep}"
    if "@" in url:
        raise ValueError(f"{setting} holds a user or a key before its @, {place}.")
    if set("?#") & {*url}:
        raise ValueError(f"{setting} holds more than a host and a path, such as a key, {place}.")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # of a port or an IPv6 address that is none
        usable = False
    if not usable or not re.fullmatch(r"[\w.~:/\[\]-]+", url):
        raise ValueError(
            f"{setting} is no address of a server, but starts with http:// or https://, goes on "
            "with a host, and may name a port and a path: give one such as "
            "http://127.0.0.1:8000/v1."
        )
    if key_in(url) or LONG.search(parts.path):
        raise ValueError(f"{setting} holds what looks like a key, {place}.")


def a_variable(setting: str, name: str) -> None:
    """Refuse what is no name of an environment variable, above all a key pasted in its place."""
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name) or key_in(name) or LONG.search(name):
        raise ValueError(
            f"{setting} is no name of an environment variable, and is not repeated here, since it "
            "may be a key: names are of capital letters, digits and underscores; put the key into "
            f"a variable, and give {setting}=OPENAI_API_KEY or whichever it is."
        )
