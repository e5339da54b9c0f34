"""Load models of all kinds: the only place that switches on the type of a model."""

import torch
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5OmniThinkerForConditionalGeneration,
    Qwen2AudioForConditionalGeneration,
    Qwen3OmniMoeThinkerForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
)

from configs.policy import LoraConfig
from modules.backbones import qwen2_5_omni, qwen3_omni
from modules.backbones.adapters import add_adapters
from modules.backbones.base import ATTENTION, LanguageModel, load_strictly
from modules.backbones.qwen2_5_omni import Qwen25Omni
from modules.backbones.qwen2_5_vl import Qwen25VL
from modules.backbones.qwen2_audio import Qwen2Audio
from modules.backbones.qwen3_omni import Qwen3Omni
from modules.backbones.qwen3_vl import Qwen3VL
from modules.backbones.text import TextModel, load_text_model
from modules.kernels.attention import avoid_faulty_cudnn
from pretrained.loading import open_config


def load_model(
    path: str, *, dtype: torch.dtype, lora: LoraConfig | None, freeze_towers: bool
) -> PreTrainedModel:
    """Load a checkpoint strictly, and add adapters if they are configured."""
    whole = open_model(path, dtype=dtype)
    if lora is None:
        return whole
    parts = parts_of(whole)
    if isinstance(parts, TextModel):
        raise ValueError(
            f"{path} reads text alone, and model.lora.rank is {lora.rank}, but adapters are put "
            "beside the weights of models that hear or see only: set model.lora.rank=0."
        )
    add_adapters(parts, lora, towers=not freeze_towers)
    return whole


def open_model(path: str, *, dtype: torch.dtype) -> PreTrainedModel:
    """Load a model whose language model shares prompts; see `load_strictly`."""
    avoid_faulty_cudnn()
    whole = _read(path, dtype=dtype)
    parts_of(whole).language.set_attn_implementation(ATTENTION)
    return whole.train()


def _read(path: str, *, dtype: torch.dtype) -> PreTrainedModel:
    kind: type[PreTrainedModel]
    beside: tuple[str, ...] = ()
    match open_config(path).model_type:
        case "qwen2_5_omni" | "qwen2_5_omni_thinker":
            kind = Qwen2_5OmniThinkerForConditionalGeneration
            beside = qwen2_5_omni.SPEECH_PREFIXES
        case "qwen2_5_vl":
            kind = Qwen2_5_VLForConditionalGeneration
        case "qwen2_audio":
            kind = Qwen2AudioForConditionalGeneration
        case "qwen3_omni_moe" | "qwen3_omni_moe_thinker":
            kind = Qwen3OmniMoeThinkerForConditionalGeneration
            beside = qwen3_omni.SPEECH_PREFIXES
        case "qwen3_vl":
            kind = Qwen3VLForConditionalGeneration
        case _:
            return load_text_model(path, dtype=dtype)
    return load_strictly(kind, path, dtype=dtype, beside=beside)


def parts_of(whole: PreTrainedModel) -> LanguageModel:
    """Return the parts of a loaded model by name."""
    match whole:
        case Qwen2_5OmniThinkerForConditionalGeneration():
            return Qwen25Omni(whole)
        case Qwen2_5_VLForConditionalGeneration():
            return Qwen25VL(whole)
        case Qwen2AudioForConditionalGeneration():
            return Qwen2Audio(whole)
        case Qwen3OmniMoeThinkerForConditionalGeneration():
            return Qwen3Omni(whole)
        case Qwen3VLForConditionalGeneration():
            return Qwen3VL(whole)
        case _:
            return TextModel(whole)
