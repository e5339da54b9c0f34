"""Read JSON strictly: UTF-8, each field once, bounded numbers and nesting.

Python takes the last of two fields of one name, any encoding, and half characters; a person who
reads such a file then reads something else than the program.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from untrusted.composing import composed

MOST_DIGITS = sys.get_int_max_str_digits() or 4_300
"""Digits of the longest whole number that Python reads in less than a second."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that may be half a character."""


def _refuse(fault: str) -> NoReturn:
    raise ValueError(fault)


# Any: whatever a file holds
def json_of(text: str | bytes, *, spoiled: Callable[[str], object] | None = None) -> Any:
    """Read a value of JSON in UTF-8; raise a `ValueError` that says what is not allowed in it.

    An object names each field once, also when its names are written alike; numbers have an end, and
    so has nesting; texts can be written in UTF-8.

    Args:
        spoiled: makes a value out of the fault, to stand for a bad object or number, so that many
            rows can be read at once and bad ones found later; half characters are then for the
            caller to find.
    """
    instead = spoiled or _refuse
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    try:
        found = json.loads(
            text, object_pairs_hook=partial(object_of, instead), parse_int=partial(_whole, instead)
        )
    except RecursionError as error:
        raise ValueError("lists and objects stand within one another without end") from error
    if spoiled is None and _HALF.search(text):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def same_name(name: str) -> str:
    """Normalize a name as people read it: full-width letters, white space around."""
    return name.strip() if name.isascii() else composed(name, "NFKC").strip()


def object_of(instead: Callable[[str], object], pairs: list[tuple[str, object]]) -> object:
    """Make an object; refuse a field that stands twice, since one value would go unread."""
    if len({same_name(name) for name, _ in pairs}) == len(pairs):
        return dict(pairs)
    twice = Counter(same_name(name) for name, _ in pairs).most_common(1)[0][0]
    return instead(f"an object names {twice[:80]!r} twice, but one would go unread: mend it")


def _whole(instead: Callable[[str], object], digits: str) -> object:
    if len(digits) <= MOST_DIGITS:
        return int(digits)
    return instead(f"a number has {len(digits)} digits, but at most {MOST_DIGITS} are read")
