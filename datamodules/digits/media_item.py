"""The base of all media of the digits set."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from datamodules.sample import Modality


@dataclass(frozen=True, kw_only=True)
class MediaItem(ABC):
    """The recipe of one media file: everything random in it follows from its fields, so that any
    process can write it at any time."""

    modality: ClassVar[Modality]

    path: str
    """Relative to the data root, with forward slashes."""

    asset: str
    """The original image, the voice or the sound that it is made of."""

    seed: int
    """Decides its noise, loudness and other variation among the files of its asset."""

    @abstractmethod
    def encoded(self) -> bytes:
        """Return the bytes of the file."""
