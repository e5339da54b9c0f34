"""The draft of a question of the digits set, and the choice of its options."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from datamodules.digits.media_item import MediaItem
from datamodules.digits.media_pool import MediaPool
from datamodules.sample import AnswerType, Role

Evidence = Literal["text", "visual", "audio", "either", "both"]


@dataclass(frozen=True, kw_only=True)
class QuestionDraft:
    """A question before it is numbered and written."""

    family: str
    evidence: Evidence
    question: str
    answer: str
    options: tuple[str, ...] = ()
    answer_type: AnswerType = "choice"
    items: tuple[MediaItem, ...] = ()
    role: Role = "context"
    completion: str = ""
    """The whole target of imitation, where that is not an answer in tags."""

    thought: str = ""
    """The evidence in words, where several pieces of it have to be combined."""

    description: str = ""
    """The evidence in words, where it is written into the row."""


Maker = Callable[[MediaPool, random.Random], QuestionDraft]
"""Takes the media of a split and a random generator."""

DIGITS = [str(digit) for digit in range(10)]


def number_of_options(rng: random.Random) -> int:
    """Draw the number of options: four mostly, two to eight."""
    return rng.choices(range(2, 9), weights=(8, 8, 60, 8, 6, 5, 5))[0]


def mix(
    rng: random.Random, answer: str, pool: Iterable[str], *, count: int, with_: Sequence[str] = ()
) -> tuple[str, ...]:
    """Shuffle the answer among `count - 1` others, `with_` first and the rest from the pool."""
    others = [text for text in pool if text != answer and text not in with_]
    chosen = [*with_, *rng.sample(others, min(len(others), count - 1 - len(with_)))]
    options = [answer, *chosen]
    rng.shuffle(options)
    return tuple(options)


def digits(rng: random.Random, answer: int, *tempting: int) -> tuple[str, ...]:
    """Draw options for a digit, among them likely wrong answers."""
    count = max(number_of_options(rng), 2 + len(tempting))
    return mix(rng, str(answer), DIGITS, count=count, with_=[str(digit) for digit in tempting])


def totals(rng: random.Random, total: int, count: int = 4) -> tuple[str, ...]:
    """Draw options for a sum of two digits: neighbors, so that knowing one digit rules out few.

    Of four neighbors, the best guess that knows one digit is right in 32 % of cases, and in 30 %
    knowing none; four drawn from all sums that both digits allow would give 73 % and 65 %.
    """
    low = min(max(total - rng.randrange(count), 0), 19 - count)
    return mix(rng, str(total), map(str, range(low, low + count)), count=count)


def ask_digit(
    rng: random.Random, family: str, evidence: Evidence, wordings: Sequence[str], digit: int
) -> QuestionDraft:
    """Ask for one digit in one of some wordings; its media are for the caller to draw."""
    return QuestionDraft(
        family=family,
        evidence=evidence,
        question=rng.choice(wordings),
        answer=str(digit),
        options=digits(rng, digit),
    )
