"""Spoken digits: espeak-ng's many voices, and recorded people where they are installed."""

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import final

import espeakng_loader
import numpy as np
import soundfile
import soxr

from datamodules.digits.sounds import RATE, AudioItem, Samples, hush, roughen

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

ACCENTS = (
    "en",
    "en-us",
    "en-us-nyc",
    "en-029",
    "en-gb-scotland",
    "en-gb-x-rp",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
)

STRANGE = {
    "AnxiousAndy",
    "Demonic",
    "Mr serious",
    "RicishayMax2",
    "RicishayMax3",
    "UniRobot",
    "croak",
    "klatt2",
    "whisper",
    "whisperf",
}
"""Variants that whisper, croak or stammer: their digits are hard to tell apart."""

LONGEST_WORD = 0.62
"""Seconds; slower speech is synthesized again, faster."""

FASTEST = 450
"""Words per minute, the limit of espeak-ng."""

RECORDINGS = Path("/usr/share/asterisk/sounds")
"""Where the Debian package `asterisk-core-sounds-en-wav` puts recordings of people."""

_SYNCHRONOUS, _CHARACTER_POSITION, _UTF8 = 2, 1, 1
_SPEED, _PITCH, _RANGE = 1, 3, 4


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One speaker of espeak-ng with an accent."""

    accent: str
    variant: str

    @property
    def name(self) -> str:
        """espeak-ng's name of it."""
        return f"{self.accent}+{self.variant}"


def speakers() -> list[tuple[str, ...]]:
    """List the usable variants, grouped by speaker (`iven`, `iven2`)."""
    folder = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
    together: dict[str, list[str]] = {}
    for variant in sorted(file.name for file in folder.iterdir()):
        if variant not in STRANGE:
            speaker = variant if len(variant) == 2 else variant.rstrip("0123456789").lower()
            together.setdefault(speaker, []).append(variant)
    return [tuple(variants) for variants in together.values()]


@final
class Espeak:
    """The espeak-ng library of this process.

    It keeps state from one utterance to the next, such as a voice's flutter, so the same samples
    come only from a fresh process that says the same things in the same order.
    """

    def __init__(self) -> None:
        self.library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate = int(self.library.espeak_Initialize(_SYNCHRONOUS, 0, data, 0))
        if self.rate <= 0:
            raise ValueError(
                f"espeak-ng found no voices in {data.decode()!r} (code {self.rate}): its library "
                "and data must be of one release; install espeakng-loader again."
            )
        self.library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # the clock seeds it otherwise
        self.heard: list[Samples] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self.callback = kind(self._hear)  # kept: the library holds only its address
        self.library.espeak_SetSynthCallback(self.callback)

    def _hear(self, samples: "ctypes._Pointer[ctypes.c_short]", size: int, _: int | None) -> int:
        if samples and size > 0:
            chunk = np.ctypeslib.as_array(samples, (size,))
            self.heard.append((chunk / 32768).astype(np.float32))
        return 0

    def say(self, text: str, voice: Voice, *, speed: int, pitch: int, melody: int) -> Samples:
        """Synthesize at RATE, without the silence around it."""
        if self.library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise ValueError(
                f"espeak-ng has no voice {voice.name!r}: a voice is one of {', '.join(ACCENTS)}, "
                "a plus sign and a variant; choose one of speakers()."
            )
        for parameter, value in ((_SPEED, speed), (_PITCH, pitch), (_RANGE, melody)):
            self.library.espeak_SetParameter(parameter, value, 0)
        self.heard.clear()
        spoken = text.encode()
        size = ctypes.c_size_t(len(spoken) + 1)
        self.library.espeak_Synth(spoken, size, 0, _CHARACTER_POSITION, 0, _UTF8, None, None)
        return trim(soxr.resample(np.concatenate(self.heard), self.rate, RATE))


@lru_cache(maxsize=1)
def espeak() -> Espeak:
    """Load the library, once in a process."""
    return Espeak()


def trim(samples: Samples) -> Samples:
    """Cut off silence before and after."""
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    return samples[loud[0] : loud[-1] + 1]


@final
@dataclass(frozen=True, kw_only=True)
class Clip(AudioItem):
    """One digit, or one after another, in the voice of a synthesizer."""

    digits: tuple[int, ...]
    voice: Voice

    def samples(self) -> Samples:
        """Synthesize it, at RATE: 0.25 to 0.8 seconds for one digit, under 1.6 for two."""
        rng = np.random.default_rng(self.seed)
        speed, pitch, melody = (
            int(rng.integers(*ends)) for ends in ((120, 200), (25, 75), (20, 80))
        )
        parts = [np.zeros(round(rng.uniform(0.03, 0.08) * RATE), np.float32)]
        for digit in self.digits:
            word = self._word(digit, speed=speed, pitch=pitch, melody=melody)
            parts += [word, np.zeros(round(rng.uniform(0.05, 0.09) * RATE), np.float32)]
        whole = np.concatenate(parts)
        if rng.random() < 0.4:  # as over a telephone, the band that many recordings have
            whole = soxr.resample(soxr.resample(whole, RATE, RATE / 2), RATE / 2, RATE)
        whole = np.pad(whole, (0, max(0, RATE // 4 - len(whole))))
        return roughen(whole, rng)

    def _word(self, digit: int, *, speed: int, pitch: int, melody: int) -> Samples:
        for faster in range(speed, FASTEST, 40):
            word = espeak().say(WORDS[digit], self.voice, speed=faster, pitch=pitch, melody=melody)
            if len(word) <= LONGEST_WORD * RATE:
                break
        return word


@final
@dataclass(frozen=True, kw_only=True)
class Recording(AudioItem):
    """A person's recorded digit, played a little slower or faster each time."""

    digits: tuple[int, ...]
    source: Path

    def samples(self) -> Samples:
        """Read and roughen it, at RATE."""
        rng = np.random.default_rng(self.seed)
        recorded, rate = soundfile.read(self.source, dtype="float32")
        tempo = rng.uniform(1.0, 1.2)
        word = trim(soxr.resample(recorded, rate * tempo, RATE))
        return roughen(np.concatenate([hush(0.05, rng) * 0.1, word, hush(0.05, rng) * 0.1]), rng)


def recorded_people() -> dict[str, list[Path]]:
    """Find recorded English digits: for each person, the files of zero to nine."""
    people = {}
    for folder in sorted({path.resolve() for path in RECORDINGS.glob("en*/digits")}):
        files = [folder / f"{digit}.wav" for digit in range(10)]
        if all(file.is_file() for file in files):
            people[folder.parent.name] = files
    return people
