"""Qwen2-Audio: audio of up to 30 seconds, also that of videos, whose frames are left out."""

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from datamodules.media.files import Decoded, MediaError
from datamodules.prompts.renderers.base import Medium, Renderer
from datamodules.prompts.renderers.features import Features, audio_tokens, mel_spectrogram
from datamodules.prompts.renderers.positions import text_positions
from datamodules.prompts.renderers.unsupported import refuse_modality, warn_left_out

BEYOND = 2
"""Frames behind each clip that the tower also takes: the convolutions at its end reach that far."""


@final
class Qwen2AudioRenderer(Renderer):
    """Renders media for Qwen2-Audio."""

    @property
    def placeholders(self) -> Mapping[str, str]:
        """The token of audio."""
        return {"audio": self.processor.audio_token}

    def features(self, decoded: Decoded) -> Medium:
        """Turn one decoded medium into tower inputs; of a video, only the audio."""
        if decoded.modality == "image":
            refuse_modality(self.path, "see", "image")
        if decoded.frames is not None:
            warn_left_out(self.path, "see", "frames")
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
        mel = mel_spectrogram(extractor, wave, beyond=BEYOND)
        frames = mel.shape[1]
        tokens = audio_tokens(frames - BEYOND, wave)
        return (Features(kind="audio", values=mel, grid=torch.tensor([frames]), tokens=tokens),)

    def positions(self, ids: Sequence[int], media: Sequence[Medium]) -> Tensor:
        """Number the tokens of a prompt. Shapes: P ids -> (3, P)"""
        return text_positions(ids)
