"""Read images with Pillow, with at most two of the largest in memory."""

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from configs.schema import MediaConfig
from datamodules.media.decoders import MOST_PIXELS, MediaError, fit

Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # beyond twice as many Pillow refuses, and first of all

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Not all that Pillow supports: its EPS reader starts another program."""

MOST_BYTES = 1 << 28
"""Size of a file; some decoders read all of it at once, whatever it holds."""

MOST_PACKED = {"JPEG": 40_000_000, "WEBP": 20_000_000}
"""Size of a file in bytes for slow decoders; photographs are smaller."""

LARGEST_TILE = 1 << 24
"""Pixels of a TIFF tile that is larger than its image."""

MOST_DECODED = {"WEBP": 100_000_000, "": 150_000_000}
"""Pixels times channels: at least three are made of one, and five of four with alpha. Fewer of
WebP, whose decoder is the slowest and holds two canvases."""

MOST_RUNS = 2_000_000
"""Pixels of a run-length encoded BMP, which Pillow decodes one by one in Python."""

MOST_SCANNED = 500_000_000
"""Pixels of a JPEG times its scans, each of which refines all of them; a small file may have any
number of scans."""

BAND = 1 << 20
"""Pixels that are put on white at a time."""

TILE = (322, 323)
"""TIFF tags of the width and length of tiles."""

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The operation that turns an image upright, by its EXIF orientation."""


def image_size(path: Path, budget: MediaConfig) -> tuple[int, int]:
    """Read from its header the size at which an image is shown, before it is turned upright."""
    with open_image(path) as file:
        return fit(*file.size, budget.image_max_pixels)


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open an image whose header is within the limits.

    Pillow's warnings about tags are suppressed: only pixels matter.
    """
    with path.open("rb") as raw:
        head, size = raw.read(12), os.fstat(raw.fileno()).st_size
    kind = "WEBP" if head[8:] == b"WEBP" else "JPEG" if head[:2] == b"\xff\xd8" else ""
    if size > (most := MOST_PACKED.get(kind, MOST_BYTES)):
        raise _too_large(f"{size:,} bytes, but at most {most:,} are decoded of a picture")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            file = Image.open(path, formats=IMAGE_FORMATS)
        except Image.DecompressionBombError as error:
            raise _too_large(
                f"its header declares too many pixels ({error}), but at most {MOST_PIXELS:,} are "
                "decoded"
            ) from error
        with file:
            _check_work(file, path)
            yield file


def _check_work(file: Image.Image, path: Path) -> None:
    """Refuse what takes too long, or too much memory, for its size."""
    pixels = file.width * file.height
    if any(tile[0] == "bmp_rle" for tile in getattr(file, "tile", ())) and pixels > MOST_RUNS:
        raise _too_large(f"{pixels:,} pixels in runs, but at most {MOST_RUNS:,} are decoded")
    if isinstance(file, TiffImageFile):
        tile = math.prod(int(file.tag_v2.get(tag, 0)) for tag in TILE)
        if tile > max(2 * pixels, LARGEST_TILE):
            raise _too_large(f"a tile of {tile:,} pixels in a picture of {pixels:,}")
    if file.format in ("JPEG", "MPO"):
        scans = path.read_bytes().count(b"\xff\xda")
        if scans * pixels > MOST_SCANNED:
            raise _too_large(
                f"{pixels:,} pixels in {scans} scans, but at most {MOST_SCANNED:,} in all are "
                "decoded"
            )


def _too_large(what: str) -> MediaError:
    return MediaError(f"{what}: save it again, scaled down.", kind="too_large")


def read_image(path: Path, budget: MediaConfig) -> NDArray[np.uint8]:
    """Read an image, of an animation the first frame, upright and on white.

    Shapes: -> (height, width, 3)
    """
    image, turn = _on_white(path)
    if turn is not None:
        image = image.transpose(turn)
    size = fit(*image.size, budget.image_max_pixels)
    return np.array(image.resize(size, Image.Resampling.BICUBIC))


def _on_white(path: Path) -> tuple[Image.Image, Image.Transpose | None]:
    """Read an image as it lies in its file, and how it is to be turned."""
    with open_image(path) as file:
        fit(*file.size, MOST_PIXELS)  # the header alone shows a bomb
        channels = 5 if file.has_transparency_data else 4 if file.mode == "CMYK" else 3
        most = MOST_DECODED.get(file.format or "", MOST_DECODED[""])
        if file.width * file.height * channels > most:
            raise _too_large(
                f"{file.width}x{file.height} pixels of mode {file.mode}, but at most "
                f"{most // channels:,} of these are decoded"
            )
        if file.mode.startswith(("I", "F")):
            raise MediaError(
                f"pixels of mode {file.mode} have no fixed black and white, but 8 bits per channel "
                "have: convert it to 8 bits."
            )
        return on_white(file), TURNS.get(_orientation(file))


def _orientation(file: Image.Image) -> int:
    """Read the EXIF orientation; an unreadable tag means upright.

    Pillow itself turns TIFF files while it loads them, so this comes after that.
    """
    file.load()
    try:
        found = file.getexif().get(ORIENTATION, 1)
    except Exception:  # whatever Pillow meets in damaged tags; the pixels are a matter of their own
        return 1
    return found if isinstance(found, int) else 1


def on_white(image: Image.Image) -> Image.Image:
    """Put an image on white: black drawings on transparency would end as black on black."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    shown = Image.new("RGB", image.size)
    rows = max(1, BAND // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        band = image.crop(box).convert("RGBA")
        paper = Image.new("RGBA", band.size, "white")
        shown.paste(Image.alpha_composite(paper, band).convert("RGB"), box)
    return shown
