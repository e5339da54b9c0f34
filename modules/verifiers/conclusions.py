"""Read what a reasoning concludes, where there can be no doubt about it.

Reasonings mention one candidate after the other, so that a conclusion is read in three places only:
the last sentence that announces one ("So the answer is B."), an equation at the very end
("4 + 7 = 11."), and a text that speaks plainly of a single option ("The image shows the digit 4.").
Doubts, denials and second thoughts beside it leave it unread. What is not read costs nothing; what
is misread throws a sound trace away.
"""

import re
from dataclasses import replace
from decimal import Decimal

from datamodules.sample import Sample
from modules.verifiers.extraction import MAX_CHARACTERS
from modules.verifiers.numerals import decimal, number
from modules.verifiers.parsing import choice, items
from modules.verifiers.typography import normalize, plain

Reading = str | Decimal | frozenset[str]
"""A letter for `choice`, yes or no, a number, or the items of a set."""

MAX_SENTENCE = 300
"""Characters of a sentence that announces something; no expression is tried on a longer one."""

READABLE = ("choice", "number", "regression", "yes_no", "set")
"""Types with a conclusion; free words agree in too many ways."""

SENTENCE = re.compile(r"(?:[.?:;]|(?<!\d)!)+(?=\s|$)|\n+")  # 3! may be six
HEDGE = re.compile(
    r"\b(?:or|if|whether|might|may|could|would|maybe|perhaps|possibly|probably|seems?|guess|either|"
    r"thought|wait|but|however|actually|although|instead|rather|unlike|except|incorrect|wrong|"
    r"eliminate|exclude|hmm+)\b|\?"
)
DENIAL = re.compile(r"\b(?:not|no|nor|never|neither|none|without|cannot)\b|n't\b")
STEP = re.compile(
    r"\b(?:plus|minus|times|sum|product|difference|total|add|added|first|second|third|last|before|"
    r"after|then|next|more|less|fewer|than|larger|smaller|longer|shorter|both|same|different|"
    r"opposite|most|least)\b"
)
"""Words of questions and reasonings in which what is spoken of may be on the way to the answer."""

SO = r"(?:(?:so|therefore|thus|hence|and|then|finally|in conclusion|overall),? )*"
ANNOUNCEMENTS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{SO}(?:the |my |our )?(?:correct |right |final |best |only )?"
        r"(?:answer|option|choice|conclusion) (?:is|must be|should be|=) (?P<told>.+)",
        rf"{SO}i (?:will |'ll )?(?:choose|pick|select|answer|conclude|go with) (?P<told>.+)",
        rf"{SO}(?P<told>.+?) (?:is|must be) (?:the )?(?:correct|right)(?: answer| option| choice)?",
        r"(?:so|therefore|thus|hence|in conclusion),? (?:it|this|that|they|the (?:sum|total|result|"
        r"difference|product|count)) (?:is|are|must be|equals) (?P<told>.+)",
    )
)
LABEL = re.compile(rf"{SO}(?:the |my )?(?:correct |final )?answer(?: is)?")
YES_NO = re.compile(rf"{SO}(?P<told>yes|no)(?:,(?P<rest>.*))?")
BECAUSE = re.compile(r",? (?:because|since|as|given)\b.*")
FILLER = re.compile(r"^(?:(?:an?|the|digit|number|option|choice|sound|equal to|simply) )+")
EQUATION = re.compile(r"= ?(-?\d+(?:\.\d+)?)$")
NAMED = re.compile(r"\b(?:option|choice) \w\b")
NUMERALS = (
    *("zero", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve"),
)
FIGURE = re.compile(rf"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)|\b(?:{'|'.join(NUMERALS)})\b")


def conclusion(reasoning: str, sample: Sample) -> Reading | None:
    """Read what a reasoning comes to; None where that is not plain."""
    if sample.answer_type not in READABLE:
        return None
    tail = plain(reasoning[-MAX_CHARACTERS:]).replace("’", "'").casefold()
    stripped = (" ".join(part.split()).strip(" *_\"',") for part in SENTENCE.split(tail))
    listed = (part.removeprefix("- ").removesuffix(" -") for part in stripped)  # not -5
    sentences = [part for part in listed if part.strip("- ")]
    for place in reversed(range(len(sentences))):
        found = _announced(sentences[place], sentences[place - 1] if place else "")
        if found is not None:
            told, beside = found
            later = sentences[place + 1 :]
            doubtful = HEDGE.search(beside) or any(map(_doubtful, later))
            return None if doubtful else _read_told(told, sample)
    if sentences and sample.answer_type in ("number", "regression"):
        equation = EQUATION.search(sentences[-1])
        return read(equation[1], sample) if equation else None
    return _only_candidate(tail, sample) if sample.answer_type == "choice" else None


def read(text: str, sample: Sample) -> Reading | None:
    """Read a text as the verifier would, but sets only of what is known to be an item."""
    match sample.answer_type:
        case "choice":
            return choice(text, sample)[1]
        case "number" | "regression":
            return number(text, percent=sample.answer.endswith("%"))
        case "yes_no":
            words = normalize(text)
            return words if words in ("yes", "no") else None
        case "set":
            listed = items(re.sub(r",? and ", ", ", text), sample) or frozenset()
            known = all(item in sample.letters or decimal(item) is not None for item in listed)
            return listed if listed and known else None
        case _:
            return None


def same(one: Reading | None, other: Reading, sample: Sample) -> bool:
    """Compare two readings; numbers within the sample's tolerance."""
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return abs(one - other) <= Decimal(str(sample.tolerance))
    return one == other


def written(reading: Reading, sample: Sample, *, letter: bool) -> str:
    """Write a reading as an answer, an option by its letter or by its text."""
    if isinstance(reading, frozenset):
        return replace(sample, answer=", ".join(sorted(reading))).named_answer
    if isinstance(reading, Decimal):
        return f"{reading}{'%' if sample.answer.endswith('%') else ''}"
    if sample.answer_type == "choice" and not letter:
        return sample.options[sample.letters.index(reading)]
    return reading


def _announced(sentence: str, before: str) -> tuple[str, str] | None:
    """Find what a sentence presents as the conclusion, and what it says beside that."""
    if len(sentence) > MAX_SENTENCE:
        return None
    if found := YES_NO.fullmatch(sentence):
        return found["told"], found["rest"] or ""
    for pattern in ANNOUNCEMENTS:
        if found := pattern.fullmatch(sentence):
            start, end = found.span("told")
            return found["told"], f"{sentence[:start]} {sentence[end:]}"
    return (sentence, "") if LABEL.fullmatch(before) else None  # "Answer: B"


def _read_told(told: str, sample: Sample) -> Reading | None:
    """Read an announced answer, with or without the words around it."""
    for words in (told, BECAUSE.sub("", told)):
        for form in (words, FILLER.sub("", words)):
            if (found := read(form, sample)) is not None:
                return found
    return None


def _doubtful(text: str) -> bool:
    """Tell whether a text may be something else than a plain statement."""
    return bool(HEDGE.search(text) or DENIAL.search(text))


def _only_candidate(tail: str, sample: Sample) -> str | None:
    """Find the one option that is spoken of, in plain statements, where no other could be meant.

    An option that the question names too may be mentioned for its sake. Of two numbers one may be
    what the other is computed from. Half a word counts against ("cats" beside "dog" and "cat").
    """
    asked, said = normalize(sample.question), normalize(tail)
    if _doubtful(tail) or NAMED.search(said) or any(map(STEP.search, (asked, said))):
        return None
    figures = {str(NUMERALS.index(n)) if n in NUMERALS else n for n in FIGURE.findall(said)}
    if len(figures) > 1:
        return None
    letters: dict[str, str] = {}
    for text, letter in zip(map(normalize, sample.options), sample.letters, strict=True):
        if text and letter not in sample.alike(letters.setdefault(text, letter)):
            return None  # two options that read alike in words
    left, found = f" {said} ", []
    for text in sorted(filter(None, letters), key=len, reverse=True):  # the long first
        if f" {text}" in left:
            found.append(text)
            left = left.replace(f" {text} ", " . ")
    if len(found) != 1 or f" {found[0]} " not in f" {said} " or f" {found[0]} " in f" {asked} ":
        return None
    lone_letter = len(found[0]) == 1 and not found[0].isdigit()
    return None if lone_letter else letters[found[0]]
