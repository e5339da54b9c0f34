"""Questions without options: a number, a set, yes or no, a description."""

import random
from dataclasses import replace

from datamodules.digits.media_item import MediaItem
from datamodules.digits.media_pool import MediaPool
from datamodules.digits.question_draft import Evidence, QuestionDraft
from datamodules.digits.questions import add, compare, hear, same, see
from datamodules.digits.sounds import SOUNDS
from datamodules.digits.video_questions import order


def number(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask to see, to hear or to add, and leave the options out."""
    maker = rng.choice((see, hear, add))
    return replace(maker(media, rng), options=(), answer_type="number")


def both_digits(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for the set of digits in two images or in two recordings."""
    shown = rng.sample(range(10), 2)
    kind, pools = rng.choice((("images", media.pictures), ("recordings", media.clips)))
    evidence: Evidence = "visual" if kind == "images" else "audio"
    return QuestionDraft(
        family="set",
        evidence=evidence,
        question=f"Which digits are in the two {kind}?",
        answer=", ".join(map(str, sorted(shown))),
        answer_type="set",
        items=tuple(pools[digit].draw(rng) for digit in shown),
    )


def larger(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask whether a digit is larger than another; whichever that is, half the answers are yes."""
    limit = rng.randint(3, 6)
    answer = rng.choice(("yes", "no"))
    digit = rng.randint(limit + 1, 9) if answer == "yes" else rng.randint(0, limit)
    kind, pools = rng.choice((("image", media.pictures), ("recording", media.clips)))
    evidence: Evidence = "visual" if kind == "image" else "audio"
    return QuestionDraft(
        family="larger",
        evidence=evidence,
        question=f"Is the digit in the {kind} larger than {limit}?",
        answer=answer,
        answer_type="yes_no",
        items=(pools[digit].draw(rng),),
        thought=f"It is {digit}.",
    )


def told(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """State the evidence in words in place of the media."""
    draft = rng.choice((add, add, compare, same, order, larger))(media, rng)
    return replace(
        draft,
        family="told",
        evidence="text",
        question=f"{draft.thought} {draft.question}",
        items=(),
    )


def describe(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for a description of all that is seen and heard, as a target for the warm start."""
    seen, spoken = rng.randrange(10), rng.randrange(10)
    sight = f"The image shows the digit {seen}."
    speech = f"The voice says the digit {spoken}."
    picture, clip = media.pictures[seen].draw(rng), media.clips[spoken].draw(rng)
    kind = rng.randrange(5)
    if kind == 0:
        return _described("visual", "see", sight, picture)
    if kind == 1:
        return _described("audio", "hear", speech, clip)
    if kind == 2:
        name = rng.choice(list(SOUNDS))
        return _described("audio", "hear", f"The sound is {name}.", media.sounds[name].draw(rng))
    if kind == 3:
        video = media.moving_talking.draw(rng)
        first, last = video.seen
        story = f"The video shows the digit {first}, then the digit {last}."
        heard = f"The voice says the digit {video.spoken[0]}."
        return _described("both", "see and hear", f"{story} {heard}", video)
    return _described("both", "see and hear", f"{sight} {speech}", picture, clip)


def _described(evidence: Evidence, verbs: str, answer: str, *items: MediaItem) -> QuestionDraft:
    return QuestionDraft(
        family="describe",
        evidence=evidence,
        question=f"Describe what you {verbs}.",
        answer=answer,
        answer_type="text",
        items=items,
        completion=answer,
    )
