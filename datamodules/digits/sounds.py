"""Synthetic sounds that are not speech, and how audio is varied and encoded."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import ClassVar, final

import numpy as np
import soundfile
from numpy.typing import NDArray

from datamodules.digits.media_item import MediaItem

RATE = 16_000
"""Samples per second of every file of the set."""

Samples = NDArray[np.float32]


def roughen(samples: Samples, rng: np.random.Generator) -> Samples:
    """Give a sound its own loudness and faint background noise."""
    loud = samples * (rng.uniform(0.25, 0.9) / max(float(np.abs(samples).max()), 1e-6))
    noise = rng.normal(scale=np.abs(loud).max() * 10 ** rng.uniform(-3.0, -1.7), size=len(loud))
    return np.clip(loud + noise, -1, 1).astype(np.float32)


def hush(seconds: float, rng: np.random.Generator) -> Samples:
    """Make faint noise, as a microphone records in silence; never digital zero."""
    size = round(seconds * RATE)
    return rng.normal(scale=10 ** rng.uniform(-3.5, -2.5), size=size).astype(np.float32)


def _phase(frequency: NDArray[np.float64]) -> NDArray[np.float64]:
    return 2 * np.pi * np.cumsum(frequency) / RATE


def _beep(t: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.sin(2 * np.pi * rng.uniform(500, 2000) * t)


def _noise(t: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return rng.uniform(-1, 1, size=len(t))


def _rise(t: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    low, high = rng.uniform(200, 600), rng.uniform(1800, 4000)
    return np.sin(_phase(low * (high / low) ** (t / t[-1])))


def _fall(t: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return _rise(t, rng)[::-1]


def _siren(t: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    low, ratio, turns = rng.uniform(400, 900), rng.uniform(1.3, 1.8), rng.uniform(4, 7)
    return np.sin(_phase(np.where((t * turns) % 1 < 0.5, low, low * ratio)))


def _clicks(t: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    since = t % rng.uniform(0.06, 0.14)
    return np.exp(-since * rng.uniform(300, 800)) * np.cos(2 * np.pi * rng.uniform(800, 3000) * t)


def _bell(t: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    base = rng.uniform(500, 1200)
    partials = [np.sin(2 * np.pi * base * ratio * t) / ratio for ratio in (1.0, 2.76, 5.4)]
    envelope: NDArray[np.float64] = np.exp(-t * rng.uniform(5, 10))
    return envelope * sum(partials)


def _buzz(t: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    return np.sign(np.sin(2 * np.pi * rng.uniform(60, 150) * t))


SOUNDS: dict[str, Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]] = {
    "beep": _beep,
    "noise": _noise,
    "rise": _rise,
    "fall": _fall,
    "siren": _siren,
    "clicks": _clicks,
    "bell": _bell,
    "buzz": _buzz,
}
"""Each takes the times of its samples in seconds and returns values of about -1 to 1."""


@dataclass(frozen=True, kw_only=True)
class AudioItem(MediaItem):
    """The base of all sounds."""

    modality = "audio"
    container: ClassVar[str] = "FLAC"

    @abstractmethod
    def samples(self) -> Samples:
        """Make it, at RATE."""

    def encoded(self) -> bytes:
        """Encode it in 16 bits."""
        file = BytesIO()
        soundfile.write(file, self.samples(), RATE, subtype="PCM_16", format=self.container)
        return file.getvalue()


@final
@dataclass(frozen=True, kw_only=True)
class Sound(AudioItem):
    """A sound that is not speech, 0.4 to 0.8 seconds long."""

    container = "WAV"

    name: str
    """One of SOUNDS."""

    def samples(self) -> Samples:
        """Synthesize it, at RATE."""
        rng = np.random.default_rng(self.seed)
        t = np.arange(round(rng.uniform(0.4, 0.8) * RATE)) / RATE
        edge = np.minimum(1, np.minimum(t, t[::-1]) / 0.01)
        return roughen((SOUNDS[self.name](t, rng) * edge).astype(np.float32), rng)
