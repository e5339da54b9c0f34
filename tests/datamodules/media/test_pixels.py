"""Videos and images of any pixel format, and animations."""

import struct
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from bench.media_files import RATE, add_frames, add_sound, picture
from tests.datamodules.media.conftest import (
    read,
    refusal,
    saved,
)


def filmed(path: Path, *, frames: int = 20, tracks: tuple[float, ...] = (), **how: Any) -> bytes:
    """Write a film with tracks of some loudness, the last of which is the one to play."""
    with av.open(str(path), "w", format=how.get("container", "mp4")) as file:
        seen: Any = file.add_stream(how.get("codec", "libx264"), rate=10, options={"g": "5"})
        seen.width, seen.height, seen.pix_fmt = 96, 64, how.get("pixels", "yuv420p")
        heard: list[Any] = [file.add_stream("aac", rate=RATE, layout="mono") for _ in tracks]
        for stream in heard:
            usual = stream is heard[-1]
            stream.disposition = av.stream.Disposition.default if usual else 0
        add_frames(file, seen, map(picture, range(frames)))
        for stream, loud in zip(heard, tracks, strict=True):
            add_sound(file, stream, loud * np.sin(np.arange(2 * RATE) / 9)[None])
    return path.read_bytes()


@pytest.mark.parametrize(
    "how",
    [
        {"pixels": "yuv420p10le"},
        {"pixels": "yuv444p"},
        {"codec": "libvpx-vp9", "container": "webm", "pixels": "yuva420p"},
        {"codec": "qtrle", "container": "mov", "pixels": "argb"},
        {"codec": "prores_ks", "container": "mov", "pixels": "yuva444p10le"},
        {"codec": "mjpeg", "container": "avi", "pixels": "yuvj420p"},
    ],
)
def test_pixels_of_any_format_are_shown(tmp_path, how):
    frames = read(tmp_path, filmed(tmp_path / "a.bin", **how), "video").frames
    assert frames is not None
    assert [round(frame[:, :64].mean() / 12) for frame in frames] == [2, 7, 12, 17]


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts"])
def test_a_film_of_one_frame_shows_it_twice(tmp_path, container):
    data = filmed(tmp_path / "a.bin", frames=1, container=container)
    frames = read(tmp_path, data, "video").frames
    assert frames is not None and frames.shape == (2, 64, 96, 3)


def test_of_two_tracks_that_is_heard_which_is_marked_as_usual(tmp_path):
    data = filmed(tmp_path / "a.bin", tracks=(0.2, 0.6), container="matroska")
    heard = read(tmp_path, data, "video").audio
    assert heard is not None and np.abs(heard[4000:28_000]).max() == pytest.approx(0.6, abs=0.1)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK", "YCbCr"])
def test_colors_of_any_kind_are_shown(tmp_path, mode):
    container = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    gray = Image.new("RGB", (40, 30), (255, 255, 255) if mode == "1" else (90, 90, 90))
    pixels = read(tmp_path, saved(gray.convert(mode), container), "image").image
    assert pixels is not None and pixels.mean() == pytest.approx(255 if mode == "1" else 90, abs=2)


def test_what_stands_behind_a_photograph_does_not_matter(tmp_path):
    photo = Image.fromarray(picture(7))
    many = saved(photo, "MPO", save_all=True, append_images=[Image.fromarray(picture(2))])
    for data in (many, saved(photo, "JPEG", quality=95) + b"SEFT" * 100):
        pixels = read(tmp_path, data, "image").image
        assert pixels is not None and pixels[:, :64].mean() == pytest.approx(84, abs=2)
    profiled = saved(photo, "JPEG", quality=95, icc_profile=b"junk" * 50)
    assert read(tmp_path, profiled, "image").image is not None


@pytest.mark.parametrize("side", [14_000, 100_000, 2**31 - 1])
def test_a_bomb_is_refused_by_its_header(tmp_path, side):
    def part(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    data = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    data += part(b"IDAT", zlib.compress(bytes(1000))) + part(b"IEND", b"")
    assert refusal(tmp_path, data, "image").kind == "too_large"


def test_pictures_that_move_are_shown_for_as_long_as_they_say(tmp_path):
    """Grays 7, 9, 3 for 1, 0.2 and 0.2 s: of 1.4 s the middles of halves are at 0.35 and 1.05."""
    first, *rest = [Image.fromarray(picture(number)) for number in (7, 9, 3)]
    for container in ("GIF", "WEBP", "PNG"):
        times = [1000, 200, 200]
        how: dict[str, Any] = {"duration": times, "append_images": rest, "save_all": True}
        found = read(tmp_path, saved(first, container, lossless=True, **how), "video")
        assert found.frames is not None and found.fps == pytest.approx(2 / 1.4)
        assert [round(frame[:, :64].mean() / 12) for frame in found.frames] == [7, 9]
        part = read(tmp_path, (tmp_path / "a.bin").read_bytes(), "video", start=1.1).frames
        assert part is not None
        assert [round(frame[:, :64].mean() / 12) for frame in part] == [3, 3]
