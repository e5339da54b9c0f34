"""Characters that nobody sees and terminals obey: refused in settings, written out where shown."""

import re

OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but for line feeds and tabs, what turns the direction of writing, and halves
of characters, as bytes that are no UTF-8 become."""

LONGEST = 2000
"""Characters of a message that anybody reads."""


def shown(text: str) -> str:
    r"""Write a text so that a terminal shows all of it and obeys none: an escape becomes `\x1b`."""
    return OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)


def told(error: object) -> str:
    """Write what is wrong for a terminal, cut in the middle where somebody put in a book."""
    text = str(error)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return shown(text)


def refuse_unseen(where: str, text: str, *, lines: bool = False) -> None:
    """Refuse a setting with characters that nobody sees.

    Args:
        lines: it may have several lines.
    """
    found = OBEYED.search(text) or (None if lines else re.search(r"[\n\t]", text))
    if found:
        raise ValueError(
            f"{where} holds the character {found[0]!a}, but settings are written for people to "
            "read: give a text in UTF-8, without control characters."
        )
