"""Questions about order and about videos, and with media for options."""

import random
from dataclasses import replace

from datamodules.digits.media_item import MediaItem
from datamodules.digits.media_pool import MediaPool
from datamodules.digits.question_draft import (
    Evidence,
    QuestionDraft,
    ask_digit,
    digits,
    mix,
    number_of_options,
    totals,
)
from datamodules.digits.sounds import SOUNDS
from datamodules.digits.speech import WORDS


def order(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask which of two digits comes first or last, seen or heard."""
    if rng.random() < 0.5:
        video = media.moving.draw(rng)
        return _ordered("visual", "video", video.seen, video, rng)
    clip = media.pairs.draw(rng)
    return _ordered("audio", "recording", clip.digits, clip, rng)


def _ordered(
    evidence: Evidence, where: str, both: tuple[int, ...], item: MediaItem, rng: random.Random
) -> QuestionDraft:
    place = rng.choice(("first", "last"))
    answer, other = both if place == "first" else both[::-1]
    return QuestionDraft(
        family="order",
        evidence=evidence,
        question=f"Which digit comes {place} in the {where}?",
        answer=str(answer),
        options=digits(rng, answer, other),
        items=(item,),
        thought=f"First {both[0]}, then {both[1]}.",
    )


def video_seen(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for the only digit that a video shows, whatever it says."""
    video = media.steady.draw(rng)
    wordings = ("Which digit is seen in the video?", "What digit does the video show?")
    return replace(ask_digit(rng, "film", "visual", wordings, video.seen[0]), items=(video,))


def video_heard(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for the digit that a video says, whatever it shows."""
    video = media.talking.draw(rng)
    wordings = ("Which digit is spoken in the video?", "What digit does the video say?")
    return replace(ask_digit(rng, "film", "audio", wordings, video.spoken[0]), items=(video,))


def video_sound(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for the sound of a video without speech."""
    video = media.sounding.draw(rng)
    return QuestionDraft(
        family="film",
        evidence="audio",
        question="Which sound is in the video?",
        answer=video.sound,
        options=mix(rng, video.sound, SOUNDS, count=number_of_options(rng)),
        items=(video,),
    )


def video_sum(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask for the sum of a spoken digit and one of two digits shown."""
    video = media.moving_talking.draw(rng)
    place = rng.choice(("first", "last"))
    total = video.seen[0 if place == "first" else 1] + video.spoken[0]
    return QuestionDraft(
        family="film",
        evidence="both",
        question=f"What is the {place} digit in the video plus the spoken digit?",
        answer=str(total),
        options=totals(rng, total),
        items=(video,),
    )


def media_options(media: MediaPool, rng: random.Random) -> QuestionDraft:
    """Ask which of two to four recordings or images holds a digit: the media are the options."""
    shown = rng.sample(range(10), rng.randint(2, 4))
    place = rng.randrange(len(shown))
    kind = rng.choice(("recording", "recording", "image"))
    items: list[MediaItem]
    if kind == "recording":
        question = f"Which recording says {WORDS[shown[place]]}?"
        items = [media.clips[digit].draw(rng) for digit in shown]
    else:
        question = f"Which image shows {shown[place]}?"
        items = [media.pictures[digit].draw(rng) for digit in shown]
    return QuestionDraft(
        family="media_options",
        evidence="audio" if kind == "recording" else "visual",
        question=question,
        answer=f"{kind} {place + 1}",
        options=tuple(f"{kind} {index + 1}" for index in range(len(shown))),
        items=tuple(items),
        role="option",
    )
