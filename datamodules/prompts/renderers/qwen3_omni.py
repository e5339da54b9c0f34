"""Qwen3-Omni: pictures, films and sounds; the sound of a film stands behind its frames, or between
them in time."""

from collections.abc import Sequence
from typing import Protocol, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.media.files import MediaError
from datamodules.prompts.renderers.base import Medium
from datamodules.prompts.renderers.features import Features, Processor
from datamodules.prompts.renderers.interleaving import (
    Piece,
    in_time,
    times_of,
    woven,
)
from datamodules.prompts.renderers.positions import Block, film_block, rope_positions
from datamodules.prompts.renderers.senses import Omni


class Hearing(Protocol):
    """The number of an audio tower's configuration that the tokens of a sound depend on."""

    n_window: int


class Rope(Protocol):
    """The numbers of a thinker's configuration that tokens and positions depend on."""

    position_id_per_seconds: int
    audio_config: Hearing


@final
class Qwen3OmniDialect(Omni):
    """How a thinker of Qwen3-Omni is shown media."""

    def __init__(
        self, path: str, processor: Processor, *, rope: Rope, audio_in_video: bool = False
    ) -> None:
        super().__init__(path, processor, audio_in_video=audio_in_video)
        self.rope = rope

    def sound(self, wave: NDArray[np.float32]) -> Features:
        """Turn a sound into mel frames, mirrored at its ends: this model's processor pads a clip
        that comes alone with nothing."""
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
        visual = [self.placeholders[kind] for kind in ("image", "video")]
        return rope_positions(
            ids,
            [block for medium in media for block in self._blocks(medium)],
            visual_ids=self.processor.tokenizer.convert_tokens_to_ids(visual),
        ).float()

    def pieces(self, medium: Medium) -> list[Piece]:
        """Deal out a film and its sound."""
        seen, heard = medium
        return in_time(times_of(seen, self.rope.position_id_per_seconds), heard.tokens)

    def _blocks(self, medium: Medium) -> list[Block]:
        """Number the tokens of a medium, where they are not numbered like text."""
        merge_size = self.processor.image_processor.merge_size
        rate = self.rope.position_id_per_seconds
        seen = [film_block(one, merge_size, rate) for one in medium if one.kind != "audio"]
        if not self.woven(medium):
            return [Block(numbers=numbers) for numbers in seen]
        pieces = self.pieces(medium)
        return [Block(numbers=woven(pieces, seen[0], medium[1].tokens), tail=pieces[-1][1])]


def heard_tokens(frames: int, window: int) -> int:
    """Count the places of a sound: three halvings of each full pair of windows, and of the rest.

    Args:
        frames: of its spectrum.
        window: half of what the tower's convolutions take at once, in frames.
    """
    whole, rest = divmod(frames, 2 * window)
    return whole * _thrice_halved(2 * window) + _thrice_halved(rest)


def _thrice_halved(frames: int) -> int:
    for _ in range(3):
        frames = -(-frames // 2)
    return frames
