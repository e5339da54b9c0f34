"""The renderer of text-only language models, which take no media."""

from collections.abc import Mapping, Sequence
from typing import final

from torch import Tensor

from datamodules.media.files import Decoded
from datamodules.prompts.renderers.base import Medium, Renderer
from datamodules.prompts.renderers.positions import text_positions


@final
class TextRenderer(Renderer):
    """Renders prompts without media."""

    @property
    def placeholders(self) -> Mapping[str, str]:
        """Empty: there are no media tokens."""
        return {}

    def features(self, decoded: Decoded) -> Medium:
        """Refuse all media."""
        raise ValueError(
            f"{self.path} is a language model of text, but a question shows it media "
            f"({decoded.modality}): ask it with data.task=answer_from_description, or choose an "
            "omni-modal model."
        )

    def positions(self, ids: Sequence[int], media: Sequence[Medium]) -> Tensor:
        """Number the tokens of a prompt. Shapes: P ids -> (3, P)"""
        return text_positions(ids)
