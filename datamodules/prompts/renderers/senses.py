"""What models with the same senses have in common when they are shown media."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import final

import numpy as np
from numpy.typing import NDArray

from datamodules.media.files import Decoded
from datamodules.prompts.renderers.base import Dialect, Medium, Place
from datamodules.prompts.renderers.features import Features, Processor, film, picture
from datamodules.prompts.renderers.interleaving import Piece, place_of, with_sound
from datamodules.prompts.renderers.refusals import leave_out, refuse


class Seeing(Dialect):
    """How a model that sees and does not hear is shown media."""

    def __init__(self, path: str, processor: Processor) -> None:
        super().__init__(path, processor)
        uncap(processor)

    @property
    def placeholders(self) -> Mapping[str, str]:
        """The tokens of pictures and films."""
        return {"image": self.processor.image_token, "video": self.processor.video_token}

    @final
    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs; of a film, the frames."""
        if decoded.modality == "audio":
            refuse(self.path, "hear", "audio")
        if decoded.audio is not None:
            leave_out(self.path, "hear", "sound")
        return seen(self.processor, decoded)


class Omni(Dialect):
    """How a model that hears and sees is shown media."""

    def __init__(self, path: str, processor: Processor, *, audio_in_video: bool) -> None:
        super().__init__(path, processor)
        self.audio_in_video = audio_in_video
        uncap(processor)

    @property
    def placeholders(self) -> Mapping[str, str]:
        """The tokens of sounds, pictures and films."""
        return {
            "audio": self.processor.audio_token,
            "image": self.processor.image_token,
            "video": self.processor.video_token,
        }

    @final
    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs."""
        heard = () if decoded.audio is None else (self.sound(decoded.audio),)
        return (*seen(self.processor, decoded), *heard)

    @abstractmethod
    def sound(self, wave: NDArray[np.float32]) -> Features:
        """Turn a sound into what the audio tower takes."""

    @abstractmethod
    def pieces(self, medium: Medium) -> list[Piece]:
        """Deal out a film and its sound."""

    def woven(self, medium: Medium) -> bool:
        """Tell whether the sound of a medium stands between its frames."""
        return self.audio_in_video and with_sound(medium)

    @final
    def places(self, medium: Medium) -> list[Place]:
        """Say what a template shows of a medium, and what becomes of it."""
        if self.woven(medium):
            return [place_of(self.pieces(medium), self.processor, self.placeholders)]
        return super().places(medium)


def seen(processor: Processor, decoded: Decoded) -> Medium:
    """Turn what there is to see of a medium into what the vision tower takes."""
    if decoded.image is not None:
        return (picture(processor.image_processor, decoded.image),)
    if decoded.frames is not None:
        return (film(processor.video_processor, decoded.frames, fps=decoded.fps or 1.0),)
    return ()


def uncap(processor: Processor) -> None:
    """Leave frames as large as data.media makes them.

    A second cap, whose default changes with transformers 5.22, would change the tokens of a video
    behind the probe cache's back.
    """
    processor.video_processor.cap_pixels_per_frame = False
