"""Qwen2.5-VL: images and videos in, no audio."""

from typing import final

from modules.backbones.multimodal import VisionModel


@final
class Qwen25VL(VisionModel):
    """The parts of a Qwen2.5-VL."""
