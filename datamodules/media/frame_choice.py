"""Choose which frames of a film are shown: those in the middle of equal parts of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from configs.schema import MediaConfig
from datamodules.media.decoders import MediaError

TICK = 1e-6
"""Seconds within which two times in a video are the same."""


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Which frames of a segment are shown."""

    times: Sequence[float]
    """When they are, on the clock of the file; in order, an even number, some perhaps twice."""

    keys: Sequence[float]
    """When the frames are shown from which decoding can begin."""

    width: int
    height: int
    fps: float
    """Of those shown."""

    first: float
    """Seconds from the file's beginning to the first frame of the segment, shown or not."""

    clock: Sequence[float] = ()
    """When all frames of the file are, where those that are decoded do not say so themselves."""


def middles(times: Sequence[float], seconds: float, budget: MediaConfig) -> tuple[list[int], float]:
    """Choose the frames in the middle of equal parts, and say how long a part is.

    There are `video_fps` of them in a second, rounded up to an even number, but no more than there
    are and than the budget allows, and two at least.

    Args:
        times: of the frames of a segment, in order.
        seconds: that the segment lasts, from its first frame on.
    """
    count = _count(len(times), seconds, budget)
    part = seconds / count
    at = times[0] + (np.arange(count) + 0.5) * part
    return [int(i) - 1 for i in np.searchsorted(times, at + TICK, side="right")], part


def _count(there: int, seconds: float, budget: MediaConfig) -> int:
    """Say how many frames are shown: an even number, since towers merge them in pairs."""
    most = min(budget.video_max_frames, there) // 2 * 2
    if budget.video_fps:
        most = min(most, 2 * math.ceil(seconds * budget.video_fps / 2 - TICK))
    return max(2, most)


def no_frame(start: float, end: float) -> MediaError:
    """Say that a segment shows nothing."""
    return MediaError(
        f"no frame between {start} and {end} s, but a video shows at least one: mend the segment, "
        "or give the file as audio.",
        kind="empty",
    )
