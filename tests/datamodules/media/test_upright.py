"""Films and pictures stand upright, and mirrored ones are mirrored back."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.media_files import write_film
from configs.schema import MediaConfig
from datamodules.media.files import decode
from tests.datamodules.media.test_files import image, video

BUDGET = MediaConfig(image_max_pixels=64 * 48, video_max_frames=2, audio_max_seconds=3.0)
WIDTH, HEIGHT = 64, 48
SCENE = np.array([[200, 40], [120, 0]], np.uint8)
"""The grays of four quarters, all unlike: no turn and no mirror leaves them where they are."""

MATRICES = {  # a, b, c, d of x' = a x + c y and y' = b x + d y -> the quarters as they are shown
    (1, 0, 0, 1): [[200, 40], [120, 0]],
    (-1, 0, 0, 1): [[40, 200], [0, 120]],
    (1, 0, 0, -1): [[120, 0], [200, 40]],
    (-1, 0, 0, -1): [[0, 120], [40, 200]],
    (0, 1, -1, 0): [[120, 200], [0, 40]],
    (0, -1, 1, 0): [[40, 0], [200, 120]],
    (0, 1, 1, 0): [[200, 120], [40, 0]],
    (0, -1, -1, 0): [[0, 40], [120, 200]],
}
SHOWN_BY_EXIF = {  # the side of the scene that is the first row, and the first column, of the file
    1: [[200, 40], [120, 0]],
    2: [[40, 200], [0, 120]],
    3: [[0, 120], [40, 200]],
    4: [[120, 0], [200, 40]],
    5: [[200, 120], [40, 0]],
    6: [[120, 200], [0, 40]],
    7: [[0, 40], [120, 200]],
    8: [[40, 0], [200, 120]],
}


def stored() -> np.ndarray:
    """Paint the four quarters."""
    pixels = np.kron(SCENE, np.ones((HEIGHT // 2, WIDTH // 2), np.uint8))
    return np.stack([pixels] * 3, axis=2)


def quarters(pixels: np.ndarray) -> list[list[int]]:
    """Read them back, to the nearest of the grays there are."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    rows = []
    for row in (0, 1):
        means = [
            pixels[row * height :, column * width :][4 : height - 4, 4 : width - 4].mean()
            for column in (0, 1)
        ]
        rows.append(
            [min((0, 40, 120, 200), key=lambda gray, m=mean: abs(gray - m)) for mean in means]
        )
    return rows


def filmed(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Write a film whose track is to be shown through a matrix."""
    write_film(path, [stored()] * 2, container="mp4")
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # behind version, times, number, duration, layer, volume
    assert struct.unpack_from(">9i", data, place)[0::4] == (1 << 16, 1 << 16, 1 << 30)
    a, b, c, d = (number << 16 for number in matrix)
    struct.pack_into(">9i", data, place, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_film_is_turned_and_mirrored_as_its_display_matrix_says(tmp_path, matrix):
    filmed(tmp_path / "a.mp4", matrix)
    frames = decode(tmp_path, video("a.mp4"), BUDGET).frames
    assert frames is not None
    turned = matrix[0] == 0
    assert frames.shape[1:3] == ((WIDTH, HEIGHT) if turned else (HEIGHT, WIDTH))
    assert [quarters(frame) for frame in frames] == [MATRICES[matrix]] * 2


def test_a_matrix_of_nothing_leaves_a_film_as_it_is(tmp_path):
    filmed(tmp_path / "a.mp4", (0, 0, 0, 0))
    frames = decode(tmp_path, video("a.mp4"), BUDGET).frames
    assert frames is not None and quarters(frames[0]) == SCENE.tolist()


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", SHOWN_BY_EXIF)
def test_a_picture_is_turned_and_mirrored_as_its_exif_tag_says(tmp_path, container, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored()).save(tmp_path / "a.img", container, exif=exif)
    pixels = decode(tmp_path, image("a.img"), BUDGET).image
    assert pixels is not None
    assert pixels.shape[:2] == ((WIDTH, HEIGHT) if orientation >= 5 else (HEIGHT, WIDTH))
    assert quarters(pixels) == SHOWN_BY_EXIF[orientation]


TAGS = {
    "orientation 6, and a tag of the wrong type": (
        b"MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x87\x69\0\x07\0\0\0\x04abcd\0\0\0\0",
        6,
    ),
    "orientation 9, which there is not": (
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x09\0\0\0\0\0\0",
        1,
    ),
    "a directory that is cut": (b"MM\0*\0\0\0\x08\0\x09\x01\x12", 1),
    "no tags at all": (b"junk" * 9, 1),
}


@pytest.mark.parametrize("name", TAGS)
def test_damaged_tags_do_not_keep_a_picture_from_being_seen(tmp_path, name, recwarn):
    tags, orientation = TAGS[name]
    path = tmp_path / "a.jpg"
    Image.fromarray(stored()).save(path, "JPEG", exif=b"Exif\0\0" + tags, quality=95)
    pixels = decode(tmp_path, image("a.jpg"), BUDGET).image
    assert pixels is not None and quarters(pixels) == SHOWN_BY_EXIF[orientation]
    assert not recwarn.list
