"""A language model that neither hears nor sees, behind the same verbs as a thinker.

It reads descriptions as a blind reader, and teaches a student whose words it shares.
"""

from typing import cast, final

import torch
from torch import Tensor, nn
from transformers import (
    DynamicCache,
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
"""Model types whose attention is no more than ours does: other families cap its logits, add sinks
or biases, or see a window only, all of which would be dropped without a word."""


@final
class TextModel(LanguageModel):
    """The parts of a causal language model of transformers."""

    def __init__(self, whole: PreTrainedModel) -> None:
        super().__init__(whole)
        self.language = cast(PreTrainedModel, whole.base_model)  # typed as any module
        self.head = cast(nn.Linear, whole.get_output_embeddings())
        self.embedding = cast(nn.Embedding, whole.get_input_embeddings())

    @property
    def towers(self) -> list[nn.Module]:
        """There are none."""
        return []

    def embed(
        self, batch: Batch, *, seen: Tensor | None = None, cache: TowerCache | None = None
    ) -> Tensor:
        """Embed all prompts, which must be of text alone.

        Shapes: seen (sum of P, D), without media to take over -> (sum of P, D)
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

    def read(
        self,
        embeddings: Tensor,
        positions: Tensor,
        *,
        cache: DynamicCache | None = None,
        **attention: object,
    ) -> Tensor:
        """Run the language model, head excluded; along text, the three positions are one.

        Shapes: embeddings (R, Q, D), positions (3, R, Q) -> (R, Q, D)
        """
        return super().read(embeddings, positions[0], cache=cache, **attention)


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
