"""Determine how a file writes its answers to choices, from all of them together.

A publisher names an option by its text, by its letter, or by its number from 0 or from 1. Often one
answer could be read in several ways that name different options: "A" among the notes C, A, B; 1
among the counts 3, 2, 1, 0. Which way is meant is a property of the file:

- A way that fits all answers of the file is the file's way. Answers that fit none count as slips.
- Where none fits all, letters and texts are mixed, with numbers if some answer can be nothing else.
- Where the remaining ways name different options, the question is quarantined.

The result depends on all rows of a file, whatever part of it is read.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Literal, final, get_args

from datamodules.sample import LETTERS
from datamodules.sources.answers.lettering import INITIALS, POINTED, Offered, narrow
from datamodules.sources.answers.normalize import RowError
from untrusted.composing import composed

Way = Literal["text", "letter", "from_0", "from_1"]
"""How an option is named: by its text; its letter, with or without its text; its number from 0 or
1."""

WAYS: tuple[Way, ...] = get_args(Way)
BY_TEXT: tuple[Way, ...] = ("text", "letter")
BY_LETTER: tuple[Way, ...] = ("letter", "text")
"""The ways of most data sets, their own first; copies name options in the other."""

COUNTED: frozenset[Way] = frozenset({"from_0", "from_1"})

Readings = Mapping[Way, int]
"""The options that an answer may name, by the way in which it does."""

SAID = re.compile(
    r"(?:(?:the )?(?:correct |right |final )?(?:answer|option|choice)(?: is)?\s*:?\s+)?"
    r"[(\[（]?([A-Ja-j])[)\]）]?(?:(?<=[)\]）])|\s?[.):、。）．：]|(?=\s|$))\s*(.*)",
    re.IGNORECASE | re.DOTALL,
)
"""A letter alone or before its option: "B", "(B)", "B. x", "option B", "Answer: B"."""

LONE = re.compile(r"[(\[]?[A-J][)\].:]?")
LONE_SMALL = re.compile(LONE.pattern, re.IGNORECASE)
NUMBERED = re.compile(r"[0-9]{1,2}(?:\.0)?")
"""A number of an option, also as tables write whole numbers in a column that has gaps."""

PRINTED = re.compile(r"[\[(（]?([0-9]{1,2})(?:[\])）]\s*|[.:、．](?![0-9])\s*|\s+[-–—]\s+)(?=\S)")
"""A number before an option: "1. x", "(1) x", "1、x", "1 - x"."""

SPELLED = re.compile(r"(?:option|choice)\s+", re.IGNORECASE)
EXPECTED: Mapping[Way, str] = {
    "text": "its text",
    "letter": "its letter",
    "from_0": "its number from 0",
    "from_1": "its number from 1",
}


def readings(answer: str, offered: Offered, ways: Collection[Way] = WAYS) -> Readings:
    """List the option that an answer names in each way in which it names one.

    Texts are compared exactly, else without case and white space if that leaves a single option. A
    lone letter is a text only where an option is exactly that, and no option has a letter.
    """
    count, found = len(offered.texts), dict[Way, int]()
    lone = LONE_SMALL if offered.lettered else LONE
    alone = lone.fullmatch(narrow(answer)) is not None
    letter = _letter(answer, offered)
    text = None if alone and offered.lettered else _text(answer, offered, exactly=alone)
    if text is not None:
        found["text"] = text
    if letter is not None and (alone or text in (None, letter)):
        found["letter"] = letter
    if NUMBERED.fullmatch(answer):
        number, first = int(float(answer)), _printed(offered.texts)
        found |= {"from_0": number} if number < count and first in (None, 0) else {}
        found |= {"from_1": number - 1} if 1 <= number <= count and first in (None, 1) else {}
    return {way: index for way, index in found.items() if way in ways}


def _text(answer: str, offered: Offered, *, exactly: bool) -> int | None:
    for texts in (offered.texts, offered.published):
        if answer in texts:
            return texts.index(answer)
    wanted, number = plain(answer), _number(answer)
    near = {} if exactly else {text: None for text in offered.texts if plain(text) == wanted}
    if number is not None and not near:
        near = {text: None for text in offered.texts if _number(text) == number}
    return offered.texts.index(next(iter(near))) if len(near) == 1 else None


def _number(text: str) -> Decimal | None:
    """Read a number, where a table may make 2.0 of 2."""
    return Decimal(text) if re.fullmatch(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?", text) else None


def _letter(answer: str, offered: Offered) -> int | None:
    """Find the option that a letter names, if any text behind it is that option's."""
    if answer in offered.published and offered.lettered:
        return offered.published.index(answer)
    said = SAID.fullmatch(narrow(answer))
    if said is None or (said[1].islower() and not (offered.lettered and len(answer) < 4)):
        return None
    index = LETTERS.index(said[1].upper())
    if any(letter == LETTERS[index] for at, letter in _others(offered.texts) if at != index):
        return None
    behind = answer[said.start(2) :]
    if index >= len(offered.texts) or (behind and plain(behind) != plain(offered.texts[index])):
        return None
    return index


def _others(texts: Sequence[str]) -> list[tuple[int, str]]:
    """List the letters that all options begin with where they are not in order, as in B. x, A. y:
    a letter may then mean these, or the position."""
    seen = [SPELLED.sub("", narrow(text), count=1) for text in texts]
    marks = [POINTED.match(text) for text in seen]
    set_off = [mark for mark in marks if mark is not None and not mark[0][-1].isalnum()]
    if len(set_off) < len(texts) or all(map(INITIALS.fullmatch, seen)):
        return []
    letters = [next(filter(None, mark.groups())) for mark in set_off]
    tight = any(mark[0][-1] == ":" for mark in set_off)  # as in the chords C:maj and A:min
    return [] if tight else [*enumerate(letters)]


def _printed(texts: Sequence[str]) -> int | None:
    """Return the number printed before the first option, where each has its own: "1. x".

    -1 where the numbers are not in order.
    """
    marks = [mark for mark in map(PRINTED.match, texts) if mark is not None]
    numbers = [int(mark[1]) for mark in marks]
    if len(marks) < len(texts) or len({*numbers}) < len(numbers):
        return None
    first = numbers[0]
    return first if first < 2 and numbers == [*range(first, first + len(numbers))] else -1


def plain(text: str) -> str:
    """Normalize a text: case, spaces, and Unicode variants of characters."""
    return " ".join(composed(text.casefold()).split())


def decide(found: Iterable[Readings], ways: Collection[Way] = WAYS) -> frozenset[Way]:
    """Determine the ways in which a file names options, from the readings of all its answers."""
    kinds = {frozenset(one.items()) for one in found if one}
    fitting = [dict(kind) for kind in kinds]
    whole = frozenset(way for way in ways if all(way in one for one in fitting))
    if whole:
        return whole
    counted = [one.keys() for one in fitting if one.keys() <= COUNTED]
    numbers = [way for way in COUNTED if counted and all(way in one for one in counted)]
    return frozenset(way for way in ways if way in ("text", "letter", *numbers))


@final
class Golds:
    """Finds the option that an answer names; surveys the file when that is first needed."""

    def __init__(
        self, survey: Callable[[], Iterable[Readings]] = tuple, ways: Collection[Way] = WAYS
    ) -> None:
        """Take a function that reads all answers of the file.

        Args:
            survey: reads the answers of all rows.
            ways: those that the format allows.
        """
        self._survey = survey
        self.allowed = ways
        self.heard: list[Readings] | None = None

    @classmethod
    def listening(cls, ways: Collection[Way] = WAYS) -> "Golds":
        """Return an instance that collects the readings of answers in `heard`, and finds none."""
        golds = cls(ways=ways)
        golds.heard = []
        return golds

    @cached_property
    def ways(self) -> frozenset[Way]:
        """The ways in which the file names options."""
        return decide(self._survey(), self.allowed)

    def find(self, answer: str, offered: Offered, otherwise: Way | None = None) -> int:
        """Return the option that an answer names; a `RowError` if there is none.

        Args:
            otherwise: the way that is meant where neither the answer nor the file decides.
        """
        found = readings(answer, offered, self.allowed)
        if self.heard is not None:
            self.heard.append(found)
        if not found or self.heard is not None:
            raise refused(answer, offered, self.allowed)
        places = {*found.values()}
        if len(places) == 1 and not found.keys() <= COUNTED:
            return places.pop()  # the same however the file writes answers
        left = {way: index for way, index in found.items() if way in self.ways}
        if len({*left.values()}) == 1:
            return next(iter(left.values()))
        if otherwise in left:
            return left[otherwise]
        raise _unclear(answer, offered, left or found)


def refused(answer: str, offered: Offered, ways: Collection[Way]) -> RowError:
    """Make the error for an answer that names no option."""
    named = " or ".join(EXPECTED[way] for way in WAYS if way in ways)
    return RowError(
        "bad_answer",
        f"answer is {answer[:80]!r}, but names one of the options "
        f"{str(list(offered.texts))[:200]} by {named}: mend the answer or the options.",
    )


def _unclear(answer: str, offered: Offered, found: Readings) -> RowError:
    named = " and ".join(
        f"{EXPECTED[way]} of {offered.texts[index][:40]!r}" for way, index in found.items()
    )
    return RowError(
        "bad_answer",
        f"answer is {answer[:80]!r}, which could be {named}, and the other answers of the file do "
        "not say which is meant: write it as 'B. text', or all answers of the file in one way.",
    )
