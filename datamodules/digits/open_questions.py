"""Questions without options: a number, a set, yes or no, a description."""

import random
from dataclasses import replace

from datamodules.digits.draft import Draft, Evidence
from datamodules.digits.items import Item
from datamodules.digits.questions import add, compare, hear, same, see
from datamodules.digits.scenes import order
from datamodules.digits.shelf import Shelf
from datamodules.digits.sounds import SOUNDS


def number(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask to see, to hear or to add, and leave the options out."""
    maker = rng.choice((see, hear, add))
    return replace(maker(shelf, rng), options=(), answer_type="number")


def both_digits(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask for the set of digits in two images or in two recordings."""
    shown = rng.sample(range(10), 2)
    kind, decks = rng.choice((("images", shelf.pictures), ("recordings", shelf.clips)))
    evidence: Evidence = "visual" if kind == "images" else "audio"
    return Draft(
        family="set",
        evidence=evidence,
        question=f"Which digits are in the two {kind}?",
        answer=", ".join(map(str, sorted(shown))),
        answer_type="set",
        items=tuple(decks[digit].deal(rng) for digit in shown),
    )


def larger(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask whether a digit is larger than another; whichever that is, half the answers are yes."""
    limit = rng.randint(3, 6)
    answer = rng.choice(("yes", "no"))
    digit = rng.randint(limit + 1, 9) if answer == "yes" else rng.randint(0, limit)
    kind, decks = rng.choice((("image", shelf.pictures), ("recording", shelf.clips)))
    evidence: Evidence = "visual" if kind == "image" else "audio"
    return Draft(
        family="larger",
        evidence=evidence,
        question=f"Is the digit in the {kind} larger than {limit}?",
        answer=answer,
        answer_type="yes_no",
        items=(decks[digit].deal(rng),),
        thought=f"It is {digit}.",
    )


def told(shelf: Shelf, rng: random.Random) -> Draft:
    """Put the evidence into words in place of the media: what a blind reader has to go by."""
    draft = rng.choice((add, add, compare, same, order, larger))(shelf, rng)
    return replace(
        draft,
        family="told",
        evidence="text",
        question=f"{draft.thought} {draft.question}",
        items=(),
    )


def describe(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask for all that is seen and heard, in full sentences, for a warm start to imitate."""
    seen, spoken = rng.randrange(10), rng.randrange(10)
    sight = f"The image shows the digit {seen}."
    speech = f"The voice says the digit {spoken}."
    picture, clip = shelf.pictures[seen].deal(rng), shelf.clips[spoken].deal(rng)
    kind = rng.randrange(5)
    if kind == 0:
        return _described("visual", "see", sight, picture)
    if kind == 1:
        return _described("audio", "hear", speech, clip)
    if kind == 2:
        name = rng.choice(list(SOUNDS))
        return _described("audio", "hear", f"The sound is {name}.", shelf.sounds[name].deal(rng))
    if kind == 3:
        film = shelf.moving_talking.deal(rng)
        first, last = film.seen
        story = f"The video shows the digit {first}, then the digit {last}."
        heard = f"The voice says the digit {film.spoken[0]}."
        return _described("both", "see and hear", f"{story} {heard}", film)
    return _described("both", "see and hear", f"{sight} {speech}", picture, clip)


def _described(evidence: Evidence, verbs: str, answer: str, *items: Item) -> Draft:
    return Draft(
        family="describe",
        evidence=evidence,
        question=f"Describe what you {verbs}.",
        answer=answer,
        answer_type="text",
        items=items,
        completion=answer,
    )
