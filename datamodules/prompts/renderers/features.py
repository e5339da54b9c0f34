"""Turn one decoded medium into tower inputs with the parts of a processor."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.media.files import MediaError

FARTHEST = 1000.0
"""Largest absolute value of tower inputs: pixels and spectra are scaled to a few units."""

Processor = Any  # the classes of transformers share no typed base


@dataclass(frozen=True, kw_only=True)
class Features:
    """One medium as tower input."""

    kind: str
    """`audio`, `image` or `video`; a video with sound becomes two features."""

    values: Tensor
    """audio: (mel bins, frames); image and video: (patches, patch volume)"""

    grid: Tensor
    """audio: (1,) frames; image and video: (3,) patches along time, height and width"""

    tokens: int
    """Placeholders that it fills in the prompt."""

    seconds_per_grid: float = 0.0
    """Seconds between two steps of a video's time axis."""


def check_range(feature: Features) -> Features:
    """Refuse values that no processor makes of good media: NaN, infinity, or far from 0."""
    low, high = feature.values.aminmax()
    if not max(-float(low), float(high)) <= FARTHEST:  # nor where they are NaN
        raise MediaError(
            f"its processor makes numbers from {low:g} to {high:g} of this {feature.kind}, but "
            f"towers take those up to {FARTHEST:g}: mend the medium or the processor's settings."
        )
    return feature


def image_features(processor: Processor, image: NDArray[np.uint8]) -> Features:
    """Cut an image into patches."""
    out = processor(images=[image], input_data_format="channels_last", return_tensors="pt")
    grid = out["image_grid_thw"][0]
    return Features(
        kind="image",
        values=out["pixel_values"],
        grid=grid,
        tokens=int(grid.prod()) // processor.merge_size**2,
    )


def video_features(processor: Processor, frames: NDArray[np.uint8], *, fps: float) -> Features:
    """Cut the frames of a video into patches."""
    stacked = torch.from_numpy(frames).permute(0, 3, 1, 2)  # (F, 3, height, width)
    out = processor(videos=[stacked], do_sample_frames=False, return_tensors="pt")
    grid = out["video_grid_thw"][0]
    return Features(
        kind="video",
        values=out["pixel_values_videos"],
        grid=grid,
        tokens=int(grid.prod()) // processor.merge_size**2,
        seconds_per_grid=processor.temporal_patch_size / fps,
    )


def mel_spectrogram(extractor: Processor, wave: NDArray[np.float32], *, beyond: int = 0) -> Tensor:
    """Turn a waveform into mel frames. The last one may be partial. Shapes: -> (mel bins, frames)

    Args:
        beyond: frames of the silence behind the clip to keep, two at most.
    """
    frames = -(-len(wave) // extractor.hop_length) + beyond
    # Two windows of silence behind the clip: the last frames then see what they would see in
    # the extractor's own padding, instead of a mirror image of the clip.
    padded = np.pad(wave, (0, 2 * extractor.n_fft))
    out = extractor(
        padded,
        sampling_rate=extractor.sampling_rate,
        padding="longest",
        truncation=False,  # data.media.audio_max_seconds is the only limit
        return_tensors="pt",
    )
    mel: Tensor = out["input_features"][0, :, :frames]
    return mel


def audio_tokens(frames: int, wave: NDArray[np.float32]) -> int:
    """Count the tokens of a clip where two convolutions and a pool make one of four frames."""
    tokens = ((frames - 1) // 2 + 1 - 2) // 2 + 1
    if tokens < 1:
        raise MediaError(
            f"a clip of {len(wave)} samples is shorter than one audio token (40 ms): "
            "leave the sample out or lengthen its segment."
        )
    return tokens


def audio_features(extractor: Processor, wave: NDArray[np.float32]) -> Features:
    """Turn a waveform into mel frames for its whole length."""
    mel = mel_spectrogram(extractor, wave)
    frames = mel.shape[1]
    return Features(
        kind="audio",
        values=mel,
        grid=torch.tensor([frames]),
        tokens=audio_tokens(frames, wave),
    )
