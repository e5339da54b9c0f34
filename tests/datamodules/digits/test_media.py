"""The media of the digits set: what their files hold, and who speaks."""

import random

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from datamodules.digits.media_pool import ShuffledPool, plan
from datamodules.digits.pictures import SIDE, Picture
from datamodules.digits.speech import ACCENTS, Voice, espeak, speakers
from tests.datamodules.digits.conftest import paths, rows
from tests.small_digits import AMOUNT, SPLITS


def test_splits_share_no_speaker_under_two_names():
    people = [set(variants) for variants in speakers()]
    assert sum(map(len, people)) == len(set.union(*people))
    assert {"iven", "iven2", "iven3", "iven4"} in people
    assert {"f1"} in people and {"m3"} in people


def test_every_file_named_exists(root):
    named = {path for row in rows(root) for path in paths(row)}
    assert named and all((root / path).is_file() for path in named)


def test_pictures_decode_to_squares_in_color(root):
    files = sorted(root.glob("media/*/image/*.png"))
    assert files
    for file in files:
        with Image.open(file) as image:
            assert (image.size, image.mode) == ((SIDE, SIDE), "RGB")
            assert np.asarray(image).std() > 10


def test_sounds_decode_to_one_channel_that_is_heard(root):
    files = sorted([*root.glob("media/*/audio/*.flac"), *root.glob("media/*/audio/*.wav")])
    assert {file.suffix for file in files} == {".flac", ".wav"}
    for file in files:
        samples, rate = soundfile.read(file)
        assert (samples.ndim, rate) == (1, 16_000)
        assert 0.01 < np.abs(samples).max() <= 1


def test_clips_are_short(root):
    """One digit lasts 0.25 to 0.8 seconds; two in order (index 20 and up) under 1.6."""
    for split in SPLITS:
        files = sorted((root / "media" / split / "audio").glob("?????.flac"))
        seconds = [soundfile.info(file).duration for file in files]
        assert len(seconds) == 24
        assert all(0.25 <= length <= 0.8 for length in seconds[:20])
        assert all(0.5 < length < 1.6 for length in seconds[20:])


def test_films_decode_to_frames_and_sound(root):
    files = sorted(root.glob("media/*/video/*.mp4"))
    assert files
    for file in files:
        with av.open(str(file)) as film:
            seen = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        with av.open(str(file)) as film:
            heard = np.concatenate([frame.to_ndarray()[0] for frame in film.decode(audio=0)])
            assert film.streams.audio[0].rate == 16_000
        assert np.stack(seen).shape == (8, SIDE, SIDE, 3)
        assert 32_000 <= len(heard) <= 33_024 and heard.std() > 0


def test_another_seed_plans_other_media():
    def planned(seed):
        rng = np.random.default_rng(seed)
        return plan("val", AMOUNT, numbers=range(20), variants=["f1", "m1"], rng=rng)

    assert planned(1) == planned(1)
    assert planned(1) != planned(2)


def test_an_unknown_voice_is_refused():
    """espeak-ng itself would go on in the voice before."""
    with pytest.raises(ValueError, match=r"no voice 'en-mars\+f1'.*choose one of speakers"):
        espeak().say("one", Voice(accent="en-mars", variant="f1"), speed=150, pitch=50, melody=50)


def test_every_accent_is_known():
    for accent in ACCENTS:
        voice = Voice(accent=accent, variant="m1")
        word = espeak().say("three", voice, speed=150, pitch=50, melody=50)
        assert 2_000 < len(word) < 12_800


def test_a_deck_deals_all_before_any_twice():
    items = [Picture(path=str(i), asset="", seed=i, digit=0, ink=bytes(64)) for i in range(7)]
    pool, rng = ShuffledPool(items), random.Random(3)
    rounds = [[pool.draw(rng) for _ in items] for _ in range(2)]
    assert all(set(dealt) == set(items) for dealt in rounds)
    assert rounds[0] != rounds[1]
