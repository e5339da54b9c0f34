"""Parse numbers as people write them, exactly; nothing is rounded or guessed.

Digits with or without commas, fractions, powers of ten, and English number words, from "half a
dozen" to "1.5 million". A text that could be two numbers is rejected, and so is a number with a
word or a unit beside it.
"""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from modules.verifiers.typography import plain

MAX_NUMBER_CHARACTERS = 40
MAX_NUMBER_EXPONENT = 100
"""Magnitudes beyond ten to plus or minus this power are rejected."""

_EXACT = 20
"""Digits of a whole number before a scale word: a `Decimal` holds eight more."""

MAX_WORDS = 32
"""Longest number in words."""

SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_UNITS = {word: value for value, word in enumerate(SMALL)}
_DECADES = {word: 10 * value for value, word in enumerate(TENS, start=2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_DOZEN = 12
_PARTS = {
    **{"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7},
    **{"eighth": 8, "ninth": 9, "tenth": 10},
}
_MANY_PARTS = {"halves": 2, **{f"{part}s": under for part, under in _PARTS.items()}}
_VULGAR = {
    **{"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5"},
    **{"⅗": "3/5", "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8"},
    "⅞": "7/8",
}
_DIGITS = frozenset("0123456789")
_HYPHEN = re.compile(r"(?<=\w)-(?=\w)")
_LATEX = re.compile(r"\\[dt]?frac *(?:\{ *([0-9]+) *\} *\{ *([0-9]+) *\}|([0-9]) *([0-9]))$")
_POWER = re.compile(
    r"(?:([0-9.,]+) *(?:\\times|\\cdot|[×·*xX]) *)?10 *\^ *(?:\{ *([-+]?[0-9]+) *\}|([-+]?[0-9]+))"
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_RAISED_TEN = re.compile("10([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)$")


def number(text: str, *, percent: bool = False) -> Decimal | None:
    """Parse a number; its size is bounded before anything is computed with it.

    Args:
        percent: whether a percent sign, or the word, is required; else it is refused, since 50 and
            50% are different numbers.
    """
    written = plain(text).strip(" \n\t*_`")
    for escaped, meant in (("\\%", "%"), ("\\$", ""), ("{,}", ",")):  # as LaTeX writes them
        written = written.replace(escaped, meant)
    bare = written
    for mark in ("%", " percent", " per cent"):
        if written[-len(mark) :].casefold() == mark:
            bare = written[: -len(mark)].rstrip()
            break
    if (bare != written) != percent:
        return None
    if bare[:1] + bare[-1:] in ("()", "[]"):
        bare = bare[1:-1].strip()
    sign, rest = _sign(bare)
    if sign and rest[:1] in ("", "-", "+"):
        return None
    readings = (read(rest) for read in (decimal, _fraction, _power, _worded))
    value = next((value for value in readings if value is not None), None)
    return value.copy_negate() if value is not None and sign == "-" else value


def _sign(text: str) -> tuple[str, str]:
    """Split off the sign, which may be a word."""
    if text[:1] in ("-", "+"):
        return text[0], text[1:].lstrip()
    word, _, rest = text.partition(" ")
    return ("-", rest.lstrip()) if word.casefold() in ("minus", "negative") else ("", text)


def decimal(text: str) -> Decimal | None:
    """Parse digits.

    Commas may only group the whole part by thousands: 1,23 could mean 1.23 or 123, and 0,123 could
    mean 0.123.
    """
    digits = text
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


def _fraction(text: str) -> Decimal | None:
    """Parse 3/4, 1 3/4, ½ or \\frac{3}{4}; None for a division by 0."""
    if len(text) > MAX_NUMBER_CHARACTERS:
        return None
    for mark, digits in _VULGAR.items():
        if mark in text:
            text = text.replace(mark, f" {digits}", 1)
            break
    text = _LATEX.sub(lambda found: " {}/{}".format(*filter(None, found.groups())), text)
    over, slash, under = text.replace("\u2044", "/").strip().partition("/")
    whole, space, over = over.rstrip().rpartition(" ")
    over, under, whole = over.strip(), under.strip(), whole.strip()
    parts = (over, under, whole) if space and whole else (over, under)
    if not slash or not all(part and set(part) <= _DIGITS for part in parts) or not int(under):
        return None
    if whole and int(over) >= int(under):  # "1 3/2" is no mixed number
        return None
    return Decimal(int(whole or "0") * int(under) + int(over)) / Decimal(int(under))


def _power(text: str) -> Decimal | None:
    """Read 10^6, 1.5 × 10⁶ or 1.5 \\times 10^{6}."""
    if len(text) > MAX_NUMBER_CHARACTERS:
        return None
    text = _RAISED_TEN.sub(lambda found: f"10^{found[1].translate(_RAISED)}", text)
    found = _POWER.fullmatch(text)
    if found is None or decimal(found[1] or "1") is None:
        return None
    return decimal(f"{(found[1] or '1').replace(',', '')}e{found[2] or found[3]}")


def _worded(text: str) -> Decimal | None:
    """Read English words, and digits before a scale: "twenty-one", "one hundred and five", "three
    point one four", "two and a half", "half a dozen", "1.5 million"."""
    words = _HYPHEN.sub(" ", text.casefold()).rstrip(" .").split()
    if not words or len(words) > MAX_WORDS:
        return None
    value = _spelled(words)
    if value is not None:
        return value
    scale = _DOZEN if words[-1] == "dozen" else _SCALES.get(words[-1])
    if scale is None:
        return _mixed(words)
    times = _times(words[:-1], dozen=scale == _DOZEN)
    return None if times is None else times * scale


def _spelled(words: list[str]) -> Decimal | None:
    """Parse a number in words only, decimals digit by digit."""
    whole, decimals = words, ""
    if "point" in words:
        place = words.index("point")
        whole, named = words[:place], words[place + 1 :]
        if not named or not all(_UNITS.get(word, 10) < 10 for word in named):
            return None
        decimals = "".join(str(_UNITS[word]) for word in named)
    integer = _whole(whole)
    if integer is None:
        return None
    return Decimal(f"{integer}.{decimals}" if decimals else integer)


def _times(words: list[str], *, dozen: bool) -> Decimal | None:
    """Read how many dozens or millions there are: "two", "1.5", "half a", "two and a half"."""
    if words in (["a"], ["half", "a"]):
        return Decimal(1) if words == ["a"] else Decimal("0.5")
    joined = " ".join(words)
    value = _mixed(words) or _fraction(joined)
    if value is None and len(joined) <= _EXACT and set(joined) <= _DIGITS | {".", ","}:
        value = decimal(joined)
    if value is None and (dozen or "point" in words):
        value = _spelled(words)
        value = None if value is None or value >= 1000 else value
    return value


def _mixed(words: Sequence[str]) -> Decimal | None:
    """Read "a half", "three quarters", or these behind a whole number, as in "two and a half"."""
    if "and" not in words:
        return _part(words)
    place = len(words) - 1 - words[::-1].index("and")
    before, behind = list(words[:place]), words[place + 1 :]
    digits = len(before) == 1 and len(before[0]) <= _EXACT and set(before[0]) <= _DIGITS
    whole, part = int(before[0]) if digits else _whole(before), _part(behind)
    if whole is None or part is None or part >= 1:
        return None
    if whole >= 100 and behind[0] not in ("a", "half"):  # "one hundred and two thirds"
        return None
    return whole + part


def _part(words: Sequence[str]) -> Decimal | None:
    """Read "half", "a third" or "three quarters"; "third" and "twenty third" are ranks."""
    over, under = 1, None
    if len(words) == 1:
        under = 2 if words[0] == "half" else None
    elif len(words) == 2:
        one = words[0] in ("a", "one")
        over, under = _UNITS.get(words[0], 1), (_PARTS if one else _MANY_PARTS).get(words[1])
        under = under if one or over > 1 else None
    return None if under is None else Decimal(over) / Decimal(under)


def _whole(words: list[str]) -> int | None:
    """Read a whole number from its words, scale by scale, each smaller than the one before."""
    total, last = 0, 10**15
    rest = ["one", *words[1:]] if words[:1] == ["a"] and len(words) > 1 else words
    if words[:1] == ["a"] and rest[1:2] not in (["hundred"], *([scale] for scale in _SCALES)):
        return None
    while rest:
        end = next((at for at, word in enumerate(rest) if word in _SCALES), len(rest))
        part, scale = rest[:end], _SCALES[rest[end]] if end < len(rest) else 1
        value = _below_thousand(part, after=last < 10**15)
        if value is None or scale >= last or (scale > 1 and not value):
            return None
        if last < 10**15 and (not value or value >= 1000):
            return None
        total, last, rest = total + value * scale, scale, rest[end + 1 :]
    return total if words else None


def _below_thousand(words: list[str], *, after: bool) -> int | None:
    """Read what stands before a scale: "three hundred and twelve", "twelve hundred", "ninety-nine".

    Args:
        after: it follows a scale, and may begin with "and".
    """
    hundreds: int | None = None
    if "hundred" in words:
        place = words.index("hundred")
        hundreds = _below_hundred(words[:place])
        words = words[place + 1 :]
        if not hundreds or (after and hundreds > 9) or (hundreds > 9 and hundreds % 10 == 0):
            return None
        if not words:
            return 100 * hundreds
    if words[:1] == ["and"]:
        if hundreds is None and not after:
            return None
        words = words[1:]
    rest = _below_hundred(words)
    if rest is None or (hundreds is not None and not rest):
        return None
    return 100 * (hundreds or 0) + rest


def _below_hundred(words: list[str]) -> int | None:
    """Read "seven", "seventeen", "seventy" or "seventy seven"."""
    if len(words) == 1:
        return _UNITS.get(words[0], _DECADES.get(words[0]))
    if len(words) == 2 and words[0] in _DECADES and 0 < _UNITS.get(words[1], 0) < 10:
        return _DECADES[words[0]] + _UNITS[words[1]]
    return None
