"""Qwen2.5-VL: it sees pictures and films, and does not hear."""

from typing import final

from torch import Tensor

from modules.backbones.sensing import Seeing, see


@final
class Qwen25VL(Seeing):
    """The parts of a Qwen2.5-VL."""

    def sense(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """See. Shapes: as `Batch` has them -> (tokens of all, D)"""
        return see(self.vision_tower, values, sizes)
