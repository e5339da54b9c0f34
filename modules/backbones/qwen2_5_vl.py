"""Qwen2.5-VL: images and videos in, no audio."""

from typing import final

from torch import Tensor

from modules.backbones.multimodal import VisionModel, encode_visual


@final
class Qwen25VL(VisionModel):
    """The parts of a Qwen2.5-VL."""

    def encode_media(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Encode media of one kind. Shapes: as `Batch` has them -> (tokens of all, D)"""
        return encode_visual(self.vision_tower, values, sizes)
