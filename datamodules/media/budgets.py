"""Divide the media budget of one prompt among its media."""

from collections.abc import Sequence
from dataclasses import replace

from configs.schema import MediaConfig
from datamodules.media.decoders import MediaError
from datamodules.media.files import Size

TICK = 1e-6
"""Rounding error of sums of seconds."""


def shared_budget(sizes: Sequence[Size], budget: MediaConfig) -> MediaConfig:
    """Return the budget of each medium with which all media of a prompt keep the prompt's budget.

    Too many pixels lower `image_max_pixels` to a level c to which only larger images are scaled:

        Σ min(pixels_i, c) = prompt_max_pixels

    over all images and frames, c rounded down. Too much audio is an error, as it is never cut.

    Args:
        sizes: of all media of a question, each within `budget`. Withheld media count, so that
            the others look the same under every condition.
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
