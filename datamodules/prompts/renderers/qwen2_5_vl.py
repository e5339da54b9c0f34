"""Qwen2.5-VL: images, and videos without audio."""

from collections.abc import Sequence
from typing import Protocol, final

from torch import Tensor

from datamodules.prompts.renderers.base import Medium
from datamodules.prompts.renderers.capabilities import VisionRenderer
from datamodules.prompts.renderers.features import Processor
from datamodules.prompts.renderers.positions import visual_positions


class Rope(Protocol):
    """The field of a vision tower's configuration that positions depend on."""

    tokens_per_second: float


@final
class Qwen25VLRenderer(VisionRenderer):
    """Renders media for Qwen2.5-VL."""

    def __init__(self, path: str, processor: Processor, *, rope: Rope) -> None:
        super().__init__(path, processor)
        self.rope = rope

    def positions(self, ids: Sequence[int], media: Sequence[Medium]) -> Tensor:
        """Number the tokens of a prompt. Shapes: P ids -> (3, P)"""
        return visual_positions(
            ids,
            media,
            visual_ids=[
                self.processor.tokenizer.convert_tokens_to_ids(token)
                for token in self.placeholders.values()
            ],
            merge_size=self.processor.image_processor.merge_size,
            positions_per_second=self.rope.tokens_per_second,
        )
