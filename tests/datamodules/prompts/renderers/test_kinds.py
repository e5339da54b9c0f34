"""What models are not given, and how that is said."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig, AutoProcessor, BertConfig

from datamodules.media.files import MediaError
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.renderers.factory import build_renderer
from datamodules.prompts.renderers.unsupported import warn_left_out
from tests.conftest import clip, film, make_prompt, make_sample, picture
from tests.tiny_backbones import tiny


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("qwen2_audio", tmp_path_factory.mktemp("qwen2_audio"))


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("qwen2_5_vl", tmp_path_factory.mktemp("qwen2_5_vl"))


def test_the_sound_of_films_is_left_out_and_that_is_said_once(vision, caplog):
    warn_left_out.cache_clear()
    encoder, rng = PromptEncoder(str(vision)), np.random.default_rng(0)
    for _ in range(2):
        assert [one.kind for one in encoder.features(film(rng))] == ["video"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{vision} cannot hear: the sound of films is left out"
    ]


def test_a_model_without_ears_is_shown_the_frames_as_if_there_were_no_sound(vision):
    encoder, rng = PromptEncoder(str(vision)), np.random.default_rng(0)
    whole = film(rng)
    one, other = (
        make_prompt(encoder, make_sample(), [shown])
        for shown in (whole, replace(whole, audio=None))
    )
    assert one.token_ids.equal(other.token_ids)
    assert one.features[0].values.equal(other.features[0].values)


def test_of_a_film_whose_frames_are_withheld_a_model_without_ears_gets_nothing(vision):
    heard = replace(film(np.random.default_rng(0)), frames=None, fps=None)
    assert PromptEncoder(str(vision)).features(heard) == ()


def test_a_model_without_eyes_hears_the_sound_of_films(audio):
    encoder, rng = PromptEncoder(str(audio)), np.random.default_rng(0)
    whole = film(rng)
    (heard,) = encoder.features(whole)
    (alone,) = encoder.features(replace(clip(rng), audio=whole.audio))
    assert heard.values.equal(alone.values)
    assert encoder.features(replace(whole, audio=None)) == ()


def test_media_without_a_sense_for_them_stop_the_run(audio, vision):
    """A quarantine of all questions would say less."""
    rng = np.random.default_rng(0)
    for path, shown, words in (
        (vision, clip(rng), r"cannot hear, .*\(audio\).*no_audio.* a model that can hear"),
        (audio, picture(rng), r"cannot see, .*\(image\).*no_visual.* a model that can see"),
    ):
        with pytest.raises(ValueError, match=words) as info:
            PromptEncoder(str(path)).features(shown)
        assert not isinstance(info.value, MediaError)


def test_sounds_beyond_the_window_of_qwen2_audio_are_set_aside(audio):
    """The tiny one's window is two seconds."""
    encoder, rng = PromptEncoder(str(audio)), np.random.default_rng(0)
    (whole,) = encoder.features(clip(rng, 2.0))
    assert whole.tokens == 50  # of 200 frames
    with pytest.raises(MediaError, match=r"2\.1 s is longer than 2 s, .* cut it") as info:
        encoder.features(clip(rng, 2.1))
    assert info.value.kind == "too_long"


def test_only_omni_modal_models_take_sound_between_frames(vision):
    with pytest.raises(ValueError, match=r"audio_in_video=true, but .*qwen2_5_vl.* Leave"):
        PromptEncoder(str(vision), audio_in_video=True)


def test_a_type_that_nobody_knows_is_refused_by_name(vision):
    processor = AutoProcessor.from_pretrained(vision)
    with pytest.raises(ValueError, match=r"of type bert, which nobody here knows .* choose"):
        build_renderer("somewhere", BertConfig(), processor, audio_in_video=False)
    assert AutoConfig.from_pretrained(vision).model_type == "qwen2_5_vl"


def test_a_directory_without_a_model_is_answered_with_where_weights_are(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"config\.json cannot be loaded .* RUN/export"):
        PromptEncoder(str(tmp_path))
