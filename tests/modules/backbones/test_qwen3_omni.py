"""What is Qwen3-Omni's own: experts, sounds that are heard alone, and fractions."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.batch import Completions
from datamodules.media.files import MediaError
from datamodules.prompts.collate import collate
from datamodules.prompts.renderers import qwen3_omni as renderer
from modules.backbones import qwen3_omni as backbone
from modules.policy.omni import OmniModel
from tests.conftest import clip, film, make_prompt, make_sample, picture
from tests.tiny_backbones import tiny


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny("qwen3_omni", tmp_path_factory.mktemp("thinker"))


@pytest.mark.parametrize(
    ("frames", "tokens"),
    [(0, 0), (1, 1), (8, 1), (9, 2), (99, 13), (100, 13), (101, 14), (250, 33)],
)
def test_frames_of_a_sound_are_halved_three_times_in_windows_of_a_hundred(frames, tokens):
    """250 frames are two windows of 13 and 50 frames, halved to 25, 13 and 7."""
    assert backbone.count_audio_tokens(frames, 50) == tokens
    assert renderer.heard_tokens(frames, 50) == tokens


def test_sounds_are_heard_as_if_each_were_alone(path, speaker):
    """Of 0.3 and 0.6 s, padded to the longest of their company by the tower itself, and 1.7 s."""
    parts = OmniModel.load(str(path), speaker.tokenizer).backbone
    rng = np.random.default_rng(4)
    clips = [speaker.features(clip(rng, seconds))[0] for seconds in (0.3, 1.7, 0.6)]
    together = torch.cat([one.values for one in clips], dim=1), torch.cat([o.grid for o in clips])
    alone = [parts.audio_tower(o.values, feature_lens=o.grid).last_hidden_state for o in clips]
    found = parts.encode_media("audio", *together)
    torch.testing.assert_close(found[:, :48], torch.cat(alone))
    assert not found[:, 48:].any()  # nothing is heard in deeper layers
    company = parts.audio_tower(together[0], feature_lens=together[1]).last_hidden_state
    assert (company - torch.cat(alone)).abs().max() > 1e-3


def test_a_sound_shorter_than_a_spectrum_takes_is_set_aside(speaker):
    with pytest.raises(MediaError, match="399 samples is shorter than the 400 that"):
        speaker.features(clip(np.random.default_rng(0), 399 / 16_000))


def test_time_is_not_rounded_to_whole_positions(speaker):
    """Two frames to a step at 4 a second are half a second, 6.5 of 13 positions."""
    shown = replace(film(np.random.default_rng(0)), audio=None)
    prompt = make_prompt(speaker, make_sample(), [shown])
    steps = prompt.positions[0][prompt.token_ids == speaker.tokenizer.video_token_id]
    assert (steps.unique() - steps[0]).tolist() == [0, 6.5, 13, 19.5]


def test_what_is_seen_reaches_deeper_layers_and_what_is_said_does_not(path, speaker):
    """Behind the 48 that the first layer reads stand 48 for each of two more."""
    model = OmniModel.load(str(path), speaker.tokenizer)
    rng = np.random.default_rng(0)
    prompt = make_prompt(speaker, make_sample(), [picture(rng), clip(rng, 1.0)])
    batch = collate([make_sample()], [prompt], step=0)
    encoded = model.embed_prompts(batch)
    assert encoded.shape[1] == 3 * 48
    seen = prompt.token_ids == speaker.tokenizer.image_token_id
    assert encoded[seen, 48:].abs().min() > 0
    assert not encoded[~seen, 48:].any()
    said = Completions.of([[30, 40, 50]], [0])
    before = model.logprobs(batch, said, encoded=encoded)
    for deeper in (slice(48, 96), slice(96, 144)):
        blinded = encoded.clone()
        blinded[:, deeper] = 0
        assert (model.logprobs(batch, said, encoded=blinded) - before).abs().max() > 1e-4


def test_earlier_encodings_are_taken_over_with_all_that_deeper_layers_add(path, speaker):
    model = OmniModel.load(str(path), speaker.tokenizer)
    prompt = make_prompt(speaker, make_sample(), [picture(np.random.default_rng(0))])
    batch = collate([make_sample()], [prompt], step=0)
    encoded = model.embed_prompts(batch)
    again = model.embed_prompts(batch, cached_encoding=encoded)
    assert torch.equal(again, encoded)
    model.zero_grad()
    again.sum().backward()
    assert all(p.grad is None for tower in model.backbone.towers for p in tower.parameters())
