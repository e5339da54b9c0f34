"""Read animated GIF, WebP and PNG images as videos with Pillow; FFmpeg does not read all of
them."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from configs.schema import MediaConfig
from datamodules.media.decoders import MediaError, fit
from datamodules.media.frame_sampling import TICK, FrameSelection, middle_frames, no_frame_error
from datamodules.media.images import on_white, open_image

MOST_MOVING = {"WEBP": 30_000_000, "": 50_000_000}
"""Pixels of all frames together: each frame is built from the one before it."""

FASTEST, USUAL = 0.02, 0.1
"""Seconds: browsers show frames that are to last less than the first for the second."""


def choose_animation_frames(
    path: Path, lasting: Sequence[float], start: float, end: float, budget: MediaConfig
) -> FrameSelection:
    """Choose frames of a segment, each of which lasts a time of its own.

    Args:
        lasting: seconds that each frame of the file is shown.
    """
    with open_image(path) as file:
        width, height = fit(*file.size, budget.image_max_pixels)
        _check_moving(len(lasting) * file.width * file.height, file.format)
    shown = [seconds if seconds >= FASTEST else USUAL for seconds in lasting]
    *times, stop = [0.0, *accumulate(shown)]
    inside = [time for time in times if start - TICK <= time < end - TICK]
    if not inside:
        raise no_frame_error(start, end)
    chosen, part = middle_frames(inside, min(stop, end) - inside[0], budget)
    return FrameSelection(
        times=[inside[number] for number in chosen],
        keys=(),
        width=width,
        height=height,
        fps=1 / part,
        first=inside[0],
        clock=times,
    )


def read_animation_frames(path: Path, frames: FrameSelection) -> NDArray[np.uint8]:
    """Read the frames chosen, in order, each built upon those before it.

    Shapes: -> (frames, height, width, 3)
    """
    numbers = {frames.clock.index(time): time for time in frames.times}
    size, shown, made = (frames.width, frames.height), {}, 0
    with open_image(path) as file:
        there = getattr(file, "n_frames", 1)  # which only some formats have
        aside = there - len(frames.clock)  # one that a PNG shows where nothing moves
        if aside not in (0, 1):
            raise MediaError(
                f"{there} pictures decode of the {len(frames.clock)} that its blocks declare, but "
                "none may be missing: the file is damaged; fetch or convert it again."
            )
        for number in range(there):
            file.seek(number)
            made += file.width * file.height  # which a GIF may change on the way
            _check_moving(made, file.format)
            if (time := numbers.get(number - aside)) is not None:
                picture = on_white(file).resize(size, Image.Resampling.BICUBIC)
                shown[time] = np.array(picture)
    return np.stack([shown[time] for time in frames.times])


def _check_moving(pixels: int, kind: str | None) -> None:
    most = MOST_MOVING.get(kind or "", MOST_MOVING[""])
    if pixels > most:
        raise MediaError(
            f"{pixels:,} pixels in all of its pictures, but at most {most:,} are decoded: convert "
            "it to MP4.",
            kind="too_large",
        )
