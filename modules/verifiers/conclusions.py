"""Read the conclusion of a reasoning, where it is unambiguous.

Reasonings mention one candidate after the other, so that a conclusion is read in three places only:
the last sentence that announces one ("So the answer is B."), an equation at the very end
("4 + 7 = 11."), and a text that speaks plainly of a single option ("The image shows the digit 4.").
Hedges, negations and second thoughts beside it leave it unread. An unread conclusion costs nothing;
a misread one drops a sound trace.
"""

import re
from dataclasses import replace
from decimal import Decimal

from datamodules.sample import Sample
from modules.verifiers.extraction import MAX_CHARACTERS
from modules.verifiers.numerals import SMALL, decimal, number
from modules.verifiers.parsing import choice, items
from modules.verifiers.typography import normalize, plain

Reading = str | Decimal | frozenset[str]
"""A letter for `choice`, yes or no, a number, or the items of a set."""

MAX_SENTENCE = 300
"""Characters of a sentence that announces something; no expression is tried on a longer one."""

READABLE = ("choice", "number", "regression", "yes_no", "set")
"""Answer types whose conclusions can be compared; free text agrees in too many ways."""

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
"""Words of multi-step questions and reasonings: an option that is mentioned may be a step."""

SO = r"(?:(?:so|therefore|thus|hence|and|then|finally|in conclusion|overall),? )*"
ANNOUNCEMENTS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{SO}(?:the |my |our )?(?:correct |right |final |best |only )?"
        r"(?:answer|option|choice|conclusion) (?:is|must be|should be|=) (?P<answer>.+)",
        rf"{SO}i (?:will |'ll )?(?:choose|pick|select|answer|conclude|go with) (?P<answer>.+)",
        rf"{SO}(?P<answer>.+?) (?:is|must be) (?:the )?(?:correct|right)"
        r"(?: answer| option| choice)?",
        r"(?:so|therefore|thus|hence|in conclusion),? (?:it|this|that|they|the (?:sum|total|result|"
        r"difference|product|count)) (?:is|are|must be|equals) (?P<answer>.+)",
    )
)
LABEL = re.compile(rf"{SO}(?:the |my )?(?:correct |final )?answer(?: is)?")
YES_NO = re.compile(rf"{SO}(?P<answer>yes|no)(?:,(?P<rest>.*))?")
BECAUSE = re.compile(r",? (?:because|since|as|given)\b.*")
FILLER = re.compile(r"^(?:(?:an?|the|digit|number|option|choice|sound|equal to|simply) )+")
EQUATION = re.compile(r"= ?(-?\d+(?:\.\d+)?)$")
NAMED = re.compile(r"\b(?:option|choice) \w\b")
NUMERALS = SMALL[:13]
FIGURE = re.compile(rf"(?<![\w.])-?\d+(?:\.\d+)?(?!\w)|\b(?:{'|'.join(NUMERALS)})\b")


def final_conclusion(reasoning: str, sample: Sample) -> Reading | None:
    """Read the answer that a reasoning concludes with; None where it is ambiguous."""
    if sample.answer_type not in READABLE:
        return None
    tail = plain(reasoning[-MAX_CHARACTERS:]).replace("’", "'").casefold()
    stripped = (" ".join(part.split()).strip(" *_\"',") for part in SENTENCE.split(tail))
    listed = (part.removeprefix("- ").removesuffix(" -") for part in stripped)  # not -5
    sentences = [part for part in listed if part.strip("- ")]
    for place in reversed(range(len(sentences))):
        announced = _announced_answer(sentences[place], sentences[place - 1] if place else "")
        if announced is not None:
            text, beside = announced
            later = sentences[place + 1 :]
            doubtful = HEDGE.search(beside) or any(map(_doubtful, later))
            return None if doubtful else _parse_announced(text, sample)
    if sentences and sample.answer_type in ("number", "regression"):
        equation = EQUATION.search(sentences[-1])
        return read(equation[1], sample) if equation else None
    return _only_candidate(tail, sample) if sample.answer_type == "choice" else None


def read(text: str, sample: Sample) -> Reading | None:
    """Parse a text as the verifier does, except that every item of a set must be a known one."""
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


def same(answer: Reading | None, other: Reading, sample: Sample) -> bool:
    """Tell whether two readings are equal; numbers within the sample's tolerance."""
    if isinstance(answer, Decimal) and isinstance(other, Decimal):
        return abs(answer - other) <= Decimal(str(sample.tolerance))
    return answer == other


def written(reading: Reading, sample: Sample, *, letter: bool) -> str:
    """Write a reading as an answer; an option by its letter or by its text."""
    if isinstance(reading, frozenset):
        return replace(sample, answer=", ".join(sorted(reading))).named_answer
    if isinstance(reading, Decimal):
        return f"{reading}{'%' if sample.answer.endswith('%') else ''}"
    if sample.answer_type == "choice" and not letter:
        return sample.options[sample.letters.index(reading)]
    return reading


def _announced_answer(sentence: str, before: str) -> tuple[str, str] | None:
    """Return the answer that a sentence announces, and the rest of the sentence."""
    if len(sentence) > MAX_SENTENCE:
        return None
    if match := YES_NO.fullmatch(sentence):
        return match["answer"], match["rest"] or ""
    for pattern in ANNOUNCEMENTS:
        if match := pattern.fullmatch(sentence):
            start, end = match.span("answer")
            return match["answer"], f"{sentence[:start]} {sentence[end:]}"
    return (sentence, "") if LABEL.fullmatch(before) else None  # "Answer: B"


def _parse_announced(text: str, sample: Sample) -> Reading | None:
    """Parse an announced answer, with or without the words around it."""
    for words in (text, BECAUSE.sub("", text)):
        for form in (words, FILLER.sub("", words)):
            if (reading := read(form, sample)) is not None:
                return reading
    return None


def _doubtful(text: str) -> bool:
    """Tell whether a text hedges, asks or negates."""
    return bool(HEDGE.search(text) or DENIAL.search(text))


def _only_candidate(tail: str, sample: Sample) -> str | None:
    """Return the letter of the only option that plain statements mention, if unambiguous.

    An option that the question names may only repeat the question. Of two numbers, one may be
    computed from the other. A partial word is ambiguous ("cats" beside "dog" and "cat").
    """
    question, words = normalize(sample.question), normalize(tail)
    if _doubtful(tail) or NAMED.search(words) or any(map(STEP.search, (question, words))):
        return None
    figures = {str(NUMERALS.index(n)) if n in NUMERALS else n for n in FIGURE.findall(words)}
    if len(figures) > 1:
        return None
    letters: dict[str, str] = {}
    for text, letter in zip(map(normalize, sample.options), sample.letters, strict=True):
        if text and letter not in sample.alike(letters.setdefault(text, letter)):
            return None  # two options that read alike in words
    rest, mentioned = f" {words} ", []
    for text in sorted(filter(None, letters), key=len, reverse=True):  # longest first
        if f" {text}" in rest:
            mentioned.append(text)
            rest = rest.replace(f" {text} ", " . ")
    if len(mentioned) != 1:
        return None
    [option] = mentioned
    if f" {option} " not in f" {words} " or f" {option} " in f" {question} ":
        return None
    lone_letter = len(option) == 1 and not option.isdigit()
    return None if lone_letter else letters[option]
