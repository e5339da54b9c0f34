"""What every question is made of, and how its options are chosen."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from datamodules.digits.items import Item
from datamodules.digits.shelf import Shelf
from datamodules.sample import AnswerType, Role

Evidence = Literal["text", "visual", "audio", "either", "both"]


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A question before it is numbered and written down."""

    family: str
    evidence: Evidence
    question: str
    answer: str
    options: tuple[str, ...] = ()
    answer_type: AnswerType = "choice"
    items: tuple[Item, ...] = ()
    role: Role = "context"
    completion: str = ""
    """The whole of what is imitated, where that is not an answer in tags."""

    thought: str = ""
    """The evidence in words, where several pieces of it have to be put together."""

    scene: str = ""
    """The evidence in words, where it is written down beside the question."""


Maker = Callable[[Shelf, random.Random], Draft]
"""Takes the media of a split and a source of randomness."""

DIGITS = [str(digit) for digit in range(10)]


def number_of_options(rng: random.Random) -> int:
    """Four options mostly, but two to eight occur."""
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
    """Options for a digit, among them those that a careless reader would take."""
    count = max(number_of_options(rng), 2 + len(tempting))
    return mix(rng, str(answer), DIGITS, count=count, with_=[str(digit) for digit in tempting])


def totals(rng: random.Random, total: int, count: int = 4) -> tuple[str, ...]:
    """Options for a sum of two digits: neighbors, so that knowing one digit rules out few.

    Of four neighbors, the best guess that knows one digit is right in 32 % of cases, and in 30 %
    knowing none; four drawn from all sums that both digits allow would give away 73 % and 65 %.
    """
    low = min(max(total - rng.randrange(count), 0), 19 - count)
    return mix(rng, str(total), map(str, range(low, low + count)), count=count)
