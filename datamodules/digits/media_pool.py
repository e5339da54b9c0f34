"""Plan the media of a split, and draw from them evenly."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, final

import numpy as np

from datamodules.digits.media_item import MediaItem
from datamodules.digits.pictures import Picture, originals
from datamodules.digits.sounds import SOUNDS, Sound
from datamodules.digits.speech import ACCENTS, Clip, Recording, Voice
from datamodules.digits.videos import Video

T = TypeVar("T", bound=MediaItem)


@dataclass(frozen=True, kw_only=True)
class Amount:
    """The size of a split."""

    questions: int

    pictures: int
    """Real handwritten digits; each belongs to one split only."""

    drawings: int
    """Largest number of files made of one handwritten digit; at least one is."""

    voices: float
    """This split's share of the speakers; each belongs to one split only."""

    clips: int
    """Of one spoken digit."""

    pairs: int
    """Clips of two spoken digits."""

    sounds: int
    videos: int


@final
class ShuffledPool(Generic[T]):
    """Items drawn in random order: none comes twice before all came once."""

    def __init__(self, items: Iterable[T]) -> None:
        self.items = list(items)
        self.left: list[T] = []

    def draw(self, rng: random.Random) -> T:
        """Take the next item."""
        if not self.left:
            self.left = rng.sample(self.items, len(self.items))
        return self.left.pop()


@final
class MediaPool:
    """All media of one split, sorted as questions need them."""

    def __init__(self, items: Sequence[MediaItem]) -> None:
        pictures = [item for item in items if isinstance(item, Picture)]
        spoken = [item for item in items if isinstance(item, Clip | Recording)]
        sounds = [item for item in items if isinstance(item, Sound)]
        videos = [item for item in items if isinstance(item, Video)]
        moving = [video for video in videos if video.first != video.last]
        self.pictures = [
            ShuffledPool(p for p in pictures if p.digit == digit) for digit in range(10)
        ]
        self.clips = [
            ShuffledPool(c for c in spoken if c.digits == (digit,)) for digit in range(10)
        ]
        self.pairs = ShuffledPool(clip for clip in spoken if len(clip.digits) == 2)
        self.sounds = {name: ShuffledPool(s for s in sounds if s.name == name) for name in SOUNDS}
        self.moving = ShuffledPool(moving)
        self.steady = ShuffledPool(video for video in videos if video.first == video.last)
        self.talking = ShuffledPool(video for video in videos if video.spoken)
        self.moving_talking = ShuffledPool(video for video in moving if video.spoken)
        self.sounding = ShuffledPool(video for video in videos if video.sound)


def plan(
    split: str,
    amount: Amount,
    *,
    numbers: Sequence[int],
    variants: Sequence[str],
    rng: np.random.Generator,
) -> list[MediaItem]:
    """Plan all media of a split, balanced over the digits.

    Args:
        numbers: the handwritten digits of this split, by their index in the original data set.
        variants: the speakers of this split.
    """
    pictures = _plan_pictures(f"media/{split}/image", amount, numbers, rng)
    voices = [Voice(accent=accent, variant=variant) for variant in variants for accent in ACCENTS]
    pairs = [tuple(map(int, rng.permutation(10)[:2])) for _ in range(amount.pairs)]
    words = [(index % 10,) for index in range(amount.clips)]
    clips = _plan_clips(f"media/{split}/audio", voices, [*words, *pairs], rng)
    sounds = [
        Sound(
            path=f"media/{split}/audio/sound-{index:05d}.wav",
            asset=f"sound-{split}-{index}",
            seed=_seed(rng),
            name=list(SOUNDS)[index % len(SOUNDS)],
        )
        for index in range(amount.sounds)
    ]
    singles = clips[: amount.clips]
    videos = _plan_videos(f"media/{split}/video", amount.videos, pictures, singles, sounds, rng)
    return [*pictures, *clips, *sounds, *videos]


def plan_recordings(
    people: dict[str, list[Path]], takes: int, rng: np.random.Generator
) -> list[Recording]:
    """Plan several takes of every recorded digit, each with its own tempo, loudness and noise."""
    return [
        Recording(
            path=f"media/test_human/audio/{person}-{digit}-{take}.flac",
            asset=f"recording-{person}-{digit}",
            seed=_seed(rng),
            digits=(digit,),
            source=source,
        )
        for person, files in people.items()
        for digit, source in enumerate(files)
        for take in range(takes)
    ]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _plan_pictures(
    folder: str, amount: Amount, numbers: Sequence[int], rng: np.random.Generator
) -> list[Picture]:
    images, labels = originals()
    return [
        Picture(
            path=f"{folder}/{number:04d}-{drawing}.png",
            asset=f"image-{number:04d}",
            seed=_seed(rng),
            digit=int(labels[number]),
            ink=images[number].tobytes(),
        )
        for number in numbers
        for drawing in range(int(rng.integers(1, amount.drawings + 1)))
    ]


def _plan_clips(
    folder: str,
    voices: Sequence[Voice],
    spoken: Sequence[tuple[int, ...]],
    rng: np.random.Generator,
) -> list[Clip]:
    speaking = [voices[index] for index in rng.integers(len(voices), size=len(spoken))]
    return [
        Clip(
            path=f"{folder}/{index:05d}.flac",
            asset=f"voice-{voice.name}",
            seed=_seed(rng),
            digits=digits,
            voice=voice,
        )
        for index, (digits, voice) in enumerate(zip(spoken, speaking, strict=True))
    ]


def _plan_videos(
    folder: str,
    count: int,
    pictures: Sequence[Picture],
    clips: Sequence[Clip],
    sounds: Sequence[Sound],
    rng: np.random.Generator,
) -> list[Video]:
    """Plan videos: two of five show one digit, the others two; seven of ten speak, two sound,
    one is silent. The audio is chosen independently of the frames, so that it tells nothing
    about them."""
    videos = []
    for index in range(count):
        first, last = (pictures[i] for i in rng.permutation(len(pictures))[:2])
        while first.digit == last.digit:
            last = pictures[int(rng.integers(len(pictures)))]
        kind = rng.random()
        heard: Clip | Sound | None = None
        if kind < 0.7:
            heard = clips[int(rng.integers(len(clips)))]
        elif kind < 0.9:
            heard = sounds[int(rng.integers(len(sounds)))]
        video = Video(
            path=f"{folder}/{index:05d}.mp4",
            asset=first.asset,
            seed=_seed(rng),
            first=first,
            last=first if index % 5 < 2 else last,
            heard=heard,
        )
        videos.append(video)
    return videos
