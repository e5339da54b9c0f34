"""Permute the options of a question, to reveal a model's preference for a letter."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from datamodules.draws import draw_seed
from datamodules.sample import LETTERS, AnswerWith, Sample

PLACE = re.compile(
    r"""
      \b(?:all|any|both|each|either|neither|none|some|of|the|options?|choices?|answers?)
        \s(?:of\s)?(?:the\s)?(?:above|below|foregoing|aforementioned)\b  # none of the above
    | \b(?:above|below|first|second|third|fourth|last|former|latter|preceding|previous|earlier
        |following)\s(?:two\s|three\s)?(?:options?|choices?|answers?)\b  # the first two options
    | \b(?:(?:options?|choices?|answers?)\s\(?(?-i:[A-J])|(?:options?|choices?)\s[1-9])\b
    | \b(?:both|either|neither)\s\(?[a-j]\)?\s(?:and|or|nor|&)\s\(?[a-j]\b    # both a and b
    | (?<!\S)(?-i:\(?[A-J]\)?(?:,\s\(?[A-J]\)?)*,?\s(?:and|or|nor|&)\s\(?[A-J])(?![\w'-])
    | \([a-j]\),?\s(?:and|or|nor|&)\s\([a-j]\)                           # (a) and (c)
    | ^\(?(?-i:[A-J])\)?(?:\s?[,/&+]\s?\(?(?-i:[A-J])\)?)+$               # A, C
    | \b(?-i:[Oo]nly\s\(?[A-J]\)?)(?=\s*[.]?\s*$)                        # only A
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""An option that refers to other options by their places or letters."""


def speaks_of_places(options: Sequence[str]) -> bool:
    """Tell whether an option refers to others by their position, as "both A and B" does.

    In another order such an option would mean something else. A false alarm, as over the notes "C
    and E", costs one question its other orders; a miss would make a right answer wrong.
    """
    return any(PLACE.search(option) for option in options)


def option_order(sample: Sample, option_seed: int) -> tuple[int, ...]:
    """List which option stands at each place: `order[place] = original option`.

    Seed 0 is the order as written. Seeds 1 to O - 1 rotate the O options, so that with seed 0 each
    stands at each place once (the circular evaluation of MMBench, arXiv 2307.06281); later seeds
    are random. Questions whose options refer to positions keep the written order under every seed,
    and so do those that are no choice: their answers could name an option in unknown ways.
    """
    count = len(sample.options)
    written = tuple(range(count))
    if option_seed == 0 or sample.answer_type != "choice" or speaks_of_places(sample.options):
        return written
    if option_seed < count:
        return tuple((place + option_seed) % count for place in written)
    key = draw_seed(option_seed, "options", sample.content_hash)
    return tuple(np.argsort(np.random.Philox(key=key).random_raw(count), kind="stable").tolist())


def arrange_options(sample: Sample, *, option_seed: int, answer_with: AnswerWith) -> Sample:
    """Put the options of a question in an order, with or without letters.

    Answers are judged against the sample that this returns.
    """
    named = sample
    if sample.answer_with != answer_with:
        named = replace(sample, answer_with=answer_with)
    return reorder(named, option_seed)


def reorder(sample: Sample, option_seed: int) -> Sample:
    """Permute the options, with the answer and the media that are options; id and hash stay.

    Of equal options the answer is the first. A completion to imitate is dropped, since it names
    the letters as written.
    """
    order = option_order(sample, option_seed)
    if order == tuple(range(len(order))):
        return sample
    shown = [item for item in sample.media if item.role == "option"]
    turned = iter([shown[option] for option in order] if shown else [])
    return replace(
        sample,
        options=tuple(sample.options[option] for option in order),
        answer=LETTERS[min(order.index(LETTERS.index(letter)) for letter in sample.right)],
        media=tuple(next(turned) if item.role == "option" else item for item in sample.media),
        completion="",
    )
