"""Read a text as an answer of some type: what two ways of writing the same answer come down to."""

import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Literal

from datamodules.sample import LETTERS
from modules.extraction import unwrap

ChoiceRule = Literal["letter", "index", "option_text"]
Choices = Mapping[str, tuple[ChoiceRule, str]]

MAX_NUMBER_CHARACTERS = 40
MAX_NUMBER_EXPONENT = 100
"""Magnitudes beyond ten to this power, either way, are no answers."""

_NOISE = frozenset(".,;:!?\"'()[]{}*_`-" + "。、【】「」“”‘’")
_TYPED: dict[int, str | None] = {
    **dict.fromkeys(map(ord, "‐‑‒–—―−﹣"), "-"),
    **dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")),
    **{0xFF01 + offset: chr(0x21 + offset) for offset in range(94)},  # full-width forms
    0x3000: " ",
}
"""Characters that keyboards and scripts differ in, though one is meant; some cannot be seen."""


def plain(text: str) -> str:
    """Write dashes, full-width forms and characters of no width as ASCII does."""
    return text.translate(_TYPED)


def normalize(text: str) -> str:
    """Reduce a text to what two ways of typing it share.

    Typographic punctuation becomes white space, unless it belongs to a number: -5 is not 5, and 1.5
    is not 15. Symbols (+ # % / $) carry meaning and stay.
    """
    text = " ".join(plain(unicodedata.normalize("NFC", text)).casefold().split())
    kept = [
        " " if mark in _NOISE and not _belongs_to_number(mark, text[i + 1 : i + 3]) else mark
        for i, mark in enumerate(text)
    ]
    return " ".join("".join(kept).split())


def _belongs_to_number(mark: str, following: str) -> bool:
    if mark == "-":  # also in "- 5" and "-.5"
        following = following.lstrip(" .")
    return mark in "-.,:" and following[:1].isdigit()


@lru_cache(maxsize=1024)
def choices(options: tuple[str, ...]) -> Choices:
    """List every accepted way of naming an option, with the letter it means.

    A lone letter is always the letter. Anything else that could mean two options means neither.
    Numbers count from 1, and only behind the word: a lone 2 is the text of an option, or nothing.
    """
    if not 2 <= len(options) <= len(LETTERS):
        raise ValueError(
            f"A choice among {len(options)} options (first: {list(options)[:1]}) cannot be judged: "
            f"it needs 2 to {len(LETTERS)} of them. Drop the record when it is read."
        )
    readings: dict[str, tuple[ChoiceRule, str]] = {}
    doubtful: set[str] = set()
    for number, (letter, option) in enumerate(zip(LETTERS, options, strict=False), start=1):
        name = letter.casefold()
        forms: list[tuple[str, ChoiceRule]] = [
            (f"option {name}", "letter"),
            (f"option {number}", "index"),
        ]
        for text in filter(None, map(normalize, (option, unwrap(option)))):
            forms += [
                (text, "option_text"),
                (f"{name} {text}", "letter"),
                (f"option {name} {text}", "letter"),
            ]
        for words, rule in forms:
            if readings.setdefault(words, (rule, letter))[1] != letter:
                doubtful.add(words)
    certain = {words: reading for words, reading in readings.items() if words not in doubtful}
    lone: Choices = {letter.casefold(): ("letter", letter) for letter in LETTERS[: len(options)]}
    return {**certain, **lone}


def number(text: str, *, percent: bool = False) -> Decimal | None:
    """Read a plain decimal, whose size is bounded before anything is computed with it.

    Commas may group the whole part by thousands, and only so: 1,23 may be meant for 1.23 or 123,
    and 0,123 for 0.123.

    Args:
        percent: whether the number is one of percents, and its sign must be there; else it must
            not: 50 and 50% are two numbers.
    """
    digits = plain(text).strip(" \n\t*_`")
    for escaped, meant in (("\\%", "%"), ("\\$", ""), ("{,}", ",")):  # as LaTeX writes them
        digits = digits.replace(escaped, meant)
    if digits.endswith("%") != percent:
        return None
    digits = digits.removesuffix("%").rstrip()
    if len(digits) > MAX_NUMBER_CHARACTERS or not set(digits) <= set("0123456789+-.,eE"):
        return None
    if "," in digits:
        first, *groups = digits.lstrip("+-").partition(".")[0].split(",")
        grouped = all(len(group) == 3 and group.isdigit() for group in groups)
        if not (grouped and groups and 1 <= len(first) <= 3 and first[0] in "123456789"):
            return None
        whole, point, decimals = digits.partition(".")
        digits = whole.replace(",", "") + point + decimals
    try:
        value = Decimal(digits)
    except InvalidOperation:
        return None
    return value if abs(value.adjusted()) <= MAX_NUMBER_EXPONENT else None


def items(text: str, options: tuple[str, ...]) -> frozenset[str] | None:
    """Read the items between commas; with options, a letter and its option's text are one item."""
    named = choices(options) if options else {}
    found = {normalize(item) for item in plain(text).replace("、", ",").split(",")} - {""}
    return frozenset(named[item][1] if item in named else item for item in found) or None
