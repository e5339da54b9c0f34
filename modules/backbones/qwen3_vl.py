"""Qwen3-VL: images and videos in. Features from several depths of the vision tower are added behind
the first layers of the language model, too (DeepStack, arXiv 2406.04334)."""

from typing import final

import torch
from torch import Tensor
from transformers import DynamicCache

from modules.backbones.multimodal import VisionModel, VisualModel


class Deepstacked(VisualModel):
    """A model whose embeddings hold, after the D for the first layer, D for each layer behind which
    visual features are added: zeros where there are none, so that adding changes nothing."""

    @property
    def width(self) -> int:
        """D_in, of what `embed` returns: D for the first layer and for each with features added."""
        depths: list[int] = self.vision_tower.config.deepstack_visual_indexes
        return super().width * (1 + len(depths))

    def encode_visual(self, patches: Tensor, grid: Tensor) -> Tensor:
        """Encode images or videos.

        Shapes: patches (sum of patches, patch volume), grid (items, 3) -> (visual tokens, D_in)
        """
        dtype = next(self.vision_tower.parameters()).dtype
        seen = self.vision_tower(patches.to(dtype), grid_thw=grid)
        return torch.cat([seen.pooler_output, *seen.deepstack_features], dim=1)

    def forward(
        self,
        embeddings: Tensor,
        positions: Tensor,
        *,
        cache: DynamicCache | None = None,
        **attention: object,
    ) -> Tensor:
        """Run the language model, head excluded, and add visual features behind its first layers.

        Shapes: embeddings (R, Q, D_in), or (R, Q, D) where no medium is among them,
            positions (3, R, Q) -> (R, Q, D)
        """
        first, *deeper = embeddings.split(self.embedding.embedding_dim, dim=-1)  # (R, Q, D) each
        if deeper:
            attention["visual_pos_masks"] = torch.ones_like(first[..., 0], dtype=torch.bool)
            attention["deepstack_visual_embeds"] = [added.flatten(0, 1) for added in deeper]
        return super().forward(first, positions, cache=cache, **attention)


@final
class Qwen3VL(Deepstacked, VisionModel):
    """The parts of a Qwen3-VL."""
