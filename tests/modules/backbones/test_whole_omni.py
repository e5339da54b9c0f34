"""The thinker of a whole Omni model: who speaks stays on disk."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    Qwen2_5OmniConfig,
    Qwen2_5OmniForConditionalGeneration,
    Qwen3OmniMoeConfig,
    Qwen3OmniMoeForConditionalGeneration,
)

from datamodules.prompts.encoder import PromptEncoder
from modules.backbones.loading import open_model
from modules.policy.omni import OmniModel
from tests.tiny_backbones import multimodal_rope, published, tiny

LAYERS = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
}
TALKER_2_5: dict[str, Any] = {
    **LAYERS,
    "embedding_size": 192,
    "pad_token_id": 0,
    "rope_parameters": multimodal_rope(2, 3, 3),
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
EXPERTS = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2}
TALKER_3: dict[str, Any] = {
    "text_config": {
        **LAYERS,
        **EXPERTS,
        "shared_expert_intermediate_size": 16,
        "rope_parameters": multimodal_rope(4, 2, 2),
    },
    "code_predictor_config": {**LAYERS, "num_code_groups": 2},
    "num_code_groups": 2,
    "thinker_hidden_size": 48,
    "accept_hidden_layer": 1,
    "spatial_merge_size": 2,
}
CODE2WAV = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "codebook_size": 16,
    "num_quantizers": 2,
    "decoder_dim": 32,
    "upsample_rates": [2],
    "upsampling_ratios": [2],
}


@pytest.fixture(scope="module", params=["qwen2_5_omni", "qwen3_omni"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def path(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(kind, tmp_path_factory.mktemp("thinker"))


@pytest.fixture
def whole(kind: str, path: Path, tmp_path: Path) -> Path:
    """A checkpoint as it is published: thinker, talker and vocoder."""
    thinker = published(kind, path)
    described = thinker.config.to_dict()
    if kind == "qwen2_5_omni":
        model = Qwen2_5OmniForConditionalGeneration(
            Qwen2_5OmniConfig(
                thinker_config=described, talker_config=TALKER_2_5, token2wav_config=TOKEN2WAV
            )
        )
    else:
        model = Qwen3OmniMoeForConditionalGeneration(
            Qwen3OmniMoeConfig(
                thinker_config=described, talker_config=TALKER_3, code2wav_config=CODE2WAV
            )
        )
    model.thinker.load_state_dict(thinker.state_dict())
    model.save_pretrained(tmp_path)
    PromptEncoder(str(path)).processor.save_pretrained(tmp_path)
    return tmp_path


def alike(one: Path, other: Path) -> bool:
    """Whether two directories are opened as the same weights."""
    found, expected = (open_model(str(x), dtype=torch.float32).state_dict() for x in (one, other))
    assert found.keys() == expected.keys()
    return all(torch.equal(value, expected[name]) for name, value in found.items())


def test_the_thinker_of_a_whole_model_is_loaded_and_nothing_else(kind, path, whole):
    names = load_file(whole / "model.safetensors").keys()
    vocoder = "token2wav" if kind == "qwen2_5_omni" else "code2wav"
    assert {name.partition(".")[0] for name in names} == {"thinker", "talker", vocoder}
    if kind == "qwen3_omni":  # as it is published
        assert "thinker.model.layers.0.mlp.experts.3.up_proj.weight" in names
    assert alike(whole, path)


def test_what_is_saved_of_a_whole_model_is_a_thinker(whole, tmp_path):
    saved = tmp_path / "saved"
    OmniModel.load(str(whole), PromptEncoder(str(whole)).tokenizer).save(saved)
    assert AutoConfig.from_pretrained(saved).model_type.endswith("_thinker")
    assert alike(saved, whole)


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


def test_a_whole_model_is_spoken_to_as_its_thinker(kind, path, whole):
    expected = {"qwen2_5_omni": 25, "qwen3_omni": 13}[kind]
    for place in (whole, path):
        assert PromptEncoder(str(place)).renderer.rope.position_id_per_seconds == expected
