"""Qwen2.5-VL: pictures and films, whose sound it is not given."""

from collections.abc import Mapping, Sequence
from typing import Protocol, final

from torch import Tensor

from datamodules.dialects.base import Dialect, Medium
from datamodules.dialects.features import Processor, film, picture
from datamodules.dialects.positions import visual_positions
from datamodules.dialects.refusals import leave_out, refuse
from datamodules.media import Decoded


class Rope(Protocol):
    """The number of a vision tower's configuration that positions depend on."""

    tokens_per_second: float


@final
class Qwen25VLDialect(Dialect):
    """How a Qwen2.5-VL is shown media."""

    def __init__(self, path: str, processor: Processor, *, rope: Rope) -> None:
        super().__init__(path, processor)
        self.rope = rope
        processor.video_processor.cap_pixels_per_frame = False  # see Qwen25OmniDialect

    @property
    def placeholders(self) -> Mapping[str, str]:
        """The tokens of pictures and films."""
        return {"image": self.processor.image_token, "video": self.processor.video_token}

    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs; of a film, the frames."""
        if decoded.modality == "audio":
            refuse(self.path, "hear", "audio")
        if decoded.image is not None:
            return (picture(self.processor.image_processor, decoded.image),)
        if decoded.audio is not None:
            leave_out(self.path, "hear", "sound")
        if decoded.frames is None:
            return ()
        return (film(self.processor.video_processor, decoded.frames, fps=decoded.fps or 1.0),)

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
