"""Find where the values of a JSON text begin and end, without making any of them.

Brackets tell, but for those within texts. Nothing else is looked at: whoever parses a value finds
its faults.
"""

import re
from collections.abc import Iterator

from untrusted.json_text import json_of

# What was matched is never tried again (`*+`), so that each expression takes linear time.
_SPACE = rb"[ \t\r\n]*+"
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
_REST = rb'[^"\[\]{}]*+'
_FLAT = _REST + rb"(?:" + _TEXT + _REST + rb")*+"
_DEEP = _FLAT
for _ in range(9):  # lists and objects this deep are passed over at once
    _DEEP = _FLAT + rb"(?:[\[{]" + _DEEP + rb"[\]}]" + _FLAT + rb")*+"

_BRACKET = re.compile(_DEEP + rb"(?:([\[{])|[\]}]|(\Z))", re.DOTALL)
_PLAIN = re.compile(_TEXT + rb"|[^\s,:\"\[\]{}]++", re.DOTALL)
_NAME = re.compile(_SPACE + rb"(" + _TEXT + rb")" + _SPACE + rb":", re.DOTALL)
_VALUE = re.compile(_SPACE + rb"(?=[^\s,:\]}])")
_EMPTY = re.compile(rb"[\[{]" + _SPACE + rb"[\]}]")
_AFTER = {close: re.compile(_SPACE + rb"([,%b])" % re.escape(close)) for close in (b"]", b"}")}

_DEEPEST = 10_000
"""Lists and objects within one another, of which Python reads a tenth."""

_MOST_DEEP = 1_000_000
"""Brackets of one value that are not passed over at once, which takes a quarter of a second."""

Span = tuple[str, int, int]
"""The name of a value in its object, `""` in a list; and where it begins and ends."""


def members(content: bytes, begin: int, end: int) -> Iterator[Span]:
    """Find the values of the list or object that reaches from `begin` to `end`, one after another.

    Raises a `ValueError` where the next one is sought in vain.
    """
    if _EMPTY.fullmatch(content, begin, end):
        return
    named = content.startswith(b"{", begin)
    close, name, at = (b"}" if named else b"]"), "", begin + 1
    while True:
        if named:
            found = _found(_NAME, content, at, "a name")
            name, at = _name(found[1]), found.end()
        first = _found(_VALUE, content, at, "a value").end()
        last = _end_of(content, first)
        yield name, first, last
        found = _found(_AFTER[close], content, last, f"a comma or {close.decode()!r}")
        at = found.end()
        if found[1] == close:
            break
    if at != end:
        raise ValueError(f"there is more behind its end, at byte {at:,}")


def _end_of(content: bytes, begin: int) -> int:
    if content[begin] not in b"[{":
        return _found(_PLAIN, content, begin, "a value").end()
    depth = 1
    for count, bracket in enumerate(_BRACKET.finditer(content, begin + 1)):
        if bracket.lastindex == 2:
            break
        depth += 1 if bracket.lastindex == 1 else -1
        if depth == 0:
            return bracket.end()
        if depth > _DEEPEST or count > _MOST_DEEP:
            raise ValueError("lists and objects stand within one another without end")
    raise ValueError(f"what begins at byte {begin:,} has no end")


def _name(text: bytes) -> str:
    shown = text.decode(errors="surrogateescape")
    return str(json_of(shown, spoiled=str)) if "\\" in shown else shown[1:-1]


def _found(what: re.Pattern[bytes], content: bytes, at: int, name: str) -> re.Match[bytes]:
    found = what.match(content, at)
    if found is None:
        raise ValueError(f"{name} is missing at byte {at:,}")
    return found
