"""Keep the API key of a server out of logs and errors."""

import base64
import html
import re
from collections.abc import Iterator
from urllib.parse import unquote

from configs.credentials import SHORTEST
from untrusted.composing import composed

GIVEAWAY = SHORTEST
"""Consecutive letters and digits of a key that count as a leak; a shorter key is no secret."""

WITHHELD = "(not shown, since it repeats the key)"

LONGEST = 400
"""Characters of a server's reply that are quoted."""

ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|[bfnrt])")
"""An escaped character of JSON and others."""


def quoted(text: str, key: str) -> str:
    """Quote a server's reply on one printable line, without the key in any form."""
    text = text[: 10 * LONGEST]
    if repeats(text, key):
        return WITHHELD
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}..."


def repeats(text: str, key: str) -> bool:
    """Tell whether a text contains a part of a key: plain, encoded, reversed, or broken up."""
    plain = _squeezed(key)
    if len(plain) < GIVEAWAY:
        return False
    secrets = [plain, plain[::-1], *map(_squeezed, _encoded(key))]
    parts = {
        secret[at : at + GIVEAWAY] for secret in secrets for at in range(len(secret) - GIVEAWAY + 1)
    }
    for reading in (text, unquote(html.unescape(ESCAPE.sub(_unescaped, text)))):
        seen = _squeezed(reading)
        if any(seen[at : at + GIVEAWAY] in parts for at in range(len(seen) - GIVEAWAY + 1)):
            return True
    return False


def _squeezed(text: str) -> str:
    """Keep letters and digits only, without case."""
    return "".join(each for each in composed(text, "NFKC").casefold() if each.isalnum())


def _encoded(key: str) -> Iterator[str]:
    """Encode a key as hexadecimal digits, and as base64 in each alignment, without the ends."""
    raw = key.encode()
    yield raw.hex()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        yield whole[4 if before else 0 : -1]


def _unescaped(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    return chr(int(digits, 16)) if digits else " "
