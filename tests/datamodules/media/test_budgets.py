"""What all media of one prompt may be together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from configs.schema import DataConfig, MediaConfig
from datamodules.loading.media_reader import MediaReader
from datamodules.media.ablation import MediaAblation
from datamodules.media.budgets import shared_budget
from datamodules.media.files import MediaError, Size
from datamodules.prompts.encoder import PromptEncoder
from datamodules.sample import Media
from tests.datamodules.media.test_files import film
from tests.tiny_backbones import tiny

BUDGET = MediaConfig(image_max_pixels=5000, video_max_frames=4, audio_max_seconds=9.0)
PICTURE, FILM = Size(pictures=1, pixels=900), Size(pictures=4, pixels=500, seconds=2.5)
CLIP = Size(seconds=4.0)


def shared(*sizes: Size, **limits: float) -> MediaConfig:
    return shared_budget(sizes, replace(BUDGET, **limits))


@pytest.mark.parametrize(
    ("limit", "level"),
    [(0, 5000), (2900, 5000), (2899, 899), (2501, 501), (2500, 500), (2499, 499), (13, 2)],
)
def test_only_larger_pictures_are_scaled_to_the_level_that_fits(limit, level):
    """One picture of 900 pixels and four frames of 500 are 2900.

    For 2501 the frames keep their 2000 and the picture gets 501; for 2499 all five get 499 of 2495.
    """
    budget = shared(PICTURE, CLIP, FILM, prompt_max_pixels=limit)
    assert budget.image_max_pixels == level
    assert replace(budget, image_max_pixels=5000) == replace(BUDGET, prompt_max_pixels=limit)


def test_pictures_that_cannot_have_a_pixel_each_are_refused():
    with pytest.raises(MediaError, match=r"5 pictures and frames do not share 4 pixels.*raise it"):
        shared(PICTURE, FILM, prompt_max_pixels=4)


def test_sound_adds_up_and_is_never_cut():
    """4 and 2.5 s."""
    for limit in (0.0, 6.5, 7.0):
        assert shared(CLIP, FILM, prompt_max_audio_seconds=limit).image_max_pixels == 5000
    with pytest.raises(MediaError, match=r"6\.5 s .*prompt_max_audio_seconds is 6\.4") as caught:
        shared(CLIP, FILM, prompt_max_audio_seconds=6.4)
    assert caught.value.kind == "too_long"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A picture of 60 x 40, a film of 48 x 32 with 0.5 s of sound, and 1.5 s of sound."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    film(tmp_path / "a.mp4", frames=6, sound=0.5)
    soundfile.write(tmp_path / "a.wav", rng.normal(size=24_000) * 0.1, 16_000)
    return tmp_path


MEDIA = (
    Media(modality="image", path="a.png"),
    Media(modality="video", path="a.mp4"),
    Media(modality="audio", path="a.wav"),
)


def reader(root: Path, encoder, **limits: float) -> MediaReader:
    data = DataConfig(name="a", root=str(root), media=replace(BUDGET, **limits))
    return MediaReader([], data=data, encoder=encoder)


def test_a_prompt_without_limits_is_not_measured(root, encoder):
    made = reader(root, encoder)
    assert made.budget(MEDIA) is made.data.media
    assert made._size.cache_info().misses == 0


def test_a_prompt_is_measured_by_headers_alone(root, encoder):
    """2400 and 4 times 1536 pixels; 1200 for each of five."""
    made = reader(root, encoder, prompt_max_pixels=6000, prompt_max_audio_seconds=3.0)
    assert made.budget(MEDIA).image_max_pixels == 1200
    assert made.budget(MEDIA[:1]).image_max_pixels == 5000
    assert made.decoded.misses == 0


def test_too_much_sound_in_all_names_a_file(root, encoder):
    made = reader(root, encoder, prompt_max_audio_seconds=1.8)
    with pytest.raises(MediaError, match=r"2\.\d s of sound in all") as caught:
        made.budget(MEDIA[1:])
    assert caught.value.path == "a.mp4"
    assert made.budget(MEDIA[2:]) is made.data.media


def test_media_have_features_for_each_budget_that_they_are_shown_in(root, encoder):
    """A picture alone, and beside four others with 2/5 of its pixels."""
    made = reader(root, encoder, prompt_max_pixels=5000)
    sizes = []
    for shown in (MEDIA[:1], MEDIA[:2], MEDIA[:1]):
        [picture] = made.left(MEDIA[0], "a", MediaAblation(), made.budget(shown))
        sizes.append(picture.image.shape[:2])
    assert sizes == [(40, 60), (25, 38), (40, 60)]
    assert made.decoded.misses == 2


def test_who_cannot_hear_is_spared_the_sound_of_films_however_long(root, tmp_path_factory):
    """The film has 0.4 s of sound, more than the budget: an error for those who would hear it."""
    film(root / "long.mp4", frames=4, sound=0.4)
    long = Media(modality="video", path="long.mp4")
    deaf = PromptEncoder(str(tiny("qwen2_5_vl", tmp_path_factory.mktemp("vl"))))
    shown = reader(root, deaf, audio_max_seconds=0.2, prompt_max_audio_seconds=0.2)
    budget = shown.budget([long])
    [(feature,)] = shown.features(long, "", MediaAblation(), budget)
    assert feature.kind == "video"


def test_who_can_hear_is_not(root, encoder):
    film(root / "long.mp4", frames=4, sound=0.4)
    long = Media(modality="video", path="long.mp4")
    heard = reader(root, encoder, audio_max_seconds=0.2)
    with pytest.raises(MediaError, match=r"0\.4 s of sound, but data\.media\.audio_max_seconds"):
        heard.features(long, "", MediaAblation(), heard.data.media)
