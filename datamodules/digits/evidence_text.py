"""Describe in words what media show and say."""

from collections.abc import Sequence

from datamodules.digits.media_item import MediaItem
from datamodules.digits.pictures import Picture
from datamodules.digits.question_draft import QuestionDraft
from datamodules.digits.sounds import Sound
from datamodules.digits.speech import Clip, Recording
from datamodules.digits.videos import Video


def describe_evidence(draft: QuestionDraft) -> str:
    """Describe the media that a question depends on: what is seen, what is heard, or both."""
    seen, heard = _seen(draft.items), _heard(draft.items)
    told = {"visual": seen, "audio": heard}.get(draft.evidence, [*seen, *heard])
    return " ".join(told)


def _seen(items: Sequence[MediaItem]) -> list[str]:
    pictures = [item.digit for item in items if isinstance(item, Picture)]
    if pictures:
        who = "The image shows" if len(pictures) == 1 else "The images show"
        return [f"{who} {_in_order(pictures)}."]
    videos = [item for item in items if isinstance(item, Video)]
    return [f"The video shows {_in_order(list(dict.fromkeys(video.seen)))}." for video in videos]


def _heard(items: Sequence[MediaItem]) -> list[str]:
    heard = [item.heard if isinstance(item, Video) else item for item in items]
    voices = [item.digits for item in heard if isinstance(item, Clip | Recording)]
    sounds = [f"The sound is {item.name}." for item in heard if isinstance(item, Sound)]
    if not voices:
        return sounds
    who = "The voice says" if len(voices) == 1 else "The voices say"
    return [f"{who} {_in_order([digit for digits in voices for digit in digits])}.", *sounds]


def _in_order(digits: Sequence[int]) -> str:
    return ", then ".join(f"the digit {digit}" for digit in digits)
