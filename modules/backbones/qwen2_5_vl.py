"""Qwen2.5-VL: it sees pictures and films, and does not hear."""

from collections.abc import Mapping
from typing import cast, final

from torch import Tensor, nn
from transformers import PreTrainedModel, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from modules.backbones.sensing import SensingModel, see, visual_tokens


@final
class Qwen25VL(SensingModel):
    """The parts of a Qwen2.5-VL."""

    def __init__(self, whole: Qwen2_5_VLForConditionalGeneration) -> None:
        super().__init__(whole)
        self.language = cast(PreTrainedModel, whole.model.language_model)
        self.vision_tower = cast(PreTrainedModel, whole.model.visual)
        self.head = whole.lm_head
        self.embedding = cast(nn.Embedding, self.language.get_input_embeddings())
        self.config: Qwen2_5_VLConfig = whole.config

    @property
    def towers(self) -> list[nn.Module]:
        """What sees."""
        return [self.vision_tower]

    @property
    def media_ids(self) -> Mapping[str, int]:
        """The token that stands in each place of a picture or film."""
        return {"image": self.config.image_token_id, "video": self.config.video_token_id}

    def sense(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """See. Shapes: as `Batch` has them -> (tokens of all, D)"""
        return see(self.vision_tower, values, sizes)

    def tokens(self, kind: str, sizes: Tensor) -> list[int]:
        """Count the places that each picture or film fills."""
        return visual_tokens(sizes, self.vision_tower.config.spatial_merge_size)
