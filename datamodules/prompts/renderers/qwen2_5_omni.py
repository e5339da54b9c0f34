"""Qwen2.5-Omni: images, videos and audio; the audio of a video follows its frames or is interleaved
with them in chunks of time."""

from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.prompts.renderers.base import Medium
from datamodules.prompts.renderers.capabilities import OmniRenderer
from datamodules.prompts.renderers.features import Features, Processor, audio_features
from datamodules.prompts.renderers.interleaving import (
    Piece,
    interleave_chunks,
    interleave_positions,
    token_times,
)
from datamodules.prompts.renderers.positions import Block


class Rope(Protocol):
    """The fields of a thinker's configuration that positions depend on."""

    position_id_per_seconds: int
    seconds_per_chunk: float


@final
class Qwen25OmniRenderer(OmniRenderer):
    """Renders media for a Qwen2.5-Omni thinker."""

    def __init__(
        self, path: str, processor: Processor, *, rope: Rope, audio_in_video: bool
    ) -> None:
        super().__init__(path, processor, audio_in_video=audio_in_video)
        self.rope = rope

    def sound(self, wave: NDArray[np.float32]) -> Features:
        """Turn a waveform into mel frames."""
        return audio_features(self.processor.feature_extractor, wave)

    def pieces(self, medium: Medium) -> list[Piece]:
        """Interleave the tokens of a video's frames and its audio."""
        seen, heard = medium
        rate = self.rope.position_id_per_seconds
        length = int(rate * self.rope.seconds_per_chunk)
        return interleave_chunks(token_times(seen, rate), heard.tokens, length=length)

    def blocks(self, medium: Medium) -> list[Block]:
        """Number the tokens of a medium, where they are not numbered like text.

        Interleaved, the marks before a video and before its audio share one number, and so do those
        behind them, one more than the largest of the last piece.
        """
        rate = self.rope.position_id_per_seconds
        seen = [numbers.long() for numbers in self.seen(medium, rate)]
        if not self.is_interleaved(medium):
            return [Block(numbers=numbers) for numbers in seen]
        pieces = self.pieces(medium)
        inner = interleave_positions(pieces, seen[0], medium[1].tokens) + 1  # (3, tokens)
        before = torch.zeros(3, 2, dtype=torch.long)
        behind = torch.full((3, 2), int(inner[:, -pieces[-1][1] :].max()) + 1)
        return [Block(numbers=torch.cat([before, inner, behind], dim=1), ahead=2, tail=2)]
