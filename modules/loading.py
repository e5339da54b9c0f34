"""The one place that tells kinds of models apart: omni-modal thinkers, and models of text alone."""

import torch
from transformers import (
    AutoConfig,
    PreTrainedModel,
    Qwen2_5OmniThinkerForConditionalGeneration,
)

from configs.inputs import LoraConfig
from modules.adapters import add_adapters
from modules.backbone import Backbone, LanguageModel, load_thinker
from modules.text_backbone import TextBackbone, load_text_model


def load_model(
    path: str, *, dtype: torch.dtype, lora: LoraConfig | None, freeze_towers: bool
) -> PreTrainedModel:
    """Read a checkpoint strictly, and put adapters beside its weights where they are asked for."""
    if AutoConfig.from_pretrained(path).model_type.startswith("qwen2_5_omni"):
        thinker = load_thinker(path, dtype=dtype)
        if lora is not None:
            add_adapters(thinker, lora, towers=not freeze_towers)
        return thinker
    if lora is not None:
        raise ValueError(
            f"{path} reads text alone, and model.lora.rank is {lora.rank}, but adapters are put "
            "beside the weights of omni-modal thinkers only: set model.lora.rank=0."
        )
    return load_text_model(path, dtype=dtype)


def parts_of(whole: PreTrainedModel) -> LanguageModel:
    """Name the parts of a model that was loaded."""
    if isinstance(whole, Qwen2_5OmniThinkerForConditionalGeneration):
        return Backbone(whole)
    return TextBackbone(whole)
