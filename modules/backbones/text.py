"""A language model of text alone, with the interface of a thinker.

It serves as a reader of descriptions, and as a teacher of a student with the same vocabulary.
"""

from typing import cast, final

import torch
from torch import Tensor, nn
from transformers import (
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2ForCausalLM,
    Qwen3ForCausalLM,
)

from datamodules.batch import Batch
from modules.backbones.base import LanguageModel, load_strictly
from modules.backbones.tower_cache import TowerCache
from pretrained.loading import open_config

FAMILIES: dict[str, type[PreTrainedModel]] = {
    "llama": LlamaForCausalLM,
    "qwen2": Qwen2ForCausalLM,
    "qwen3": Qwen3ForCausalLM,
}
"""Model types whose attention is what ours computes: other families cap its logits, add sinks or
biases, or attend to a window only, all of which would be dropped silently."""


@final
class TextModel(LanguageModel):
    """The parts of a causal language model of transformers."""

    axes = 1

    def __init__(self, whole: PreTrainedModel) -> None:
        super().__init__(whole)
        self.language = cast(PreTrainedModel, whole.base_model)  # typed as any module
        self.head = cast(nn.Linear, whole.get_output_embeddings())
        self.embedding = cast(nn.Embedding, whole.get_input_embeddings())

    @property
    def towers(self) -> list[nn.Module]:
        """None."""
        return []

    def embed(
        self,
        batch: Batch,
        *,
        cached_encoding: Tensor | None = None,
        cache: TowerCache | None = None,
    ) -> Tensor:
        """Embed all prompts, which must be of text alone.

        Shapes: cached_encoding (sum of P, D), ignored -> (sum of P, D)
        """
        for sample, kinds in zip(batch.samples, batch.media, strict=True):
            if kinds:
                raise ValueError(
                    f"{sample.id} comes with {', '.join(sorted({*kinds}))}, but "
                    f"{self.whole.name_or_path or 'this model'} reads text alone: withhold the "
                    "media, or choose an omni-modal model."
                )
        embeddings: Tensor = self.embedding(batch.prompt_ids)
        return embeddings


def load_text_model(path: str, *, dtype: torch.dtype) -> PreTrainedModel:
    """Load a causal language model that shares prompts; see `load_strictly`."""
    config = open_config(path)
    windows = {*(getattr(config, "layer_types", None) or ())} - {"full_attention"}
    if config.model_type not in FAMILIES or windows:
        raise ValueError(
            f"{path} is of type {config.model_type}{' with windows' if windows else ''}, whose "
            "attention prompts cannot be shared in. Qwen2.5-Omni, Qwen3-Omni, Qwen2-Audio, "
            "Qwen2.5-VL and Qwen3-VL can be opened, and text models of full attention of the types "
            f"{', '.join(FAMILIES)}: choose one."
        )
    return load_strictly(FAMILIES[config.model_type], path, dtype=dtype)
