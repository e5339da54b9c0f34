"""Share what one prompt may show and play among its media."""

from collections.abc import Sequence
from dataclasses import replace

from configs.schema import MediaConfig
from datamodules.media.decoders import MediaError
from datamodules.media.files import Size

TICK = 1e-6
"""Seconds that sums of seconds are off by."""


def shared_budget(sizes: Sequence[Size], budget: MediaConfig) -> MediaConfig:
    """Return the budget of each medium with which all of a prompt stay within theirs.

    Too many pixels lower `image_max_pixels` to a level c that only larger pictures are scaled to:

        Σ min(pixels_i, c) = prompt_max_pixels

    over all pictures and frames, c rounded down. Too much sound is an error, as it is never cut.

    Args:
        sizes: of all of a question's media, each within `budget`. What is withheld counts, so that
            the rest looks the same under every condition.
    """
    seconds = sum(size.seconds for size in sizes)
    if budget.prompt_max_audio_seconds and seconds > budget.prompt_max_audio_seconds + TICK:
        raise MediaError(
            f"{seconds:.1f} s of sound in all, but data.media.prompt_max_audio_seconds is "
            f"{budget.prompt_max_audio_seconds} and sound is never cut: raise it, or give the "
            "media segments with start and end.",
            kind="too_long",
        )
    if not budget.prompt_max_pixels:
        return budget
    left, room = sum(size.pictures for size in sizes), budget.prompt_max_pixels
    for size in sorted(sizes, key=lambda size: size.pixels):
        if size.pixels * left > room:
            return replace(budget, image_max_pixels=_level(room, left, budget))
        left -= size.pictures
        room -= size.pictures * size.pixels
    return budget


def _level(room: int, pictures: int, budget: MediaConfig) -> int:
    if room < pictures:
        raise MediaError(
            f"{pictures} pictures and frames do not share {room} pixels, those that are left of "
            f"data.media.prompt_max_pixels={budget.prompt_max_pixels}: raise it, or lower "
            "data.media.video_max_frames.",
            kind="too_large",
        )
    return room // pictures
