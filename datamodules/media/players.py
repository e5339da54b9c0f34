"""Write a medium as a model was shown it, in a format that browsers play."""

import io
from fractions import Fraction

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

from datamodules.media.decoders import SAMPLE_RATE
from datamodules.media.files import Decoded

KINDS = {"audio": "wav", "image": "png", "video": "mp4"}
"""Endings of the files, by what they are of."""

MOST_FPS = 1000
"""Denominator of a film's frames a second: beyond it, times of frames cannot be told apart."""


def play(item: Decoded) -> bytes:
    """Encode a medium: a picture as PNG, a sound as WAV, a film with its sound as MP4.

    Pixels of pictures and 16 bits of sound are kept as they are; films are compressed.
    """
    file = io.BytesIO()
    if item.image is not None:
        Image.fromarray(item.image).save(file, "PNG")
    elif item.frames is not None:
        _write_film(file, item)
    else:
        assert item.audio is not None, "a medium shows or plays something"
        soundfile.write(file, item.audio, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _write_film(file: io.BytesIO, item: Decoded) -> None:
    """Encode frames at their distances in time, and the sound beside them."""
    assert item.frames is not None and item.fps is not None, "a film has frames and a rate"
    rate = Fraction(item.fps).limit_denominator(MOST_FPS) or Fraction(1, MOST_FPS)
    frames = _even(item.frames)
    with av.open(file, "w", format="mp4") as made:
        pictures = made.add_stream("libx264", rate=rate, options={"crf": "23"})
        pictures.height, pictures.width = frames.shape[1:3]
        pictures.pix_fmt = "yuv420p"  # which all browsers play
        sound = None
        if item.audio is not None:  # described before the first picture opens the file
            sound = made.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for number, frame in enumerate(frames):
            shown = av.VideoFrame.from_ndarray(frame, format="rgb24")
            shown.pts, shown.time_base = number, 1 / rate
            made.mux(pictures.encode(shown))
        made.mux(pictures.encode(None))
        if sound is not None and item.audio is not None:
            played = av.AudioFrame.from_ndarray(item.audio[None], format="fltp", layout="mono")
            played.sample_rate, played.pts = SAMPLE_RATE, 0
            made.mux(sound.encode(played))
            made.mux(sound.encode(None))


def _even(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row or column of frames with an odd number of them, as colors are kept for
    two by two pixels.

    Shapes: (frames, height, width, 3) -> the same, with an even height and width
    """
    odd = [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)]
    return np.pad(frames, odd, mode="edge")
