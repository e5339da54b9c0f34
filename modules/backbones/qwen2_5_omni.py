"""Qwen2.5-Omni, as its thinker: it hears, sees and writes; who speaks is left out.

The module tree moved in transformers 5.21: up to 5.20 `thinker.{audio_tower, visual, model}`, since
then `thinker.model.{audio_tower, visual, language_model}`.
"""

from collections.abc import Mapping
from typing import cast, final

from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
)

from modules.backbones.sensing import SensingModel, see, visual_tokens

SPEAKING = ("talker.", "token2wav.")
"""Beginnings of the names of a whole model's tensors that are no thinker's."""


@final
class Qwen25Omni(SensingModel):
    """The parts of a Qwen2.5-Omni thinker, whichever transformers release built it."""

    def __init__(self, thinker: Qwen2_5OmniThinkerForConditionalGeneration) -> None:
        super().__init__(thinker)
        nested = hasattr(thinker.model, "language_model")  # since transformers 5.21
        towers = thinker.model if nested else thinker
        language = thinker.model.language_model if nested else thinker.model
        self.language = cast(PreTrainedModel, language)  # nn.Module types no attribute
        self.audio_tower = cast(PreTrainedModel, towers.audio_tower)
        self.vision_tower = cast(PreTrainedModel, towers.visual)
        self.head = thinker.lm_head
        self.embedding = cast(nn.Embedding, self.language.get_input_embeddings())
        self.config: Qwen2_5OmniThinkerConfig = thinker.config

    @property
    def towers(self) -> list[nn.Module]:
        """What hears, and what sees."""
        return [self.audio_tower, self.vision_tower]

    @property
    def media_ids(self) -> Mapping[str, int]:
        """The token that stands in each place of a medium."""
        return {
            "audio": self.config.audio_token_id,
            "image": self.config.image_token_id,
            "video": self.config.video_token_id,
        }

    def sense(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Hear, or see. Shapes: as `Batch` has them -> (tokens of all, D)"""
        if kind != "audio":
            return see(self.vision_tower, values, sizes)
        dtype = next(self.audio_tower.parameters()).dtype
        encoded = self.audio_tower(
            values.to(dtype), feature_lens=sizes, aftercnn_lens=(sizes - 1) // 2 + 1
        )
        states: Tensor = encoded.last_hidden_state
        return states

    def tokens(self, kind: str, sizes: Tensor) -> list[int]:
        """Count the places that each medium of one kind fills."""
        if kind != "audio":
            return visual_tokens(sizes, self.vision_tower.config.spatial_merge_size)
        counts: list[int] = (((sizes - 1) // 2 + 1 - 2) // 2 + 1).tolist()
        return counts
