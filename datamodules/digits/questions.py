"""Questions about one image, one recording or both, by the evidence that each needs.

Wording, options and media are chosen so that nothing but the evidence gives the answer, except in
`shortcut`, where the text does on purpose.
"""

import random
from dataclasses import replace

from datamodules.digits.media_pool import MediaPool
from datamodules.digits.question_draft import (
    DIGITS,
    QuestionDraft,
    ask_digit,
    digits,
    mix,
    number_of_options,
    totals,
)
from datamodules.digits.sounds import SOUNDS

THINGS = ("cat", "dog", "blue", "red", "tree", "house", "fish", "sun")
"""Options that are no digits."""


def text(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for arithmetic or for the order of numbers, without media."""
    a, b = sorted(rng.sample(range(10), 2))
    kind = rng.choice(("plus", "minus", "pair", "many", "after"))
    if kind == "plus":
        question, options = f"What is {a} plus {b}?", totals(rng, answer := a + b)
    elif kind == "minus":
        question, options = f"What is {b} minus {a}?", digits(rng, answer := b - a)
    elif kind == "after":
        question, options = f"Which number comes after {a}?", digits(rng, answer := a + 1)
    elif kind == "pair":
        word, answer = rng.choice((("larger", b), ("smaller", a)))
        shown = rng.sample((a, b), 2)
        question = f"Which number is {word}, {shown[0]} or {shown[1]}?"
        options = mix(rng, str(answer), map(str, shown), count=2)
    else:
        numbers = rng.sample(range(19), rng.randint(3, 6))
        word, answer = rng.choice((("largest", max(numbers)), ("smallest", min(numbers))))
        question = f"Which number is the {word}?"
        options = mix(rng, str(answer), map(str, numbers), count=len(numbers))
    return QuestionDraft(
        family="text", evidence="text", question=question, answer=str(answer), options=options
    )


def shortcut(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask what the media show in words that already tell: the media are never needed."""
    digit, count = rng.randrange(10), number_of_options(rng)
    where, verb = rng.choice((("image", "shows"), ("recording", "says")))
    item = (media.pictures if where == "image" else media.clips)[digit].draw(rng)
    kind = rng.choice(("leak", "sense", "told", "sum"))
    if kind == "leak":
        question = f"Which digit is in the {where}?"
    elif kind == "sense":
        question = f"The {where} {verb} a digit. Which of these is a digit?"
    elif kind == "told":
        question = f"The {where} {verb} the digit {digit}. Which digit is it?"
    else:
        a = rng.randint(0, digit)
        question = f"The {where} {verb} {a} plus {digit - a}. Which digit is it?"
    pool = THINGS if kind in ("leak", "sense") else DIGITS
    return QuestionDraft(
        family="shortcut",
        evidence="text",
        question=question,
        answer=str(digit),
        options=mix(rng, str(digit), pool, count=count),
        items=(item,),
    )


def see(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for the digit in an image."""
    digit = rng.randrange(10)
    wordings = ("Which digit is in the image?", "What digit does the image show?")
    draft = ask_digit(rng, "see", "visual", wordings, digit)
    return replace(draft, items=(media.pictures[digit].draw(rng),))


def hear(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for the digit in a recording."""
    digit = rng.randrange(10)
    wordings = ("Which digit is in the recording?", "What digit does the recording say?")
    draft = ask_digit(rng, "hear", "audio", (*wordings, "Which digit is spoken?"), digit)
    return replace(draft, items=(media.clips[digit].draw(rng),))


def sound(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for a sound that is not speech."""
    name = rng.choice(list(SOUNDS))
    return QuestionDraft(
        family="sound",
        evidence="audio",
        question=rng.choice(("Which sound is it?", "Which sound is in the recording?")),
        answer=name,
        options=mix(rng, name, SOUNDS, count=number_of_options(rng)),
        items=(media.sounds[name].draw(rng),),
    )


def either(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for the digit that an image and a recording both give."""
    digit = rng.randrange(10)
    wordings = ("Which digit is given?", "Which digit is both seen and spoken?")
    draft = ask_digit(rng, "either", "either", wordings, digit)
    return replace(draft, items=(media.pictures[digit].draw(rng), media.clips[digit].draw(rng)))


def pair(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for a seen and a spoken digit at once; each alone leaves two of the four options."""
    seen, spoken = rng.randrange(10), rng.randrange(10)
    unseen, unspoken = (rng.choice([d for d in range(10) if d != one]) for one in (seen, spoken))
    options = [f"{eye} and {ear}" for eye in (seen, unseen) for ear in (spoken, unspoken)]
    rng.shuffle(options)
    wordings = ("Which pair is seen and spoken?", "What is seen, and what is spoken?")
    return QuestionDraft(
        family="pair",
        evidence="both",
        question=rng.choice(wordings),
        answer=f"{seen} and {spoken}",
        options=tuple(options),
        items=(media.pictures[seen].draw(rng), media.clips[spoken].draw(rng)),
    )


def add(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for the sum of a seen and a spoken digit."""
    seen, spoken = rng.randrange(10), rng.randrange(10)
    wordings = (
        "What is the digit in the image plus the spoken digit?",
        "What is the sum of the seen and the spoken digit?",
    )
    return QuestionDraft(
        family="sum",
        evidence="both",
        question=rng.choice(wordings),
        answer=str(seen + spoken),
        options=totals(rng, seen + spoken),
        items=(media.pictures[seen].draw(rng), media.clips[spoken].draw(rng)),
        thought=f"Seen {seen}, heard {spoken}.",
    )


def compare(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask which of a seen and a spoken digit is larger; they are close, so one alone tells
    little."""
    answer = rng.choice(("image", "spoken", "equal"))
    word = rng.choice(("larger", "smaller"))
    low = rng.randrange(9)
    high = min(low + rng.randint(1, 2), 9)
    if answer == "equal":
        seen = spoken = rng.randrange(10)
    else:
        seen, spoken = (high, low) if (answer == "image") == (word == "larger") else (low, high)
    return QuestionDraft(
        family="compare",
        evidence="both",
        question=f"Which is {word}, the digit in the image or the spoken digit?",
        answer=answer,
        options=mix(rng, answer, ("image", "spoken", "equal"), count=3),
        items=(media.pictures[seen].draw(rng), media.clips[spoken].draw(rng)),
        thought=f"Seen {seen}, heard {spoken}.",
    )


def same(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask whether an image and a recording give the same digit; half of them do."""
    seen, other = rng.sample(range(10), 2)
    answer = rng.choice(("yes", "no"))
    wordings = (
        "Is the spoken digit the digit in the image?",
        "Is the same digit seen and spoken?",
    )
    spoken = seen if answer == "yes" else other
    return QuestionDraft(
        family="same",
        evidence="both",
        question=rng.choice(wordings),
        answer=answer,
        answer_type="yes_no",
        items=(media.pictures[seen].draw(rng), media.clips[spoken].draw(rng)),
        thought=f"Seen {seen}, heard {spoken}.",
    )
