"""Sample frames of a video: those in the middle of equal parts of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.schema import MediaConfig
from datamodules.media.decoders import MediaError

TICK = 1e-6
"""Difference in seconds below which two times in a video are equal."""


@dataclass(frozen=True, kw_only=True)
class FrameSelection:
    """The frames of a segment that are shown."""

    times: Sequence[float]
    """Their times on the clock of the file: ascending, an even number, some perhaps twice."""

    keys: Sequence[float]
    """Times of the key frames."""

    width: int
    height: int
    fps: float
    """Rate of the selected frames."""

    first: float
    """Seconds from the file's beginning to the first frame of the segment, selected or not."""

    clock: Sequence[float] = ()
    """Times of all frames of the file, where decoded frames do not carry their own."""


def middle_frames(
    times: Sequence[float], seconds: float, budget: MediaConfig
) -> tuple[list[int], float]:
    """Choose the frames in the middle of equal parts, and return the length of a part.

    There are `video_fps` of them in a second, rounded up to an even number, but no more than there
    are and than the budget allows, and two at least.

    Args:
        times: of the frames of a segment, in order.
        seconds: length of the segment from its first frame on.
    """
    count = _count(len(times), seconds, budget)
    part = seconds / count
    at = times[0] + (np.arange(count) + 0.5) * part
    return [int(i) - 1 for i in np.searchsorted(times, at + TICK, side="right")], part


def _count(there: int, seconds: float, budget: MediaConfig) -> int:
    """Return the number of frames to show: even, since towers merge frames in pairs."""
    most = min(budget.video_max_frames, there) // 2 * 2
    if budget.video_fps:
        most = min(most, 2 * math.ceil(seconds * budget.video_fps / 2 - TICK))
    return max(2, most)


def no_frame_error(start: float, end: float) -> MediaError:
    """Make the error for a segment without frames."""
    return MediaError(
        f"no frame between {start} and {end} s, but a video shows at least one: mend the segment, "
        "or give the file as audio.",
        kind="empty",
    )
