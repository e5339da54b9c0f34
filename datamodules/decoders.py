"""Read a picture or a sound into arrays, within a budget: where foreign bytes come in.

Every limit is checked before what it limits is allocated, and nothing that is missing is made up:
a frame that does not decode is an error, not a repetition of its neighbor.
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from PIL import Image

from configs.schema import MediaConfig

SAMPLE_RATE = 16_000
SHORTEST_AUDIO = 0.1
"""Seconds; much less makes no token in an audio tower that reads 40 ms per token."""

MOST_PIXELS = 89_000_000
"""Pictures larger than this are taken for decompression bombs, as Pillow does."""

MOST_ELONGATED = 200
"""Longer side over shorter side that vision processors accept."""

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Not all that Pillow knows: its EPS reader starts another program."""

SLACK = 0.5
"""Seconds by which headers of whole files are wrong: paddings of codecs, rounded times."""

HIGHEST_RATE = 1_000_000
"""Samples a second; no recording has more, but a damaged header may."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by the EXIF tag of the camera that was held another way."""


@final
class MediaError(ValueError):
    """A file that cannot be shown to a model: caught per sample, counted in quarantine.

    `kind` says what to count it as: unsafe, missing, unreadable, empty, too_long, too_large.
    """

    def __init__(self, message: str, *, kind: str = "unreadable", path: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.path = path


def fit(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Shrink a size to an area, keeping its shape."""
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
    return max(1, int(width * scale)), max(1, int(height * scale))


def image_size(path: Path, budget: MediaConfig) -> tuple[int, int]:
    """Read from its header how large a picture is shown, before it is turned upright."""
    with open_image(path) as file:
        return fit(*file.size, budget.image_max_pixels)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open a picture without the notes on its tags that Pillow prints: its pixels count."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            file = Image.open(path, formats=IMAGE_FORMATS)
        except Image.DecompressionBombError as error:
            raise MediaError(
                f"its header declares too many pixels ({error}), but at most {MOST_PIXELS:,} are "
                "decoded: scale it down.",
                kind="too_large",
            ) from error
        with file:
            yield file


def read_image(path: Path, budget: MediaConfig) -> NDArray[np.uint8]:
    """Read a picture, of a moving one the first, upright and on white.

    Shapes: -> (height, width, 3)
    """
    with open_image(path) as file:
        fit(*file.size, budget.image_max_pixels)  # the header alone shows a bomb
        if file.mode.startswith(("I", "F")):
            raise MediaError(
                f"pixels of mode {file.mode} have no fixed black and white, but 8 bits per channel "
                "have: convert it to 8 bits."
            )
        turn = TURNS.get(_orientation(file))
        image = on_white(file)
        image = image if turn is None else image.transpose(turn)
        size = fit(*image.size, budget.image_max_pixels)
        return np.array(image.resize(size, Image.Resampling.BICUBIC))


def _orientation(file: Image.Image) -> int:
    """Read which side of a picture is up; a tag that nobody can read says nothing about that.

    Pillow itself turns TIFF files while it loads them, so this comes after that.
    """
    file.load()
    try:
        found = file.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever Pillow meets in damaged tags; the pixels are a matter of their own
        return 1
    return found if isinstance(found, int) else 1


def on_white(image: Image.Image) -> Image.Image:
    """Put a picture on white: drawings in black on nothing would end as black on black."""
    if image.has_transparency_data:
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image.convert("RGBA"))
    return image.convert("RGB")


def read_sound_file(
    path: Path, start: float, end: float, budget: MediaConfig
) -> NDArray[np.float32]:
    """Read a file of sound alone, of a kind that libsndfile knows. Shapes: -> (samples,)"""
    with _open_sound(path) as file:
        rate = file.samplerate
        first, last = _places(file, start, end)
        check_length((last - first) / rate, budget)  # before a header that lies fills the memory
        file.seek(first)
        samples = file.read(last - first, dtype="float32", always_2d=True)  # (samples, channels)
    check_complete(len(samples) / rate, (last - first) / rate, slack=0.0)  # what it counts is there
    return mono(samples, rate, budget)


def sound_file_seconds(path: Path, start: float, end: float) -> float:
    """Measure the segment of such a file by its header."""
    with _open_sound(path) as file:
        first, last = _places(file, start, end)
        return max(0.0, (last - first) / file.samplerate)


def knows_codec(path: Path) -> bool:
    """Tell whether libsndfile reads a codec in a container that it knows, and its length, from any
    place on."""
    try:
        with _open_sound(path) as file:
            return file.seekable() and not file.subtype.startswith(
                "MPEG"
            )  # whose length it guesses
    except soundfile.LibsndfileError:
        return False


@contextmanager
def _open_sound(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a sound by its bytes alone: given a name, libsndfile believes its ending."""
    with path.open("rb") as raw, soundfile.SoundFile(raw.fileno(), closefd=False) as file:
        if not 0 < file.samplerate <= HIGHEST_RATE:
            raise MediaError(
                f"{file.samplerate:,} samples a second, but at most {HIGHEST_RATE:,} are read: "
                "its header is damaged; fetch it again."
            )
        yield file


def _places(file: soundfile.SoundFile, start: float, end: float) -> tuple[int, int]:
    """Find the samples at which a segment begins and ends."""
    rate = file.samplerate
    first, last = (min(file.frames, round(min(time, 1e9) * rate)) for time in (start, end))
    return first, last


def mono(samples: NDArray[np.float32], rate: int, budget: MediaConfig) -> NDArray[np.float32]:
    """Average the channels of a sound and bring it to 16 kHz.

    Shapes: samples (samples, channels) -> (samples,)
    """
    check_length(len(samples) / rate, budget)
    if not np.isfinite(samples).all():
        raise MediaError("holds infinite samples, but a sound is finite: record it again.")
    mono = samples.mean(axis=1, dtype=np.float32)
    resampled: NDArray[np.float32] = soxr.resample(mono, rate, SAMPLE_RATE)
    return resampled


def check_length(seconds: float, budget: MediaConfig) -> None:
    """Refuse a sound too short to be heard, and one longer than the budget."""
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
    """Refuse what ends well before the seconds that its header declares."""
    if read < declared - slack:
        raise MediaError(
            f"{read:.2f} s of the {declared:.2f} s that its header declares, but none may be "
            "missing: the file is truncated; fetch it again."
        )
