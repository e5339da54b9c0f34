"""Render decoded media into a prompt: what differs between kinds of models."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from datamodules.media.files import Decoded
from datamodules.prompts.renderers.features import Features, Processor

Medium = tuple[Features, ...]
"""The features of one medium: two of a video with audio, none of a withheld one."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a chat template shows something of a medium."""

    kind: str
    """The type of content part that the template is given: `audio`, `image` or `video`."""

    placeholder: str
    """The token that the template writes for it."""

    text: str
    """The text that replaces the placeholder before tokenization."""


class Renderer(ABC):
    """Renders media for one kind of model: as tower inputs, tokens and positions."""

    def __init__(self, path: str, processor: Processor) -> None:
        """Take a model's processor.

        Args:
            path: names the model in errors.
        """
        self.path = path
        self.processor = processor

    @property
    @abstractmethod
    def placeholders(self) -> Mapping[str, str]:
        """The token that stands for each kind of media; kinds that the model lacks have none."""

    @abstractmethod
    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs, or refuse what the model does not support."""

    @abstractmethod
    def positions(self, ids: Sequence[int], media: Sequence[Medium]) -> Tensor:
        """Number the tokens of a prompt that holds these media in this order.

        Shapes: P ids -> (3, P)
        """

    def places(self, medium: Medium) -> list[Place]:
        """List the placeholders of a medium and what replaces them: by default one for each
        feature, repeated for as many tokens as it fills."""
        return [
            Place(kind=one.kind, placeholder=token, text=token * one.tokens)
            for one in medium
            for token in [self.placeholders[one.kind]]
        ]

    def expand(self, text: str, media: Sequence[Medium]) -> str:
        """Replace the placeholders that a chat template left for media."""
        places = [place for medium in media for place in self.places(medium)]
        tokens = [*self.placeholders.values()]
        out, rest = "", text
        for place in places:
            before, found, rest = rest.partition(place.placeholder)
            if not found or any(token in before for token in tokens):
                raise ValueError(
                    f"the prompt {_short(text)} does not hold {place.placeholder} where "
                    f"{len(places)} media expect it. Question and options may not contain media "
                    f"tokens; mend the row, or the chat template of {self.path}."
                )
            out += before + place.text
        if any(token in rest for token in tokens):
            raise ValueError(
                f"the prompt {_short(text)} holds more media tokens than media: question and "
                f"options may not contain them; mend the row, or the chat template of {self.path}."
            )
        return out + rest


def _short(text: str) -> str:
    return repr(text) if len(text) <= 300 else f"{text[:300]!r}..."
