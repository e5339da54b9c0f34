"""Qwen3-VL: it sees and writes. What it sees is handed to its first layers as well, each time from
another depth of the vision tower (DeepStack, arXiv 2406.04334)."""

from typing import final

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from modules.backbones.sensing import Seeing, SensingModel


class Deepstacked(SensingModel):
    """A model whose embeddings hold, behind the D that the first layer reads, D for each layer
    behind which something is added: zeros where nothing was seen, so that adding changes nothing.
    """

    vision_tower: PreTrainedModel

    @property
    def width(self) -> int:
        """W, of what `embed` returns: D for the first layer and for each that is added to."""
        depths: list[int] = self.vision_tower.config.deepstack_visual_indexes
        return super().width * (1 + len(depths))

    def see(self, patches: Tensor, grid: Tensor) -> Tensor:
        """Encode pictures, or videos.

        Shapes: patches (sum of patches, patch volume), grid (items, 3) -> (visual tokens, W)
        """
        dtype = next(self.vision_tower.parameters()).dtype
        seen = self.vision_tower(patches.to(dtype), grid_thw=grid)
        return torch.cat([seen.pooler_output, *seen.deepstack_features], dim=1)

    def read(
        self,
        embeddings: Tensor,
        positions: Tensor,
        *,
        cache: DynamicCache | None = None,
        **attention: object,
    ) -> Tensor:
        """Run the language model, head excluded, and add behind its first layers what was seen.

        Shapes: embeddings (R, Q, W), or (R, Q, D) where no medium is among them,
            positions (3, R, Q) -> (R, Q, D)
        """
        first, *deeper = embeddings.split(self.embedding.embedding_dim, dim=-1)  # (R, Q, D) each
        if deeper:
            attention["visual_pos_masks"] = torch.ones_like(first[..., 0], dtype=torch.bool)
            attention["deepstack_visual_embeds"] = [added.flatten(0, 1) for added in deeper]
        return super().read(first, positions, cache=cache, **attention)


@final
class Qwen3VL(Deepstacked, Seeing):
    """The parts of a Qwen3-VL."""

    def sense(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """See. Shapes: as `Batch` has them -> (tokens of all, W)"""
        return self.see(values, sizes)
