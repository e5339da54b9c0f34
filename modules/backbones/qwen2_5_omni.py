"""Qwen2.5-Omni, as its thinker: it hears, sees and writes; who speaks is left out."""

from typing import final

from torch import Tensor

from modules.backbones.sensing import Thinker, see

SPEAKING = ("talker.", "token2wav.")
"""Beginnings of the names of a whole model's tensors that are no thinker's."""


@final
class Qwen25Omni(Thinker):
    """The parts of a Qwen2.5-Omni thinker."""

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

    def heard(self, frames: Tensor) -> list[int]:
        """Count the places that sounds fill. Shapes: (clips,)"""
        counts: list[int] = (((frames - 1) // 2 + 1 - 2) // 2 + 1).tolist()
        return counts
