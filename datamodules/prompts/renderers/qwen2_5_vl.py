"""Qwen2.5-VL: images, and videos without audio."""

from typing import Protocol, final

from datamodules.prompts.renderers.base import Medium
from datamodules.prompts.renderers.capabilities import VisionRenderer
from datamodules.prompts.renderers.features import Processor
from datamodules.prompts.renderers.positions import Block


class Rope(Protocol):
    """The field of a vision tower's configuration that positions depend on."""

    tokens_per_second: float


@final
class Qwen25VLRenderer(VisionRenderer):
    """Renders media for Qwen2.5-VL."""

    def __init__(self, path: str, processor: Processor, *, rope: Rope) -> None:
        super().__init__(path, processor)
        self.rope = rope

    def blocks(self, medium: Medium) -> list[Block]:
        """Number the tokens of a medium; a video's advance in time as its frames do."""
        seen = self.seen(medium, self.rope.tokens_per_second)
        return [Block(numbers=numbers.long()) for numbers in seen]
