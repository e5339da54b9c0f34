"""Limits on what is decoded of a medium, and the decoder of audio files.

Every limit is checked before what it limits is allocated, and nothing that is missing is made up:
a frame that does not decode is an error, not a repetition of its neighbor.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from configs.schema import MediaConfig

SAMPLE_RATE = 16_000
SHORTEST_AUDIO = 0.1
"""Seconds; much less makes no token in an audio tower that reads 40 ms per token."""

MOST_PIXELS = 50_000_000
"""Of an image: those of the largest consumer cameras. More take longer than a second, or more than
a gigabyte with the buffers of decoders."""

MOST_ELONGATED = 200
"""Largest ratio of sides that vision processors accept."""

SLACK = 0.5
"""Seconds by which headers of whole files are wrong: codec padding, rounded times."""

HIGHEST_RATE = 768_000
"""Samples a second; no recording has more, but a damaged header may."""

MOST_VALUES = 64 * 48_000
"""Samples a second of all channels together, as of the largest microphone arrays."""

LOUDEST = 32.0
"""Multiple of full scale. Mixes in floats and codecs exceed it a few times. Anything beyond is
damaged, or holds integers where floats belong: the loudest of 8 bits is 128."""

BLOCK = 1 << 20
"""Samples of all channels that are read at a time."""


@final
class MediaError(ValueError):
    """A file that cannot be shown to a model: caught per sample, counted in quarantine.

    `kind` is the reason it is counted under: unsafe, missing, unreadable, empty, too_long,
    too_large.
    """

    def __init__(self, message: str, *, kind: str = "unreadable", path: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.path = path


def fit(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Shrink a size to a number of pixels, keeping its aspect ratio."""
    if not 0 < width * height <= MOST_PIXELS:
        raise MediaError(
            f"{width}x{height} pixels, but at most {MOST_PIXELS:,} are decoded: scale it down.",
            kind="too_large",
        )
    if max(width, height) > MOST_ELONGATED * min(width, height):
        raise MediaError(
            f"{width}x{height} pixels, but the longer side may have at most {MOST_ELONGATED} times "
            "those of the shorter: crop it.",
            kind="too_large",
        )
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    width, height = max(1, int(width * scale)), max(1, int(height * scale))
    return min(width, MOST_ELONGATED * height), min(height, MOST_ELONGATED * width)


def read_sound_file(
    path: Path, start: float, end: float, budget: MediaConfig
) -> NDArray[np.float32]:
    """Read an audio file that libsndfile supports. Shapes: -> (samples,)"""
    with _open_sound(path) as file:
        rate = file.samplerate
        first, last = _places(file, start, end)
        check_length((last - first) / rate, budget)
        file.seek(first)
        samples = np.concatenate([mono(block) for block in _blocks(file, last - first)])
    check_complete(len(samples) / rate, (last - first) / rate, slack=0.0)  # what it counts is there
    return resample(samples, rate, budget)


def _blocks(file: soundfile.SoundFile, count: int) -> Iterator[NDArray[np.float32]]:
    """Read so many samples, or as many as there are: a wrong header must not fill memory.

    Shapes: -> (samples, channels) of each
    """
    most = max(1, BLOCK // file.channels)
    while True:
        block = file.read(min(most, count), dtype="float32", always_2d=True)
        yield block
        count -= len(block)
        if not count or not len(block):
            return


def sound_file_seconds(path: Path, start: float, end: float) -> float:
    """Measure the segment of such a file by its header."""
    with _open_sound(path) as file:
        first, last = _places(file, start, end)
        return max(0.0, (last - first) / file.samplerate)


def knows_codec(path: Path) -> bool:
    """Tell whether libsndfile supports a codec in a container, and its length, at any offset."""
    try:
        with _open_sound(path) as file:
            return file.seekable() and not file.subtype.startswith(
                "MPEG"
            )  # whose length it guesses
    except soundfile.LibsndfileError:
        return False


@contextmanager
def _open_sound(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open audio by its bytes alone: given a name, libsndfile trusts its ending."""
    with path.open("rb") as raw, soundfile.SoundFile(raw.fileno(), closefd=False) as file:
        check_rate(file.samplerate, file.channels)
        yield file


def check_rate(rate: int, channels: int) -> None:
    """Refuse higher sampling rates than any recording has, in one channel or in all together."""
    if not 0 < rate <= HIGHEST_RATE:
        raise MediaError(
            f"{rate:,} samples a second, but at most {HIGHEST_RATE:,} are read: its header is "
            "damaged; fetch it again."
        )
    if rate * channels > MOST_VALUES:
        raise MediaError(
            f"{channels:,} channels of {rate:,} samples a second, but at most {MOST_VALUES:,} in "
            "all are read: mix it down, or lower its rate.",
            kind="too_large",
        )


def _places(file: soundfile.SoundFile, start: float, end: float) -> tuple[int, int]:
    """Return the samples at which a segment begins and ends."""
    rate = file.samplerate
    first, last = (min(file.frames, round(min(time, 1e9) * rate)) for time in (start, end))
    return first, last


def mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the channels of a waveform, of which there must be at least one.

    Shapes: (samples, channels) -> (samples,)
    """
    check_loudness(samples)
    return samples.mean(axis=1, dtype=np.float32)


def resample(samples: NDArray[np.float32], rate: int, budget: MediaConfig) -> NDArray[np.float32]:
    """Resample to 16 kHz. Shapes: (samples,) -> (samples,)"""
    check_length(len(samples) / rate, budget)
    heard: NDArray[np.float32] = soxr.resample(samples, rate, SAMPLE_RATE)
    return heard


def check_loudness(samples: NDArray[np.float32]) -> None:
    """Refuse samples that are NaN, infinite, or far beyond full scale."""
    if not len(samples):
        return
    loudest = max(float(samples.max()), -float(samples.min()))  # NaN, if there is one
    if not loudest <= LOUDEST:
        raise MediaError(
            f"samples of up to {loudest:g} times full scale, but a sound has none beyond "
            f"{LOUDEST:g}: it is damaged, or holds integers as floats; fetch or convert it again."
        )


def check_length(seconds: float, budget: MediaConfig) -> None:
    """Refuse audio too short for a token, or longer than the budget."""
    if seconds < SHORTEST_AUDIO:
        raise MediaError(
            f"{seconds:.3f} s of sound, but a model hears nothing below {SHORTEST_AUDIO} s: "
            "mend the segment, or drop its rows.",
            kind="empty",
        )
    if seconds > budget.audio_max_seconds:
        raise MediaError(
            f"{seconds:.1f} s of sound, but data.media.audio_max_seconds is "
            f"{budget.audio_max_seconds} and sound is never cut: raise it, or give the question a "
            "segment with start and end.",
            kind="too_long",
        )


def check_complete(read: float, declared: float, *, slack: float = SLACK) -> None:
    """Refuse a stream that ends well before the length that its header declares."""
    if read < declared - slack:
        raise MediaError(
            f"{read:.2f} s of the {declared:.2f} s that its header declares, but none may be "
            "missing: the file is truncated; fetch it again."
        )
