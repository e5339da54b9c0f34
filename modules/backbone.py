"""The one place that knows where transformers keeps the parts of an omni-modal thinker.

The module tree moved in transformers 5.21: up to 5.20 `thinker.{audio_tower, visual, model}`, since
then `thinker.model.{audio_tower, visual, language_model}`. Everything else asks a `Backbone`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    DynamicCache,
    PreTrainedModel,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
)

from datamodules.batch import Batch
from modules.kernels.attention import language_attention

ATTENTION = "earwitness"
"""Name under which transformers finds our attention."""

AttentionInterface.register(ATTENTION, language_attention)


class Backbone:
    """Name the parts of a Qwen2.5-Omni thinker, whichever transformers release built it."""

    def __init__(self, thinker: Qwen2_5OmniThinkerForConditionalGeneration) -> None:
        nested = hasattr(thinker.model, "language_model")  # since transformers 5.21
        towers = thinker.model if nested else thinker
        self.thinker = thinker
        language = thinker.model.language_model if nested else thinker.model
        self.language = cast(PreTrainedModel, language)  # nn.Module types no attribute
        self.audio_tower = cast(PreTrainedModel, towers.audio_tower)
        self.vision_tower = cast(PreTrainedModel, towers.visual)
        self.head: nn.Linear = thinker.lm_head
        self.embedding = cast(nn.Embedding, self.language.get_input_embeddings())
        self.config: Qwen2_5OmniThinkerConfig = thinker.config

    @property
    def frozen_towers(self) -> bool:
        """Tell whether nothing in the towers is trained."""
        towers = (self.audio_tower, self.vision_tower)
        return not any(p.requires_grad for tower in towers for p in tower.parameters())

    def checkpoint_gradients(self) -> None:
        """Recompute activations in the backward pass, in towers and language model alike."""
        # The name changed in transformers 5.2x; the old one warns until it goes.
        enable = getattr(self.thinker, "activation_checkpointing_enable", None)
        (enable or self.thinker.gradient_checkpointing_enable)({"use_reentrant": False})

    def hear(self, batch: Batch) -> Tensor | None:
        """Encode all clips of a batch in one pass. Shapes: -> (audio tokens, D)"""
        if batch.audio is None or batch.audio_lens is None:
            return None
        dtype = next(self.audio_tower.parameters()).dtype
        after_convolution = (batch.audio_lens - 1) // 2 + 1
        encoded = self.audio_tower(
            batch.audio.to(dtype), feature_lens=batch.audio_lens, aftercnn_lens=after_convolution
        )
        states: Tensor = encoded.last_hidden_state
        return states

    def see(self, patches: Tensor | None, grid: Tensor | None) -> Tensor | None:
        """Encode all images, or all videos, in one pass.

        Shapes: patches (sum of patches, patch volume), grid (items, 3) -> (visual tokens, D)
        """
        if patches is None:
            return None
        dtype = next(self.vision_tower.parameters()).dtype
        states: Tensor = self.vision_tower(patches.to(dtype), grid_thw=grid).pooler_output
        return states

    def read(
        self,
        embeddings: Tensor,
        positions: Tensor,
        *,
        cache: DynamicCache | None = None,
        **attention: object,
    ) -> Tensor:
        """Run the language model, head excluded.

        Shapes: embeddings (R, Q, D), positions (3, R, Q) -> (R, Q, D)
        """
        states: Tensor = self.language(
            inputs_embeds=embeddings,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            **attention,
        ).last_hidden_state
        return states


def load_thinker(path: str, *, dtype: torch.dtype) -> Qwen2_5OmniThinkerForConditionalGeneration:
    """Load weights, or stop: no missing, unexpected or misshapen tensor is glossed over.

    transformers only warns, and the run then trains a partly random model.
    """
    # typed as a model alone, but a pair with output_loading_info
    loaded: Any = Qwen2_5OmniThinkerForConditionalGeneration.from_pretrained(
        path,
        dtype=dtype,
        attn_implementation="sdpa",
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported below with the others, never ignored
    )
    thinker: Qwen2_5OmniThinkerForConditionalGeneration
    thinker, report = loaded
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in report[kind])
        if names:
            raise ValueError(
                f"{path} does not fit a Qwen2.5-Omni thinker: {len(names)} {kind.split('_')[0]} "
                f"tensors (first: {', '.join(names[:3])}). Every tensor must be found with its "
                "shape; choose the model= that these weights were saved from."
            )
    Backbone(thinker).language.set_attn_implementation(ATTENTION)
    return thinker.train()


def save_thinker(
    thinker: Qwen2_5OmniThinkerForConditionalGeneration, path: Path, weights: dict[str, Tensor]
) -> None:
    """Write a directory that transformers and vLLM load: config and safetensors."""
    thinker.save_pretrained(path, state_dict=weights)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Compute as in evaluation, inside."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
