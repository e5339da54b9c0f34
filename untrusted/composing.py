"""Normalize Unicode in time linear in the text, however many combining marks it holds."""

import unicodedata
from typing import Literal

Form = Literal["NFC", "NFKC"]

SHORT = 256
"""Characters up to which Python's own, quadratic way is fast enough."""


def composed(text: str, form: Form = "NFC") -> str:
    """Write a text in a normal form of Unicode, as `unicodedata.normalize` does.

    Marks on a letter have an order there, into which Python inserts them one by one, in quadratic
    time: 32,000 of them take seconds. Here they are sorted before it sees them.
    """
    if len(text) <= SHORT or text.isascii():
        return unicodedata.normalize(form, text)
    apart: Literal["NFD", "NFKD"] = "NFD" if form == "NFC" else "NFKD"
    found: list[str] = []
    marks: list[str] = []
    for one in text:
        for part in one if one.isascii() else unicodedata.normalize(apart, one):
            if unicodedata.combining(part):
                marks.append(part)
                continue
            if marks:
                found += sorted(marks, key=unicodedata.combining)
                marks = []
            found.append(part)
    found += sorted(marks, key=unicodedata.combining)
    return unicodedata.normalize(form, "".join(found))
