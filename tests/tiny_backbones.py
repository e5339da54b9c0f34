"""Every kind of model at a size for tests, made of transformers' own classes: weights are random,
tokens those of the shipped tokenizer and whatever the kind puts around media."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.functional import pad
from transformers import (
    BatchFeature,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
    Qwen2AudioProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3OmniMoeProcessor,
    Qwen3OmniMoeThinkerConfig,
    Qwen3OmniMoeThinkerForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
    WhisperFeatureExtractor,
)

from assets.make_tiny import CHAT_TEMPLATE, SPECIAL, make_processor, make_thinker
from datamodules.media.files import Decoded

TAKES = {
    "qwen2_5_omni": {"audio", "image", "video"},
    "qwen2_5_vl": {"image", "video"},
    "qwen2_audio": {"audio"},
    "qwen3_vl": {"image", "video"},
    "qwen3_omni": {"audio", "image", "video"},
}
"""By kind: the media that a question may show it."""

CLASSES: dict[str, type[PreTrainedModel]] = {
    "qwen2_5_omni": Qwen2_5OmniThinkerForConditionalGeneration,
    "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration,
    "qwen2_audio": Qwen2AudioForConditionalGeneration,
    "qwen3_vl": Qwen3VLForConditionalGeneration,
    "qwen3_omni": Qwen3OmniMoeThinkerForConditionalGeneration,
}
SIZE = {"shortest_edge": 56 * 56, "longest_edge": 56 * 56}
FILM_SIZE = {"shortest_edge": 56 * 56, "longest_edge": 64 * 56 * 56}
"""Qwen3-VL counts the pixels of all frames."""

TEXT = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
TOWER = {
    "depth": 3,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": TEXT["hidden_size"],
}
EARS = {
    "num_mel_bins": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "d_model": 32,
}
VISION = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
VL_TEMPLATE = (
    CHAT_TEMPLATE.replace("<|vision_bos|><|IMAGE|><|vision_eos|>", "{{ image }}")
    .replace("<|vision_bos|><|VIDEO|><|vision_eos|>", "{{ video }}")
    .replace("{{ image }}", "<|vision_start|><|image_pad|><|vision_end|>")
    .replace("{{ video }}", "<|vision_start|><|video_pad|><|vision_end|>")
)
"""Without a system turn, and with the tokens of Qwen's models that do not hear."""


def tiny(kind: str, path: Path) -> Path:
    """Write config, weights, processor and tokenizer of one kind to `path`."""
    torch.manual_seed(0)
    match kind:
        case "qwen2_5_omni":
            tokenizer = words(extra=SPECIAL)
            model: PreTrainedModel = make_thinker(tokenizer, seed=0)
            processor: Any = make_processor(tokenizer)
        case "qwen2_5_vl":
            tokenizer = words(VISION)
            model, processor = _qwen2_5_vl(tokenizer)
        case "qwen2_audio":
            tokenizer = words(["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"])
            model, processor = _qwen2_audio(tokenizer)
        case "qwen3_vl":
            tokenizer = words(VISION)
            model, processor = _qwen3_vl(tokenizer)
        case "qwen3_omni":
            tokenizer = words(extra=SPECIAL)
            model, processor = _qwen3_omni(tokenizer)
        case _:
            raise AssertionError(f"nobody made a tiny {kind}")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3.0)  # 0.02 is too small for an order of tokens to show
    model.save_pretrained(path)
    processor.save_pretrained(path)
    return path


def words(
    special: Sequence[str] = (), *, extra: dict[str, str] | None = None
) -> PreTrainedTokenizerFast:
    """Take the shipped tokenizer, and give it the special tokens of a kind.

    Args:
        extra: special tokens that the tokenizer itself has names for.
    """
    tokenizer = Tokenizer.from_file("assets/tiny/tokenizer.json")
    tokenizer.add_special_tokens([*special])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=extra or {},
    )


def text_settings(tokenizer: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """Describe a language model that knows the words of a tokenizer."""
    token = tokenizer.convert_tokens_to_ids
    ends = {"pad_token_id": token("<|endoftext|>"), "eos_token_id": token("<|im_end|>")}
    return {**TEXT, "vocab_size": len(tokenizer), **ends, **more}


def vision_ids(tokenizer: PreTrainedTokenizerFast, *tokens: str) -> dict[str, int]:
    """Name the tokens around and in the place of pictures and films, as configs do."""
    names = ("vision_start", "vision_end", "image", "video")
    ids = map(tokenizer.convert_tokens_to_ids, tokens)
    return {f"{name}_token_id": id_ for name, id_ in zip(names, ids, strict=True)}


def multimodal_rope(*sections: int) -> dict[str, Any]:
    """Describe positions along time, height and width."""
    return {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [*sections]}


def _qwen2_5_vl(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedModel, Any]:
    config = Qwen2_5_VLConfig(
        text_config=text_settings(tokenizer, rope_parameters=multimodal_rope(2, 2, 2)),
        vision_config={
            **TOWER,
            "fullatt_block_indexes": [1],
            "window_size": 28,  # of four windows, though pictures are small
            "tokens_per_second": 4,
        },
        **vision_ids(tokenizer, *VISION),
    )
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=SIZE),
        video_processor=Qwen2VLVideoProcessor(size=SIZE),
        tokenizer=tokenizer,
        chat_template=VL_TEMPLATE,
    )
    return Qwen2_5_VLForConditionalGeneration(config), processor


def _qwen2_audio(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedModel, Any]:
    config = Qwen2AudioConfig(
        audio_config={
            **EARS,
            "max_source_positions": 100,  # a window of two seconds
        },
        text_config=text_settings(tokenizer, model_type="qwen2"),
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    extractor = WhisperFeatureExtractor(feature_size=16, chunk_length=2)
    processor = Qwen2AudioProcessor(feature_extractor=extractor, tokenizer=tokenizer)
    return Qwen2AudioForConditionalGeneration(config), processor


def deepstacked_vision() -> dict[str, Any]:
    """Describe a tower of three layers, after two of which something is handed on."""
    return {
        **TOWER,
        "patch_size": 14,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0, 2],
    }


def _qwen3_vl(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedModel, Any]:
    config = Qwen3VLConfig(
        text_config=text_settings(tokenizer, head_dim=16, rope_parameters=multimodal_rope(4, 2, 2)),
        vision_config=deepstacked_vision(),
        **vision_ids(tokenizer, *VISION),
    )
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=SIZE),
        video_processor=Qwen3VLVideoProcessor(size=FILM_SIZE, patch_size=14),
        tokenizer=tokenizer,
        chat_template=VL_TEMPLATE,
    )
    return Qwen3VLForConditionalGeneration(config), processor


def _qwen3_omni(tokenizer: PreTrainedTokenizerFast) -> tuple[PreTrainedModel, Any]:
    token = tokenizer.convert_tokens_to_ids
    config = Qwen3OmniMoeThinkerConfig(
        audio_config={
            **EARS,
            "output_dim": TEXT["hidden_size"],
            "downsample_hidden_size": 8,
            "initializer_range": 0.1,  # through seven layers, little is left of 0.02
        },
        vision_config=deepstacked_vision(),
        text_config=text_settings(
            tokenizer,
            head_dim=16,
            rope_parameters=multimodal_rope(4, 2, 2),
            moe_intermediate_size=32,
            num_experts=5,
            num_experts_per_tok=2,
        ),
        position_id_per_seconds=13,
        audio_token_id=token("<|AUDIO|>"),
        audio_start_token_id=token("<|audio_bos|>"),
        audio_end_token_id=token("<|audio_eos|>"),
        **vision_ids(tokenizer, "<|vision_bos|>", "<|vision_eos|>", "<|IMAGE|>", "<|VIDEO|>"),
    )
    processor = Qwen3OmniMoeProcessor(
        image_processor=Qwen2VLImageProcessor(size=SIZE),
        video_processor=Qwen2VLVideoProcessor(size=SIZE),
        feature_extractor=WhisperFeatureExtractor(feature_size=16, return_attention_mask=True),
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
    )
    return Qwen3OmniMoeThinkerForConditionalGeneration(config), processor


def published(kind: str, path: Path) -> PreTrainedModel:
    """Load a kind as transformers alone would run it."""
    model: PreTrainedModel = CLASSES[kind].from_pretrained(path, attn_implementation="sdpa")
    if kind == "qwen2_5_vl":
        model.model.get_rope_index = partial(released_positions, model.config)
    return model.eval()


def released_positions(
    config: Qwen2_5_VLConfig,
    input_ids: Tensor,
    *_: Any,
    image_grid_thw: Tensor | None = None,
    video_grid_thw: Tensor | None = None,
    second_per_grid_ts: Sequence[float] | None = None,
    **__: Any,
) -> tuple[Tensor, Tensor]:
    """Number the tokens of one prompt as Qwen2.5-VL was released, token by token.

    From 5.3 on, transformers lets what follows a film stand at positions of its later frames, and
    5.17 rounds the seconds between frames down; before, and in vLLM, it is as here.
    """
    grids = {
        config.image_token_id: [] if image_grid_thw is None else image_grid_thw.tolist(),
        config.video_token_id: [] if video_grid_thw is None else video_grid_thw.tolist(),
    }
    seconds, columns, start, place = [*map(float, second_per_grid_ts or ())], [], 0, 0
    ids = input_ids[0].tolist()
    while place < len(ids):
        steps, height, width = 1, 1, 1
        apart = 0.0
        if grids.get(ids[place]):
            steps, height, width = grids[ids[place]].pop(0)
            height, width = height // 2, width // 2
            if ids[place] == config.video_token_id:
                apart = seconds.pop(0) * config.vision_config.tokens_per_second
        block = [
            (start + int(t * apart), start + y, start + x)
            for t in range(steps)
            for y in range(height)
            for x in range(width)
        ]
        columns += block
        start, place = max(map(max, block)) + 1, place + len(block)
    positions = torch.tensor(columns).T.unsqueeze(1)  # (3, 1, P)
    return positions, torch.tensor([[start - len(ids)]])


def processed(kind: str, processor: Any, text: str, media: Sequence[Decoded]) -> BatchFeature:
    """Have a kind's own processor make all of its model's inputs in one call; one film at most."""
    films = [medium for medium in media if medium.frames is not None]
    sounds = [medium.audio for medium in media if medium.audio is not None]
    shown: dict[str, Any] = {
        "images": [medium.image for medium in media if medium.image is not None],
        "videos": [torch.from_numpy(film.frames).permute(0, 3, 1, 2) for film in films],
        "audio": sounds if "audio" in TAKES[kind] else [],
    }
    fps = films[0].fps if films else None
    match kind:
        case "qwen2_5_omni" | "qwen3_omni":
            shown["videos_kwargs"] = {"do_sample_frames": False, "fps": fps, "size": SIZE}
        case "qwen2_5_vl" | "qwen3_vl":
            shown["videos_kwargs"] = {
                "do_sample_frames": False,
                "video_metadata": [
                    {
                        "fps": fps,
                        "total_num_frames": len(film.frames),
                        "frames_indices": [*range(len(film.frames))],
                    }
                    for film in films
                ],
            }
        case "qwen2_audio":
            shown["sampling_rate"] = 16_000
    shown = {name: value for name, value in shown.items() if value}
    inputs: BatchFeature = processor(text=[text], return_tensors="pt", **shown)
    if kind == "qwen3_omni" and sounds:  # which pads a clip by what it is in company with
        inputs.update(each_alone(processor, sounds))
    return inputs


def each_alone(processor: Any, sounds: Sequence[Any]) -> dict[str, torch.Tensor]:
    """Have a processor make spectra of sounds that it is given one by one, put side by side."""
    text = [processor.audio_token]
    calls = [processor(text=text, audio=[sound], return_tensors="pt") for sound in sounds]
    names = ("input_features", "feature_attention_mask")
    longest = max(call["input_features"].shape[-1] for call in calls)
    return {
        name: torch.cat([pad(call[name], (0, longest - call[name].shape[-1])) for call in calls])
        for name in names
    }
