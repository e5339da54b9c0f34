"""Qwen2-Audio: sounds of up to 30 seconds, and those of films, whose frames it is not given."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from datamodules.media.files import Decoded, MediaError
from datamodules.prompts.renderers.base import Dialect, Medium
from datamodules.prompts.renderers.features import Features, heard_tokens, spectrum
from datamodules.prompts.renderers.positions import text_positions
from datamodules.prompts.renderers.refusals import leave_out, refuse

BEYOND = 2
"""Frames behind each clip that its tower is given with it, for the convolutions at its end look
that far."""


@final
class Qwen2AudioDialect(Dialect):
    """How a Qwen2-Audio is shown media."""

    @property
    def placeholders(self) -> Mapping[str, str]:
        """The token of sounds."""
        return {"audio": self.processor.audio_token}

    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs; of a film, the sound."""
        if decoded.modality == "image":
            refuse(self.path, "see", "image")
        if decoded.frames is not None:
            leave_out(self.path, "see", "frames")
        if decoded.audio is None:
            return ()
        extractor, wave = self.processor.feature_extractor, decoded.audio
        if len(wave) > extractor.n_samples:
            raise MediaError(
                f"a sound of {len(wave) / extractor.sampling_rate:.1f} s is longer than "
                f"{extractor.chunk_length} s, the window of {self.path}: cut it into segments, "
                "leave its questions out, or choose a model without a window.",
                kind="too_long",
            )
        mel = spectrum(extractor, wave, beyond=BEYOND)
        frames = mel.shape[1]
        tokens = heard_tokens(frames - BEYOND, wave)
        return (Features(kind="audio", values=mel, grid=torch.tensor([frames]), tokens=tokens),)

    def positions(self, ids: Sequence[int], media: Sequence[Medium]) -> Tensor:
        """Number the tokens of a prompt. Shapes: P ids -> (3, P)"""
        return text_positions(ids)
