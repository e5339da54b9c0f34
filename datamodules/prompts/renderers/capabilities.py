"""Renderers of models that take the same modalities."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from datamodules.media.files import Decoded
from datamodules.prompts.renderers.base import Medium, Place, Renderer
from datamodules.prompts.renderers.features import (
    Features,
    Processor,
    image_features,
    video_features,
)
from datamodules.prompts.renderers.interleaving import Piece, interleaved_place, is_video_with_audio
from datamodules.prompts.renderers.positions import Block, rope_positions, video_block
from datamodules.prompts.renderers.unsupported import refuse_modality, warn_left_out


class VisualRenderer(Renderer):
    """Renders images and videos, with or without audio."""

    def __init__(self, path: str, processor: Processor) -> None:
        """Take a model's processor, and keep frames as large as data.media makes them.

        A second cap, whose default changes with transformers 5.22, would change the tokens of a
        video without changing the probe cache's key.
        """
        super().__init__(path, processor)
        processor.video_processor.cap_pixels_per_frame = False

    @abstractmethod
    def blocks(self, medium: Medium) -> list[Block]:
        """Number the tokens of a medium, where they are not numbered like text."""

    def seen(self, medium: Medium, positions_per_second: float) -> list[Tensor]:
        """Spread the tokens of an image, or of a video's frames. Shapes: -> (3, tokens) each"""
        merge_size = self.processor.image_processor.merge_size
        visual = [one for one in medium if one.kind != "audio"]
        return [video_block(one, merge_size, positions_per_second) for one in visual]

    def positions(self, ids: Sequence[int], media: Sequence[Medium]) -> Tensor:
        """Number the tokens of a prompt. Shapes: P ids -> (3, P)"""
        visual = [self.placeholders[kind] for kind in ("image", "video")]
        return rope_positions(
            ids,
            [block for medium in media for block in self.blocks(medium)],
            visual_ids=self.processor.tokenizer.convert_tokens_to_ids(visual),
        )


class VisionRenderer(VisualRenderer):
    """Renders images and video frames, for models without an audio tower."""

    @property
    def placeholders(self) -> Mapping[str, str]:
        """The tokens of images and videos."""
        return {"image": self.processor.image_token, "video": self.processor.video_token}

    @final
    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs; of a video, only the frames."""
        if decoded.modality == "audio":
            refuse_modality(self.path, "hear", "audio")
        if decoded.audio is not None:
            warn_left_out(self.path, "hear", "sound")
        return visual_features(self.processor, decoded)


class OmniRenderer(VisualRenderer):
    """Renders images, videos and audio, for omni-modal models."""

    def __init__(self, path: str, processor: Processor, *, audio_in_video: bool) -> None:
        super().__init__(path, processor)
        self.audio_in_video = audio_in_video

    @property
    def placeholders(self) -> Mapping[str, str]:
        """The tokens of audio, images and videos."""
        return {
            "audio": self.processor.audio_token,
            "image": self.processor.image_token,
            "video": self.processor.video_token,
        }

    @final
    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs."""
        heard = () if decoded.audio is None else (self.sound(decoded.audio),)
        return (*visual_features(self.processor, decoded), *heard)

    @abstractmethod
    def sound(self, wave: NDArray[np.float32]) -> Features:
        """Turn a waveform into the input of the audio tower."""

    @abstractmethod
    def pieces(self, medium: Medium) -> list[Piece]:
        """Interleave the tokens of a video's frames and its audio."""

    def is_interleaved(self, medium: Medium) -> bool:
        """Tell whether the audio of a medium stands between its frames."""
        return self.audio_in_video and is_video_with_audio(medium)

    @final
    def places(self, medium: Medium) -> list[Place]:
        """List the placeholders of a medium and what replaces them."""
        if self.is_interleaved(medium):
            return [interleaved_place(self.pieces(medium), self.processor, self.placeholders)]
        return super().places(medium)


def visual_features(processor: Processor, decoded: Decoded) -> Medium:
    """Turn the image or the frames of a medium into the input of the vision tower."""
    if decoded.image is not None:
        return (image_features(processor.image_processor, decoded.image),)
    if decoded.frames is not None:
        return (video_features(processor.video_processor, decoded.frames, fps=decoded.fps or 1.0),)
    return ()
