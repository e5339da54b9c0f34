"""Qwen3-Omni: images, videos and audio; the audio of a video follows its frames or is interleaved
with them by time."""

from collections.abc import Sequence
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.media.files import MediaError
from datamodules.prompts.renderers.base import Medium
from datamodules.prompts.renderers.capabilities import OmniRenderer
from datamodules.prompts.renderers.features import Features, Processor
from datamodules.prompts.renderers.interleaving import (
    Piece,
    interleave_by_time,
    interleave_positions,
    token_times,
)
from datamodules.prompts.renderers.positions import Block


class Hearing(Protocol):
    """The field of an audio tower's configuration that the number of audio tokens depends on."""

    n_window: int


class Rope(Protocol):
    """The fields of a thinker's configuration that tokens and positions depend on."""

    position_id_per_seconds: int
    audio_config: Hearing


@final
class Qwen3OmniRenderer(OmniRenderer):
    """Renders media for a Qwen3-Omni thinker."""

    def __init__(
        self, path: str, processor: Processor, *, rope: Rope, audio_in_video: bool
    ) -> None:
        super().__init__(path, processor, audio_in_video=audio_in_video)
        self.rope = rope

    def sound(self, wave: NDArray[np.float32]) -> Features:
        """Turn a waveform into mel frames, mirrored at its ends: this model's processor does not
        pad a clip that comes alone."""
        extractor = self.processor.feature_extractor
        if len(wave) < extractor.n_fft:
            raise MediaError(
                f"a clip of {len(wave)} samples is shorter than the {extractor.n_fft} that a "
                "spectrum takes: leave the sample out or lengthen its segment."
            )
        out = extractor(
            wave,
            sampling_rate=extractor.sampling_rate,
            padding=True,
            truncation=False,  # data.media.audio_max_seconds is the only limit
            return_tensors="pt",
        )
        mel: Tensor = out["input_features"][0]
        frames = mel.shape[1]
        return Features(
            kind="audio",
            values=mel,
            grid=torch.tensor([frames]),
            tokens=heard_tokens(frames, self.rope.audio_config.n_window),
        )

    def positions(self, ids: Sequence[int], media: Sequence[Medium]) -> Tensor:
        """Number the tokens of a prompt, in fractions: time is not rounded down to whole positions.

        Shapes: P ids -> (3, P) float32
        """
        return super().positions(ids, media).float()

    def pieces(self, medium: Medium) -> list[Piece]:
        """Interleave the tokens of a video's frames and its audio."""
        seen, heard = medium
        return interleave_by_time(
            token_times(seen, self.rope.position_id_per_seconds), heard.tokens
        )

    def blocks(self, medium: Medium) -> list[Block]:
        """Number the tokens of a medium, where they are not numbered like text."""
        seen = self.seen(medium, self.rope.position_id_per_seconds)
        if not self.is_interleaved(medium):
            return [Block(numbers=numbers) for numbers in seen]
        pieces = self.pieces(medium)
        numbers = interleave_positions(pieces, seen[0], medium[1].tokens)  # (3, tokens)
        return [Block(numbers=numbers, tail=pieces[-1][1])]


def heard_tokens(frames: int, window: int) -> int:
    """Count the tokens of a clip: three halvings of each full pair of windows, and of the rest.

    Args:
        frames: of its spectrogram.
        window: half of what the tower's convolutions take at once, in frames.
    """
    whole, rest = divmod(frames, 2 * window)
    return whole * _thrice_halved(2 * window) + _thrice_halved(rest)


def _thrice_halved(frames: int) -> int:
    for _ in range(3):
        frames = -(-frames // 2)
    return frames
