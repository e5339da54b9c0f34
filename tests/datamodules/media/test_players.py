"""Media as players show them: what was shown to a model, and nothing besides."""

import io

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from datamodules.media.files import Decoded
from datamodules.media.players import play

RNG = np.random.default_rng(5)


def tone(seconds: float, hertz: float = 440.0) -> np.ndarray:
    times = np.arange(round(16_000 * seconds)) / 16_000
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def test_a_picture_keeps_every_pixel():
    image = RNG.integers(0, 255, (5, 7, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(play(Decoded(modality="image", image=image)))) as shown:
        assert shown.format == "PNG" and np.array_equal(np.array(shown), image)


def test_a_sound_keeps_its_rate_its_length_and_16_bits():
    """0.3 s at 16 kHz are 4800 samples, each within half of 2**-15 and its rounding."""
    audio = tone(0.3)
    played, rate = soundfile.read(io.BytesIO(play(Decoded(modality="audio", audio=audio))))
    assert (rate, len(played)) == (16_000, 4800)
    assert np.abs(played - audio).max() <= 2**-15


@pytest.mark.parametrize(("height", "width"), [(56, 84), (31, 45)])
def test_a_film_keeps_its_frames_their_times_and_its_sound(height, width):
    """Six gray frames, 2.5 a second: at 0, 0.4, ... 2.0 s; colors are subsampled, hence even."""
    levels = (20, 220, 60, 180, 100, 140)
    frames = np.stack([np.full((height, width, 3), level, np.uint8) for level in levels])
    item = Decoded(modality="video", frames=frames, fps=2.5, audio=tone(2.4))
    with av.open(io.BytesIO(play(item))) as film:
        shown = [*film.decode(video=0)]
        film.seek(0)
        sound = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
    assert [frame.time for frame in shown] == pytest.approx([0, 0.4, 0.8, 1.2, 1.6, 2.0])
    assert (shown[0].height, shown[0].width) == (height + height % 2, width + width % 2)
    found = [frame.to_ndarray(format="gray").mean() for frame in shown]
    assert np.abs(np.subtract(found, levels)).max() < 8
    assert len(sound) == pytest.approx(2.4 * 16_000, abs=2048)  # whole frames of 1024 samples
    spectrum = np.abs(np.fft.rfft(sound[:32_000]))
    assert spectrum.argmax() * 16_000 / 32_000 == pytest.approx(440, abs=1)


def test_a_film_without_sound_has_no_track():
    frames = RNG.integers(0, 255, (2, 8, 8, 3), dtype=np.uint8)
    with av.open(io.BytesIO(play(Decoded(modality="video", frames=frames, fps=1.0)))) as film:
        assert (len(film.streams.video), len(film.streams.audio)) == (1, 0)


def test_a_film_of_a_frame_in_an_hour_can_be_played():
    """Slower than any player counts: the rate is bounded, and no frame is lost."""
    frames = RNG.integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    with av.open(io.BytesIO(play(Decoded(modality="video", frames=frames, fps=1 / 3600)))) as film:
        assert len([*film.decode(video=0)]) == 2
