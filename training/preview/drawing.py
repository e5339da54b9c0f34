"""Draw what a model gets of media, small enough for a page: pictures, waveforms and spectra."""

import io
from base64 import b64encode
from typing import final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL = 256
"""Longest side of a picture in the page; larger ones are scaled down, and said to be."""

COLUMNS = 400
"""Width of waveforms and spectra."""


@final
class Space:
    """Room that is left in the page for pictures and sounds."""

    def __init__(self, megabytes: float) -> None:
        self.left = int(megabytes * 1e6)

    def inline(self, kind: str, data: bytes) -> str | None:
        """Write data as an address that holds them, or None where they do not fit."""
        address = f"data:{kind};base64,{b64encode(data).decode()}"
        if len(address) > self.left:
            return None
        self.left -= len(address)
        return address


def picture(pixels: NDArray[np.uint8]) -> tuple[str, bytes]:
    """Encode a picture: a small one as it is, as PNG; a larger one as a thumbnail, as JPEG.

    Shapes: (height, width, 3)
    """
    image, file = Image.fromarray(pixels), io.BytesIO()
    if max(image.size) <= THUMBNAIL:
        image.save(file, "PNG")
        return "image/png", file.getvalue()
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    image.save(file, "JPEG", quality=80)
    return "image/jpeg", file.getvalue()


def spectrum(mel: NDArray[np.float32]) -> tuple[str, bytes]:
    """Encode mel frames as a picture in gray: time to the right, low notes below.

    Shapes: (mel bins, frames)
    """
    low, high = float(mel.min()), float(mel.max())
    gray = ((mel[::-1] - low) / max(high - low, 1e-9) * 255).astype(np.uint8)
    image, file = Image.fromarray(gray), io.BytesIO()
    if image.width > COLUMNS:
        image = image.resize((COLUMNS, image.height))
    image.save(file, "PNG")
    return "image/png", file.getvalue()


def waveform(wave: NDArray[np.float32]) -> str:
    """Draw the least and the largest sample of each column as SVG, scaled to the loudest.

    Shapes: (samples,)
    """
    peak = float(np.abs(wave).max()) or 1.0
    parts = np.array_split(wave, min(COLUMNS, len(wave)))
    bars = "".join(
        f"M{x} {40 - 38 * float(part.max()) / peak:.1f}V{41 - 38 * float(part.min()) / peak:.1f}"
        for x, part in enumerate(parts)
    )
    return (
        f'<svg class="wave" viewBox="0 0 {len(parts)} 80" preserveAspectRatio="none">'
        f'<path d="{bars}"/></svg>'
    )
