"""From one decoded medium to what a Qwen-Omni thinker's towers take, its processor's parts called
on that medium alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.media import Decoded, MediaError

Processor = Any  # the classes of transformers share no typed base


@dataclass(frozen=True, kw_only=True)
class Features:
    """One medium as a tower takes it."""

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


def tower_inputs(processor: Processor, decoded: Decoded) -> tuple[Features, ...]:
    """Turn one decoded medium into tower inputs."""
    made = []
    if decoded.image is not None:
        made.append(_image(processor.image_processor, decoded.image))
    if decoded.frames is not None:
        made.append(_video(processor.video_processor, decoded.frames, fps=decoded.fps or 1.0))
    if decoded.audio is not None:
        made.append(_audio(processor.feature_extractor, decoded.audio))
    return tuple(made)


def _image(processor: Processor, image: np.ndarray) -> Features:
    out = processor(images=[image], input_data_format="channels_last", return_tensors="pt")
    grid = out["image_grid_thw"][0]
    return Features(
        kind="image",
        values=out["pixel_values"],
        grid=grid,
        tokens=int(grid.prod()) // processor.merge_size**2,
    )


def _video(processor: Processor, frames: np.ndarray, *, fps: float) -> Features:
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


def _audio(extractor: Processor, wave: np.ndarray) -> Features:
    frames = -(-len(wave) // extractor.hop_length)
    # One window of silence behind the clip: the last frames then see what they would see in
    # the extractor's own padding, instead of a mirror image of the clip.
    padded = np.pad(wave, (0, 2 * extractor.n_fft))
    mel = extractor(
        padded,
        sampling_rate=extractor.sampling_rate,
        padding="longest",
        truncation=False,  # data.media.audio_max_seconds is the only limit
        return_tensors="pt",
    )["input_features"][0, :, :frames]
    tokens = ((frames - 1) // 2 + 1 - 2) // 2 + 1
    if tokens < 1:
        raise MediaError(
            f"a clip of {len(wave)} samples is shorter than one audio token (40 ms): "
            "leave the sample out or lengthen its segment."
        )
    return Features(kind="audio", values=mel, grid=torch.tensor([frames]), tokens=tokens)
