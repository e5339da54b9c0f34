"""Questions about what comes first and last, about films, and with media for options."""

import random

from datamodules.digits.draft import Draft, Evidence, digits, mix, number_of_options, totals
from datamodules.digits.items import Item
from datamodules.digits.shelf import Shelf
from datamodules.digits.sounds import SOUNDS
from datamodules.digits.speech import WORDS


def order(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask which of two digits comes first or last, to the eye or to the ear."""
    if rng.random() < 0.5:
        film = shelf.moving.deal(rng)
        return _ordered("visual", "video", film.seen, film, rng)
    clip = shelf.pairs.deal(rng)
    return _ordered("audio", "recording", clip.digits, clip, rng)


def _ordered(
    evidence: Evidence, where: str, both: tuple[int, ...], item: Item, rng: random.Random
) -> Draft:
    place = rng.choice(("first", "last"))
    answer, other = both if place == "first" else both[::-1]
    return Draft(
        family="order",
        evidence=evidence,
        question=f"Which digit comes {place} in the {where}?",
        answer=str(answer),
        options=digits(rng, answer, other),
        items=(item,),
        thought=f"First {both[0]}, then {both[1]}.",
    )


def film_seen(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask for the only digit that a film shows, whatever it says."""
    film = shelf.steady.deal(rng)
    wordings = ("Which digit is seen in the video?", "What digit does the video show?")
    return Draft(
        family="film",
        evidence="visual",
        question=rng.choice(wordings),
        answer=str(film.seen[0]),
        options=digits(rng, film.seen[0]),
        items=(film,),
    )


def film_heard(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask for the digit that a film says, whatever it shows."""
    film = shelf.talking.deal(rng)
    wordings = ("Which digit is spoken in the video?", "What digit does the video say?")
    return Draft(
        family="film",
        evidence="audio",
        question=rng.choice(wordings),
        answer=str(film.spoken[0]),
        options=digits(rng, film.spoken[0]),
        items=(film,),
    )


def film_sound(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask for the sound of a film that does not speak."""
    film = shelf.sounding.deal(rng)
    return Draft(
        family="film",
        evidence="audio",
        question="Which sound is in the video?",
        answer=film.sound,
        options=mix(rng, film.sound, SOUNDS, count=number_of_options(rng)),
        items=(film,),
    )


def film_sum(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask for the sum of a spoken digit and one of two digits shown."""
    film = shelf.moving_talking.deal(rng)
    place = rng.choice(("first", "last"))
    total = film.seen[0 if place == "first" else 1] + film.spoken[0]
    return Draft(
        family="film",
        evidence="both",
        question=f"What is the {place} digit in the video plus the spoken digit?",
        answer=str(total),
        options=totals(rng, total),
        items=(film,),
    )


def media_options(shelf: Shelf, rng: random.Random) -> Draft:
    """Ask which of two to four recordings or images holds a digit: the media are the options."""
    shown = rng.sample(range(10), rng.randint(2, 4))
    place = rng.randrange(len(shown))
    kind = rng.choice(("recording", "recording", "image"))
    items: list[Item]
    if kind == "recording":
        question = f"Which recording says {WORDS[shown[place]]}?"
        items = [shelf.clips[digit].deal(rng) for digit in shown]
    else:
        question = f"Which image shows {shown[place]}?"
        items = [shelf.pictures[digit].deal(rng) for digit in shown]
    return Draft(
        family="media_options",
        evidence="audio" if kind == "recording" else "visual",
        question=question,
        answer=f"{kind} {place + 1}",
        options=tuple(f"{kind} {index + 1}" for index in range(len(shown))),
        items=tuple(items),
        role="option",
    )
