"""Images of handwritten digits, each drawn with random variation."""

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datamodules.digits.media_item import MediaItem

SIDE = 56
"""Pixels; two patches of 28, the merged patch of the Qwen vision towers."""

MARGIN = 2
"""Empty pixels around an 8x8 original, so that shifts never cut ink off."""


PICTURES = 1740
"""Originals in use: as many of each digit as the rarest one has."""


@lru_cache(maxsize=1)
def originals() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read the 8x8 handwritten digits with ink from 0 to 16, and which digit each of them is."""
    # scikit-learn takes seconds to import, and most starts find the set already built.
    from sklearn.datasets import load_digits  # noqa: PLC0415

    digits = load_digits()
    return digits.images.astype(np.uint8), digits.target


def balanced(rng: np.random.Generator) -> list[int]:
    """Order the originals at random so that any run of ten holds every digit once."""
    _, labels = originals()
    by_digit = [rng.permutation(np.flatnonzero(labels == digit)) for digit in range(10)]
    return [int(number) for ten in zip(*by_digit, strict=False) for number in ten]


@final
@dataclass(frozen=True, kw_only=True)
class Picture(MediaItem):
    """One handwritten digit with its own place, size, tilt, ink and grain."""

    modality = "image"

    digit: int

    ink: bytes
    """The original, 8 rows of 8 pixels, from 0 to 16."""

    def pixels(self) -> NDArray[np.uint8]:
        """Draw it, (SIDE, SIDE, 3)."""
        rng = np.random.default_rng(self.seed)
        ink = np.frombuffer(self.ink, np.uint8).reshape(8, 8) / 16
        original = Image.fromarray(np.pad(ink.astype(np.float32), MARGIN))
        step = 8 / (SIDE * rng.uniform(0.78, 1.05))
        angle = rng.uniform(-0.15, 0.15)
        cos, sin = step * np.cos(angle), step * np.sin(angle)
        shift_x, shift_y = 4 + MARGIN + rng.uniform(-0.5, 0.5, size=2)
        half = SIDE / 2
        matrix = (cos, sin, shift_x - half * (cos + sin), -sin, cos, shift_y + half * (sin - cos))
        drawn = original.transform(
            (SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
        )
        coverage = np.clip(np.asarray(drawn), 0, 1)[:, :, None]
        paper = rng.uniform(0.0, 0.2)
        color = rng.uniform(0.7, 1.0) * rng.uniform(0.85, 1.0, size=3)
        grain = rng.normal(scale=rng.uniform(0.0, 0.03), size=(SIDE, SIDE, 1))
        colored = np.clip(paper + (color - paper) * coverage + grain, 0, 1)
        pixels: NDArray[np.uint8] = np.round(colored * 255).astype(np.uint8)
        return pixels

    def encoded(self) -> bytes:
        """Encode it as PNG."""
        file = BytesIO()
        Image.fromarray(self.pixels()).save(file, format="png")
        return file.getvalue()
