"""The thinker of a whole Qwen2.5-Omni: who speaks stays on disk."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5OmniConfig, Qwen2_5OmniForConditionalGeneration

from assets.make_tiny import SPECIAL, make_processor, make_thinker
from datamodules.prompts.encoder import PromptEncoder
from modules.backbones.loading import open_model
from tests.tiny_backbones import multimodal_rope, words

TALKER = {
    "vocab_size": 64,
    "embedding_size": 192,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "pad_token_id": 0,
}
TOKEN2WAV = {
    "dit_config": {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "head_dim": 16,
        "emb_dim": 16,
        "num_embeds": 30,
        "mel_dim": 8,
        "enc_emb_dim": 16,
        "enc_dim": 16,
        "enc_channels": [16, 16, 16, 16, 48],
        "enc_attention_channels": 8,
        "enc_se_channels": 8,
        "enc_res2net_scale": 2,
        "look_ahead_layers": [0],
        "look_backward_layers": [0],
    },
    "bigvgan_config": {
        "mel_dim": 8,
        "upsample_initial_channel": 16,
        "upsample_rates": [2],
        "upsample_kernel_sizes": [4],
        "resblock_kernel_sizes": [3],
        "resblock_dilation_sizes": [[1, 3, 5]],
    },
}


@pytest.fixture(scope="module")
def thinker():
    return make_thinker(words(extra=SPECIAL), seed=0)


@pytest.fixture
def whole(thinker, tmp_path) -> Path:
    """A checkpoint as Qwen2.5-Omni is published: thinker, talker and vocoder."""
    config = Qwen2_5OmniConfig(
        thinker_config=thinker.config.to_dict(),
        talker_config={**TALKER, "rope_parameters": multimodal_rope(2, 3, 3)},
        token2wav_config=TOKEN2WAV,
    )
    model = Qwen2_5OmniForConditionalGeneration(config)
    model.thinker.load_state_dict(thinker.state_dict())
    model.save_pretrained(tmp_path)
    make_processor(words(extra=SPECIAL)).save_pretrained(tmp_path)
    return tmp_path


def test_the_thinker_of_a_whole_model_is_loaded_and_nothing_else(whole, thinker):
    names = load_file(whole / "model.safetensors").keys()
    assert {name.partition(".")[0] for name in names} == {"thinker", "talker", "token2wav"}
    found = open_model(str(whole), dtype=torch.float32)
    expected = thinker.state_dict()
    assert found.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.state_dict().items())


def test_a_whole_model_is_spoken_to_as_its_thinker(whole, encoder):
    assert PromptEncoder(str(whole)).renderer.rope.position_id_per_seconds == 25
    assert encoder.renderer.rope.position_id_per_seconds == 25


@pytest.mark.parametrize(("name", "harm"), [("thinker", "missing"), ("nobody", "unexpected")])
def test_tensors_of_the_thinker_or_of_nobody_are_still_checked(whole, name, harm):
    tensors = load_file(whole / "model.safetensors")
    if harm == "missing":
        del tensors[next(key for key in tensors if key.startswith(f"{name}.visual"))]
    else:
        tensors[f"{name}.weight"] = torch.zeros(2)
    save_file(tensors, whole / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"1 {harm} tensors"):
        open_model(str(whole), dtype=torch.float32)
