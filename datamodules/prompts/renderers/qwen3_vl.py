"""Qwen3-VL: images, and videos without audio; each pair of frames is preceded by its time as
text."""

from typing import final

from datamodules.prompts.renderers.base import Medium, Place
from datamodules.prompts.renderers.capabilities import VisionRenderer
from datamodules.prompts.renderers.features import Features
from datamodules.prompts.renderers.positions import Block


@final
class Qwen3VLRenderer(VisionRenderer):
    """Renders media for Qwen3-VL.

    A video is written as transformers' processor does since its release 5.10: vision marks around
    the whole, as the chat template has them, and around each pair of frames. Earlier releases, and
    vLLM with these, left out those around the whole.
    """

    def places(self, medium: Medium) -> list[Place]:
        """List the placeholders of a medium and what replaces them."""
        if [one.kind for one in medium] != ["video"]:
            return super().places(medium)
        (shown,) = medium
        token, times = self.placeholders["video"], self._times(shown)
        begin, end = self.processor.vision_start_token, self.processor.vision_end_token
        moment = begin + token * (shown.tokens // len(times)) + end
        written = "".join(f"<{time:.1f} seconds>{moment}" for time in times)
        return [Place(kind="video", placeholder=token, text=written)]

    def _times(self, shown: Features) -> list[float]:
        """Return the mean time of the frames of each step, in seconds."""
        together = self.processor.video_processor.temporal_patch_size
        fps = together / shown.seconds_per_grid
        firsts = range(0, int(shown.grid[0]) * together, together)
        return [(first / fps + (first + together - 1) / fps) / 2 for first in firsts]

    def blocks(self, medium: Medium) -> list[Block]:
        """Number the tokens of a medium: only the text between steps advances time."""
        stills = [numbers.long() for numbers in self.seen(medium, 0.0)]  # (3, tokens) each
        steps = [int(one.grid[0]) for one in medium]
        pairs = zip(stills, steps, strict=True)
        return [Block(numbers=part) for still, count in pairs for part in still.chunk(count, dim=1)]
