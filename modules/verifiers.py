"""Decide whether a completion is right, by rules alone: no model, no chance, no second guess.

The answer is what stands in the last `<answer>...</answer>` pair, and nothing else is looked at. A
completion without one is wrong and counted as unparsed. Scorers that fall back to a random option,
to the letter A, or to a substring ("no" is in "know") pay for noise, and a policy in training
finds out.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal

from datamodules.sample import LETTERS, AnswerType

Rule = Literal["tags", "letter", "option_text", "number", "set", "yes_no", "text"]
Reading = str | Decimal | frozenset[str]

OPEN, CLOSE = "<answer>", "</answer>"

MAX_CHARACTERS = 32_768
"""Only this much of a completion's end is searched: a runaway costs no more than a long answer."""

MAX_NUMBER_CHARACTERS = 40
MAX_NUMBER_EXPONENT = 100
"""Magnitudes beyond ten to this power, either way, are no answers."""

# Full-width forms are what some models write; they are meant here.
_NOISE = frozenset(".,;:!?\"'()[]{}*_`-" + "。，、；：！？（）【】「」“”‘’")
_DASHES = str.maketrans("‐‑‒–—−", "-" * 6)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What was read from a completion, by which rule, and whether it is right."""

    extracted: str | None
    """The text between the last tags; None where there is no pair, or nothing in it."""

    rule: Rule
    """What decided: `tags` where there was nothing to read, `letter` or `option_text` for choices,
    else the answer type."""

    parsed: bool
    """The extracted text is an answer of the expected type. What is not parsed is never correct."""

    correct: bool


def extract_answer(completion: str) -> str | None:
    """Return what stands in the last complete `<answer>...</answer>`, or None.

    Three scans for fixed strings; the obvious regular expression is quadratic in unclosed tags,
    and a policy that loops writes thousands of them.
    """
    tail = completion[-MAX_CHARACTERS:]
    start = tail.rfind(OPEN, 0, max(tail.rfind(CLOSE), 0))
    if start < 0:
        return None
    start += len(OPEN)
    return tail[start : tail.find(CLOSE, start)].strip() or None


def well_formed(completion: str) -> bool:
    """Tell whether a completion ends in its one, non-empty answer.

    Reasoning may come before; after the closing tag there is only white space.
    """
    if completion.count(OPEN) != 1 or completion.count(CLOSE) != 1:
        return False
    inside, closed, after = completion.partition(OPEN)[2].partition(CLOSE)
    return bool(closed and inside.strip() and not after.strip())


def verify(
    completion: str, *, answer: str, answer_type: AnswerType, options: Sequence[str]
) -> Verdict:
    """Judge a completion against the answer of its sample.

    `choice` takes the letter, alone or with its own option's text, or the text of an option that
    no other option reads like; `number` any decimal notation of the same value, without units;
    `set` the same items in any order; `yes_no` the bare word; `text` the same words. Case, white
    space and typographic punctuation never matter; signs and decimal points always do.
    """
    _, gold = _read(answer, answer_type, options)
    if gold is None:
        raise ValueError(
            f"The answer {answer!r} is no {answer_type} among {len(options)} options, so that no "
            "completion could be right: correct the record, or drop it when it is read."
        )
    extracted = extract_answer(completion)
    if extracted is None:
        return Verdict(extracted=None, rule="tags", parsed=False, correct=False)
    rule, found = _read(extracted, answer_type, options)
    return Verdict(extracted=extracted, rule=rule, parsed=found is not None, correct=found == gold)


def accuracy_reward(
    completion: str, *, answer: str, answer_type: AnswerType, options: Sequence[str]
) -> float:
    """Pay 1 for the right answer, and nothing for any other."""
    verdict = verify(completion, answer=answer, answer_type=answer_type, options=options)
    return float(verdict.correct)


def format_reward(completion: str) -> float:
    """Pay 1 for a completion that can be read without doubt, right or wrong."""
    return float(well_formed(completion))


def reward(
    completion: str,
    *,
    answer: str,
    answer_type: AnswerType,
    options: Sequence[str],
    accuracy_weight: float,
    format_weight: float,
) -> tuple[float, dict[str, float]]:
    """Return the weighted sum of accuracy and format, and both before weighting."""
    parts = {
        "accuracy": accuracy_reward(
            completion, answer=answer, answer_type=answer_type, options=options
        ),
        "format": format_reward(completion),
    }
    return accuracy_weight * parts["accuracy"] + format_weight * parts["format"], parts


def normalize(text: str) -> str:
    """Reduce a text to what two ways of typing it share.

    Typographic punctuation becomes white space, unless it belongs to a number: -5 is not 5, and 1.5
    is not 15. Symbols (+ # % / $) carry meaning and stay.
    """
    text = " ".join(unicodedata.normalize("NFC", text).translate(_DASHES).casefold().split())
    kept = [
        " " if mark in _NOISE and not _belongs_to_number(mark, text[i + 1 : i + 3]) else mark
        for i, mark in enumerate(text)
    ]
    return " ".join("".join(kept).split())


def _belongs_to_number(mark: str, following: str) -> bool:
    if mark == "-":  # also in "- 5" and "-.5"
        following = following.lstrip(" .")
    return mark in "-.,:" and following[:1].isdigit()


def _read(
    text: str, answer_type: AnswerType, options: Sequence[str]
) -> tuple[Rule, Reading | None]:
    """Read a text as an answer of this type; None where it is not one."""
    if answer_type == "choice":
        return _choices(options).get(normalize(text), ("option_text", None))
    if answer_type == "number":
        return "number", _number(text)
    if answer_type == "set":
        return "set", _set(text, options)
    words = normalize(text)
    if answer_type == "yes_no" and words not in ("yes", "no"):
        return "yes_no", None
    return answer_type, words or None


def _choices(options: Sequence[str]) -> dict[str, tuple[Rule, str]]:
    """List every accepted way of naming an option, with the letter it means.

    A lone letter is always the letter. Anything else that could mean two options means neither.
    """
    if not 2 <= len(options) <= len(LETTERS):
        raise ValueError(
            f"A choice among {len(options)} options (first: {list(options)[:1]}) cannot be judged: "
            f"it needs 2 to {len(LETTERS)} of them. Drop the record when it is read."
        )
    readings: dict[str, tuple[Rule, str]] = {}
    doubtful: set[str] = set()
    for letter, option in zip(LETTERS, options, strict=False):
        text = normalize(option)
        forms: tuple[tuple[str, Rule], ...] = (
            (text, "option_text"),
            (f"{letter.casefold()} {text}", "letter"),
        )
        for words, rule in forms if text else ():
            if readings.setdefault(words, (rule, letter))[1] != letter:
                doubtful.add(words)
    certain = {words: reading for words, reading in readings.items() if words not in doubtful}
    lone: dict[str, tuple[Rule, str]] = {
        letter.casefold(): ("letter", letter) for letter in LETTERS[: len(options)]
    }
    return certain | lone


def _number(text: str) -> Decimal | None:
    """Read a plain decimal, whose size is bounded before anything is computed with it."""
    digits = text.translate(_DASHES).strip(" \n\t*_`")
    if len(digits) > MAX_NUMBER_CHARACTERS or not set(digits) <= set("0123456789+-.eE"):
        return None
    try:
        number = Decimal(digits)
    except InvalidOperation:
        return None
    return number if abs(number.adjusted()) <= MAX_NUMBER_EXPONENT else None


def _set(text: str, options: Sequence[str]) -> frozenset[str] | None:
    """Read the items between commas; with options, a letter and its option's text are one item."""
    choices = _choices(options) if options else {}
    items = {normalize(item) for item in text.replace("，", ",").split(",")} - {""}
    return frozenset(choices[item][1] if item in choices else item for item in items) or None
