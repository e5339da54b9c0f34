"""Sounds beyond any range: refused by whoever reads them, before they are mixed and resampled."""

import math
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import torch

from configs.schema import MediaConfig
from datamodules.media.decoders import LOUDEST
from datamodules.media.files import Decoded, MediaError, decode
from datamodules.prompts.renderers.features import Features, check_range
from datamodules.sample import Media
from tests.datamodules.media.test_files import film

BUDGET = MediaConfig(image_max_pixels=48 * 32, video_max_frames=4, audio_max_seconds=3.0)
ONE = np.linspace(0, 0.5, 8_000)

DAMAGE = {
    "a moderate multiple": 33.0,
    "8-bit integers": -128.0,
    "16-bit integers": 32_767.0,
    "huge": 1e18,
    "hugely negative": -1e30,
    "the largest": float(np.finfo(np.float32).max),
    "infinite": math.inf,
    "negatively infinite": -math.inf,
    "no number": math.nan,
}
BY_LIBSNDFILE = {
    "wav": ("WAV", "FLOAT"),
    "wav of doubles": ("WAV", "DOUBLE"),
    "wav extensible": ("WAVEX", "FLOAT"),
    "rf64": ("RF64", "FLOAT"),
    "w64": ("W64", "DOUBLE"),
    "aiff": ("AIFF", "FLOAT"),
    "aiff of doubles": ("AIFF", "DOUBLE"),
    "au": ("AU", "FLOAT"),
    "au of doubles": ("AU", "DOUBLE"),
    "caf": ("CAF", "FLOAT"),
    "caf of doubles": ("CAF", "DOUBLE"),
}
BY_FFMPEG = {
    "mka": ("matroska", "pcm_f32le"),
    "mka of doubles": ("matroska", "pcm_f64le"),
    "mov": ("mov", "pcm_f32le"),
    "mov of doubles": ("mov", "pcm_f64be"),
    "mp4": ("mp4", "pcm_f32le"),
}


def written(path: Path, how: str, samples: np.ndarray, rate: int = 16_000) -> None:
    """Write (samples, channels) as they are."""
    if how in BY_LIBSNDFILE:
        container, subtype = BY_LIBSNDFILE[how]
        soundfile.write(path, samples, rate, format=container, subtype=subtype)
        return
    container, codec = BY_FFMPEG[how]
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    form = "dbl" if "f64" in codec else "flt"
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=rate, layout=layout)
        for first in range(0, len(samples), 1000):
            packed = samples[first : first + 1000].reshape(1, -1)
            packed = packed.astype(np.float64 if form == "dbl" else np.float32)
            piece = av.AudioFrame.from_ndarray(packed, form, layout)
            piece.rate, piece.pts = rate, first
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))


def read(root: Path) -> np.ndarray:
    found = decode(root, Media(modality="audio", path="a.bin"), BUDGET).audio
    assert found is not None
    return found


EVERY = [*BY_LIBSNDFILE, *BY_FFMPEG]


@pytest.mark.parametrize("how", EVERY)
@pytest.mark.parametrize("damage", DAMAGE)
def test_one_sample_beyond_any_range_makes_a_sound_unreadable(tmp_path, how, damage):
    """In one of two channels, so that the mean of both may be within the range."""
    samples = np.stack([ONE, ONE], axis=1)
    samples[4_321, 1] = DAMAGE[damage]
    written(tmp_path / "a.bin", how, samples)
    with pytest.raises(MediaError, match="times full scale") as caught:
        read(tmp_path)
    assert (caught.value.kind, caught.value.path) == ("unreadable", "a.bin")


@pytest.mark.parametrize("how", EVERY)
def test_channels_do_not_cancel_out_what_is_damaged(tmp_path, how):
    written(tmp_path / "a.bin", how, np.stack([1e18 * ONE, -1e18 * ONE], axis=1))
    with pytest.raises(MediaError, match="times full scale"):
        read(tmp_path)


@pytest.mark.parametrize("how", EVERY)
@pytest.mark.parametrize("level", [1.0, 1.7, -4.0, 31.5, 1e-42, 0.0])
def test_floats_somewhat_beyond_full_scale_and_denormals_are_heard(tmp_path, how, level):
    written(tmp_path / "a.bin", how, np.full((8_000, 1), level))
    np.testing.assert_allclose(read(tmp_path), np.full(8_000, level), rtol=1e-6, atol=1e-44)


@pytest.mark.parametrize("rate", [1_000, 44_100, 48_000, 96_000])
def test_what_leaves_a_reader_after_resampling_is_within_the_range_or_refused(tmp_path, rate):
    """A square wave as loud as can be rings beyond the limit where its rate changes."""
    wave = LOUDEST * np.sign(np.sin(np.arange(rate) / 7))[:, None]
    written(tmp_path / "a.bin", "wav", wave, rate)
    with pytest.raises(MediaError, match="times full scale"):
        read(tmp_path)
    written(tmp_path / "a.bin", "wav", wave / 2, rate)
    assert np.abs(read(tmp_path)).max() <= LOUDEST


@pytest.mark.parametrize("ending", ["mov", "mkv"])
def test_a_film_whose_sound_is_damaged_is_not_shown(tmp_path, ending):
    film(tmp_path / "seen.mp4", frames=6)
    with (
        av.open(str(tmp_path / "seen.mp4")) as seen,
        av.open(str(tmp_path / f"a.{ending}"), "w") as file,
    ):
        pictures: Any = file.add_stream_from_template(seen.streams.video[0])
        sound: Any = file.add_stream("pcm_f32le", rate=16_000, layout="mono")
        for packet in seen.demux(seen.streams.video[0]):
            if packet.dts is not None:
                packet.stream = pictures
                file.mux(packet)
        piece = av.AudioFrame.from_ndarray(np.full((1, 8_000), 1e18, np.float32), "flt", "mono")
        piece.rate, piece.pts = 16_000, 0
        file.mux(sound.encode(piece) + sound.encode(None))
    media = Media(modality="video", path=f"a.{ending}")
    with pytest.raises(MediaError, match="times full scale"):
        decode(tmp_path, media, BUDGET)
    assert decode(tmp_path, media, BUDGET, sound=False).frames is not None


PIXELS = np.zeros((2, 4, 4, 3), np.uint8)
WAVE = np.zeros(9, np.float32)


@pytest.mark.parametrize(
    "parts",
    [
        {"audio": WAVE + np.float32(math.nan)},
        {"audio": WAVE - np.float32(1e18)},
        {"audio": WAVE.astype(np.float64)},
        {"audio": WAVE[None]},
        {"audio": WAVE[:0]},
        {"image": PIXELS[0].astype(np.float32)},
        {"image": PIXELS},
        {"frames": PIXELS[0], "fps": 1.0},
        {"frames": PIXELS, "fps": math.nan},
        {"frames": PIXELS, "fps": math.inf},
        {"frames": PIXELS, "fps": 0.0},
    ],
)
def test_nobody_makes_media_of_anything_but_pixels_and_sounds(parts):
    """Whatever reader or cache comes, what it makes is one of these."""
    with pytest.raises(MediaError, match=r"make it anew|convert it"):
        Decoded(modality="video", **parts)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e4, -1e9])
def test_features_beyond_any_range_never_reach_a_tower(encoder, monkeypatch, value):
    """As of a processor that divides by 0."""
    made = encoder.renderer.features

    def spoiled(decoded):
        found = made(decoded)
        found[0].values[3, 7] = value
        return found

    monkeypatch.setattr(encoder.renderer, "features", spoiled)
    with pytest.raises(MediaError, match="its processor makes"):
        encoder.features(Decoded(modality="audio", audio=ONE.astype(np.float32)))


def test_good_features_are_as_they_were():
    feature = Features(
        kind="image", values=torch.tensor([[-2.1, 2.6]]), grid=torch.ones(3), tokens=1
    )
    assert check_range(feature) is feature
