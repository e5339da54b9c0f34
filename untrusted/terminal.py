"""Control characters: refused in settings, escaped in output."""

import re

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but line feeds and tabs, marks of writing direction, and lone surrogates, as
bytes that are no UTF-8 become."""

LONGEST = 2000
"""Most characters of a message."""


def escaped(text: str) -> str:
    r"""Escape control characters: an escape becomes `\x1b`."""
    return OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def first_line(error: BaseException) -> str:
    """Quote the first line of an error, or name its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def for_terminal(error: object) -> str:
    """Write an error for a terminal: escaped, and cut in the middle where it is long."""
    text = str(error)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return escaped(text)


def refuse_unseen(where: str, text: str, *, lines: bool = False) -> None:
    """Refuse a setting with control characters.

    Args:
        lines: it may have several lines.
    """
    found = OBEYED.search(text) or (None if lines else re.search(r"[\n\t]", text))
    if found:
        raise ValueError(
            f"{where} holds the character {found[0]!a}, but settings are written for people to "
            "read: give a text in UTF-8, without control characters."
        )
