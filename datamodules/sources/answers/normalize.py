"""Normalize an answer to the form of `Sample.answer`, or raise a `RowError`."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, final

from datamodules.sample import LETTERS, MAX_EXPRESSION, AnswerType

NUMBER = re.compile(r"([-+]?)([0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.([0-9]+))?(%?)")
"""Sign, whole part with or without commas, decimals, percent."""

CODE = re.compile(r"[-+]?0[0-9]")

LONGEST_NUMBER = 40
"""Numbers of so many characters, without sign, are not parsed: see modules/verifiers/."""

Reason = Literal[
    "bad_answer",
    "bad_answer_type",
    "bad_media",
    "bad_options",
    "bad_tolerance",
    "duplicate_id",
    "malformed",
    "missing_answer",
    "missing_column",
    "missing_id",
    "missing_question",
    "preference",
    "too_large",
    "unknown_field",
    "unread_field",
]
"""Why a row is refused; missing or bad media are counted by the kind of their `MediaError`
besides."""


@final
class RowError(ValueError):
    """A row that is no valid question, and the reason to count it by."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def is_number(text: str) -> bool:
    """Tell whether a text is a number; 007 and 0042 are codes, compared digit by digit."""
    return NUMBER.fullmatch(text) is not None and CODE.match(text) is None


def canonical_answer(answer: object, options: Sequence[str], answer_type: AnswerType) -> str:
    """Write an answer as `Sample.answer` holds it, or raise a `RowError`.

    A choice is given as the text of an option, which wins, as its letter, or as "B. text"; where an
    option stands twice, the first letter is meant, and the verifier accepts their texts too.
    """
    if answer_type == "set" and isinstance(answer, list):
        return _set([written(item) for item in answer])
    text = written(answer)
    if answer_type == "choice":
        return _choice(text, options)
    if answer_type == "set":
        return _set(text.split(","))
    if answer_type in ("number", "regression"):
        return _number(text)
    if answer_type == "math" and len(text) > MAX_EXPRESSION:
        raise RowError(
            "bad_answer",
            f"answer is {text[:40]!r}... of {len(text)} characters, but algebra is done on up to "
            f"{MAX_EXPRESSION}: shorten it, or set answer_type to text.",
        )
    if answer_type in ("text", "ocr") and not _readable(text):
        raise RowError(
            "bad_answer",
            f"answer is {text[:40]!r}, but words are compared without punctuation, which leaves "
            "nothing to compare: give the words, or leave the question out.",
        )
    if answer_type == "yes_no" and text.lower() not in ("yes", "no"):
        raise RowError("bad_answer", f"answer is {text!r}, but of yes_no is yes or no.")
    return text.lower() if answer_type == "yes_no" else text


def _readable(text: str) -> bool:
    """Tell whether a text has letters, digits or symbols besides punctuation."""
    kinds = (unicodedata.category(mark) for mark in text if mark != "\u2212")  # a lone minus
    return any(kind[0] in "LN" or kind in ("Sc", "Sm", "So") for kind in kinds)


def visible(text: str) -> bool:
    """Tell whether a text has visible characters: neither spaces nor of no width."""
    return any(unicodedata.category(mark)[0] not in "CZ" for mark in text)


def _choice(answer: str, options: Sequence[str]) -> str:
    letter, _, text = answer.partition(". ")
    if answer in options:
        index = options.index(answer)
    elif len(letter) == 1 and letter in LETTERS[: len(options)]:
        index = LETTERS.index(letter)
    else:
        index = -1
    if index < 0 or (answer not in options and text and text.strip() != options[index]):
        raise RowError(
            "bad_answer",
            f"answer is {answer!r}, but names one of the options {list(options)} by its text, its "
            "letter, or both as in 'B. text': mend the answer or add the option.",
        )
    return LETTERS[options.index(options[index])]


def _number(answer: str) -> str:
    """Write +1,234.50 as 1234.5, exactly: a float would lose digits."""
    match = NUMBER.fullmatch(answer)
    if match is None:
        raise RowError(
            "bad_answer",
            f"answer is {answer!r}, but a number is digits such as -3 or 1,234.5: write it so, or "
            "set answer_type to text.",
        )
    sign, whole, decimals, percent = match.groups(default="")
    whole, decimals = whole.replace(",", "").lstrip("0") or "0", decimals.rstrip("0")
    digits = f"{whole}.{decimals}" if decimals else whole
    if len(digits) >= LONGEST_NUMBER:
        raise RowError(
            "bad_answer",
            f"answer is {answer[:40]!r}... of {len(digits)} characters, but numbers of "
            f"{LONGEST_NUMBER} and more are not read: shorten it, or set answer_type to text.",
        )
    return ("-" if sign == "-" and digits != "0" else "") + digits + percent


def _set(answers: Sequence[str]) -> str:
    items = [item.strip() for item in answers]
    words = all(map(_readable, items)) and not any("," in item for item in items)
    if not words or len(set(items)) < len(items):
        raise RowError(
            "bad_answer",
            f"answer is {items}, but a set names each item once, in words and without commas: mend "
            "it.",
        )
    return ", ".join(items)


def written(value: object) -> str:
    """Convert unquoted JSON values: 3 is "3", true is "yes"; NaN is an empty cell."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float) and value == value and visible(str(value)):
        return str(value).strip()
    raise RowError("bad_answer", f"{value!r} is no text, but options and answers are: quote it.")
