"""Limits of media: products of what costs, each checked before it does."""

import errno
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import worst_files as files
from configs.schema import MediaConfig
from datamodules.media import animations, demuxing, stills
from datamodules.media import video as films
from datamodules.media.containers import faults
from datamodules.media.containers.identify import identify
from datamodules.media.decoders import MOST_ELONGATED, MOST_PIXELS, fit
from datamodules.media.files import MediaError, decode
from datamodules.sample import Media, Modality
from datamodules.sources.adapter import Place

BUDGET = MediaConfig(image_max_pixels=3136, video_max_frames=4, audio_max_seconds=30.0)
ROOT = Path(__file__).parents[3]


def refusal(path: Path, modality: Modality) -> MediaError:
    with pytest.raises(MediaError) as caught:
        decode(path.parent, Media(modality=modality, path=path.name), BUDGET)
    return caught.value


@pytest.mark.parametrize(
    ("channels", "rate"), [(1000, 16_000), (255, 16_000), (65, 48_000), (8, 768_000), (1, 10**6)]
)
def test_channels_times_rate_are_limited(tmp_path, channels, rate):
    files.sound(tmp_path / "a.wav", channels=channels, rate=rate, seconds=0.2)
    assert "a second" in str(refusal(tmp_path / "a.wav", "audio"))


@pytest.mark.parametrize(("channels", "rate"), [(1000, 3_000), (64, 48_000), (1, 768_000), (5, 1)])
def test_many_channels_and_any_rate_are_heard(tmp_path, channels, rate):
    files.sound(tmp_path / "a.wav", channels=channels, rate=rate, seconds=max(0.2, 4 / rate))
    found = decode(tmp_path, Media(modality="audio", path="a.wav"), BUDGET)
    assert found.audio is not None and len(found.audio) == 16_000 * max(0.2, 4 / rate)


def test_a_sound_in_tiny_packets_is_refused(tmp_path):
    files.track(tmp_path / "a.mka", size=1, container="matroska", count=18_000)
    assert "pieces a second" in str(refusal(tmp_path / "a.mka", "audio"))


def test_packets_are_limited_in_number(tmp_path, monkeypatch):
    monkeypatch.setattr(demuxing, "MOST_PACKETS", 12)
    files.film(tmp_path / "a.mkv", sizes=((20, 64, 64),), rate=100_000)
    assert "more than 12 packets" in str(refusal(tmp_path / "a.mkv", "video"))
    files.track(tmp_path / "b.mka", size=1600, container="matroska", count=20)
    assert "more than 12 packets" in str(refusal(tmp_path / "b.mka", "audio"))


@pytest.mark.parametrize("container", ["matroska", "mpegts"])
def test_each_frame_of_a_film_is_measured_and_not_its_header_alone(
    tmp_path, monkeypatch, container
):
    files.film(tmp_path / "a.mkv", sizes=((9, 64, 64), (9, 256, 256)), container=container, rate=25)
    decode(tmp_path, Media(modality="video", path="a.mkv"), BUDGET)
    monkeypatch.setattr(films, "MOST_FRAME_BYTES", 64 * 64 * 2)
    error = refusal(tmp_path / "a.mkv", "video")
    assert error.kind == "too_large" and "256x256 pixels (yuv420p)" in str(error)


def test_decoders_are_told_how_large_a_frame_may_be(tmp_path, monkeypatch):
    """So that they allocate none for a size that stands in the stream alone."""
    monkeypatch.setattr(films, "MOST_PIXELS", 64 * 64 * 2)
    files.film(tmp_path / "a.mkv", sizes=((9, 64, 64), (9, 256, 256)))
    assert refusal(tmp_path / "a.mkv", "video").kind == "unreadable"


def test_frames_of_more_bytes_per_pixel_may_have_fewer_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr(films, "MOST_FRAME_BYTES", 64 * 64 * 2)
    files.film(tmp_path / "a.mkv", sizes=((4, 64, 64),))
    decode(tmp_path, Media(modality="video", path="a.mkv"), BUDGET)
    files.film(tmp_path / "b.mkv", sizes=((4, 64, 64),), pixels="yuv420p10le")
    assert "yuv420p10le" in str(refusal(tmp_path / "b.mkv", "video"))


def test_what_is_decoded_for_a_frame_that_is_shown_is_limited(tmp_path, monkeypatch):
    """Of 40 frames behind one key frame, four are shown: ten decoded for each."""
    monkeypatch.setattr(films, "MOST_DECODED", 8 * 64 * 64)
    files.film(tmp_path / "a.mkv", sizes=((40, 64, 64),))
    assert "key frame" in str(refusal(tmp_path / "a.mkv", "video"))


@pytest.mark.parametrize("container", ["GIF", "PNG", "WEBP"])
def test_pictures_of_an_animation_are_limited_together(tmp_path, monkeypatch, container):
    files.animation(tmp_path / "a.bin", container=container, side=20, count=6)
    monkeypatch.setattr(animations, "MOST_MOVING", {"": 20 * 20 * 5})
    assert "in all of its pictures" in str(refusal(tmp_path / "a.bin", "video"))


def test_a_gif_that_grows_on_the_way_is_measured_again(tmp_path, monkeypatch):
    files.animation(tmp_path / "a.gif", container="GIF", side=20, count=2)
    data = bytearray((tmp_path / "a.gif").read_bytes())
    place = data.index(b"\x2c", data.index(b"\x2c", 800) + 60)  # the second picture
    while struct.unpack_from("<4H", data, place + 1) != (0, 0, 20, 20):
        place = data.index(b"\x2c", place + 1)
    struct.pack_into("<2H", data, place + 1, 900, 900)  # where it lies
    (tmp_path / "a.gif").write_bytes(data)
    monkeypatch.setattr(animations, "MOST_MOVING", {"": 20 * 20 * 2 + 900})
    assert "in all of its pictures" in str(refusal(tmp_path / "a.gif", "video"))


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGBA", "too_large"), ("CMYK", "too_large"), ("RGB", "")]
)
def test_more_channels_leave_fewer_pixels(tmp_path, monkeypatch, mode, kind):
    monkeypatch.setattr(stills, "MOST_DECODED", {"": 100 * 100 * 3})
    files.picture(tmp_path / "a.tiff", mode=mode, container="TIFF", side=100)
    if kind:
        assert f"pixels of mode {mode}" in str(refusal(tmp_path / "a.tiff", "image"))
    else:
        decode(tmp_path, Media(modality="image", path="a.tiff"), BUDGET)


def test_runs_of_a_bmp_are_limited(tmp_path, monkeypatch):
    files.runs(tmp_path / "a.bmp", side=40)
    decode(tmp_path, Media(modality="image", path="a.bmp"), BUDGET)
    monkeypatch.setattr(stills, "MOST_RUNS", 40 * 40 - 1)
    assert "in runs" in str(refusal(tmp_path / "a.bmp", "image"))


def test_scans_of_a_jpeg_are_limited_with_its_pixels(tmp_path):
    files.scans(tmp_path / "a.jpg", side=1000, count=20)
    decode(tmp_path, Media(modality="image", path="a.jpg"), BUDGET)
    files.scans(tmp_path / "a.jpg", side=1000, count=500)
    assert (tmp_path / "a.jpg").stat().st_size < 200_000
    assert " scans" in str(refusal(tmp_path / "a.jpg", "image"))


def test_the_file_of_a_picture_is_limited(tmp_path):
    Image.new("L", (9, 9)).save(tmp_path / "a.webp")
    with (tmp_path / "a.webp").open("r+b") as file:
        file.truncate(stills.MOST_BYTES + 1)
    assert refusal(tmp_path / "a.webp", "image").kind == "too_large"


def test_a_canvas_is_refused_before_its_decoder_makes_it(tmp_path):
    """A WebP whose header declares 10,000 x 10,000, of which Pillow alone would make 800 MB."""
    body = b"VP8X" + struct.pack("<I", 10) + b"\x12\0\0\0" + 2 * (9_999).to_bytes(3, "little")
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    data = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    (tmp_path / "a.webp").write_bytes(data)
    assert refusal(tmp_path / "a.webp", "image").kind == "too_large"
    assert 2 * Image.MAX_IMAGE_PIXELS == MOST_PIXELS


def test_a_tile_larger_than_its_picture_is_refused(tmp_path):
    files.tiles(tmp_path / "a.tiff", side=100, tile=512)
    decode(tmp_path, Media(modality="image", path="a.tiff"), BUDGET)
    files.tiles(tmp_path / "a.tiff", side=100, tile=4112)
    assert "a tile of 16,908,544 pixels" in str(refusal(tmp_path / "a.tiff", "image"))


@pytest.mark.parametrize("container", ["JPEG", "WEBP"])
def test_bytes_that_take_long_to_decode_are_limited(tmp_path, monkeypatch, container):
    files.picture(tmp_path / "a.bin", mode="RGB", container=container, side=100)
    monkeypatch.setitem(stills.MOST_PACKED, container, 5000)
    assert "at most 5,000 are decoded" in str(refusal(tmp_path / "a.bin", "image"))


MEASURED = """
import re, sys
from pathlib import Path
from configs.schema import MediaConfig
from datamodules.media.files import decode
from datamodules.sample import Media
budget = MediaConfig(image_max_pixels=3136, video_max_frames=4, audio_max_seconds=30.0)
def held(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024
before = held("VmRSS")
decode(Path(sys.argv[1]), Media(modality=sys.argv[2], path="a.bin"), budget)
print(held("VmHWM") - before)
"""


def megabytes(root: Path, modality: str) -> int:
    """Measure the peak of memory that reading takes, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(root), modality],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return int(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from Linux")
def test_a_picture_with_alpha_takes_two_copies_of_itself_and_no_more(tmp_path):
    """16 Mpx of 4 bytes are 64 MB; six copies were made of it."""
    Image.new("RGBA", (4000, 4000), (9, 9, 9, 99)).save(tmp_path / "a.bin", "PNG")
    assert megabytes(tmp_path, "image") < 2.6 * 64


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from Linux")
def test_the_channels_of_a_sound_are_never_in_memory_together(tmp_path):
    """20 s of 64 channels of 48 kHz are 246 MB as floats."""
    files.sound(tmp_path / "a.bin", channels=64, rate=48_000, seconds=20.0)
    assert megabytes(tmp_path, "audio") < 60


@pytest.mark.parametrize("write", [files.voids, files.gaps])
def test_parts_of_a_file_are_limited_in_number(tmp_path, monkeypatch, write):
    monkeypatch.setattr(faults, "MOST_PARTS", 1000)
    write(tmp_path / "a.bin", count=1100)
    with pytest.raises(MediaError, match="more than 1,000 parts"):
        identify(tmp_path / "a.bin")


@pytest.mark.parametrize("size", [(4000, 20), (20, 4000), (400, 2), (7000, 40), (200, 1)])
def test_a_picture_that_is_shrunk_is_no_more_elongated_than_processors_accept(size):
    """4000 x 20 would become 792 x 3, which is 264 times as long as wide."""
    width, height = fit(*size, 3136)
    assert max(width, height) <= MOST_ELONGATED * min(width, height)
    assert width * height <= 3136


def test_too_few_descriptors_are_no_fault_of_a_row(tmp_path, monkeypatch):
    files.sound(tmp_path / "a.wav", channels=1, rate=16_000, seconds=0.2)

    def refuse(*_args):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("datamodules.media.files.tell", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        decode(tmp_path, Media(modality="audio", path="a.wav"), BUDGET)


def test_a_kept_medium_that_is_damaged_is_written_anew(tmp_path):
    place = Place(root=tmp_path, directory="", name="train", number=1)
    kept = tmp_path / place.keep(b"a sound", "a.wav")
    kept.write_bytes(b"a so")
    place.keep(b"a sound", "a.wav")
    assert kept.read_bytes() == b"a sound"


def test_a_truncated_picture_in_chunks_stays_refused(tmp_path):
    chunk = struct.pack(">I", 13) + b"IHDR" + bytes(13)
    data = b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", zlib.crc32(chunk[4:]))
    (tmp_path / "a.png").write_bytes(data)
    assert refusal(tmp_path / "a.png", "image").kind == "unreadable"


def test_pixels_of_pictures_are_those_of_one_piece(tmp_path):
    """Bands of a picture are put on white one by one; the seams do not show."""
    pixels = np.random.default_rng(0).integers(0, 256, (300, 41, 4), dtype=np.uint8)
    image = Image.fromarray(pixels)
    paper = Image.new("RGBA", image.size, "white")
    expected = Image.alpha_composite(paper, image).convert("RGB")
    band, stills.BAND = stills.BAND, 500
    try:
        assert np.array_equal(np.asarray(stills.on_white(image)), np.asarray(expected))
    finally:
        stills.BAND = band
