"""Qwen2.5-Omni, as its thinker: audio and vision in, text out; the talker is left out."""

from typing import final

from torch import Tensor

from modules.backbones.multimodal import Thinker

SPEECH_PREFIXES = ("talker.", "token2wav.")
"""Prefixes of a whole model's tensors that are not the thinker's."""


@final
class Qwen25Omni(Thinker):
    """The parts of a Qwen2.5-Omni thinker."""

    def encode_media(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Encode media of one kind. Shapes: as `Batch` has them -> (tokens of all, D)"""
        if kind != "audio":
            return self.encode_visual(values, sizes)
        dtype = next(self.audio_tower.parameters()).dtype
        encoded = self.audio_tower(
            values.to(dtype), feature_lens=sizes, aftercnn_lens=(sizes - 1) // 2 + 1
        )
        states: Tensor = encoded.last_hidden_state
        return states

    def audio_tokens(self, frames: Tensor) -> list[int]:
        """Count the placeholders of each clip. Shapes: (clips,)"""
        counts: list[int] = (((frames - 1) // 2 + 1 - 2) // 2 + 1).tolist()
        return counts
