"""Decoded media on disk: the same arrays, shared by all, whatever happens to the files."""

import logging
import multiprocessing
import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.schema import MediaConfig
from datamodules.media.cache import MediaCache
from datamodules.media.files import Decoded, MediaError, decode
from tests.datamodules.media.test_files import audio, film, image, tone, video

BUDGET = MediaConfig(image_max_pixels=900, video_max_frames=4, audio_max_seconds=3.0)
MEDIA = (
    audio("a.wav"),
    audio("a.wav", start=0.3, end=0.8),
    image("a.png"),
    video("a.mp4"),
    video("b.mp4"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tone(tmp_path / "a.wav", 1.0, rate=44_100, channels=2)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    film(tmp_path / "a.mp4", frames=6, sound=0.6)
    film(tmp_path / "b.mp4", frames=9)
    return tmp_path


@pytest.fixture
def cache(root: Path) -> MediaCache:
    return MediaCache(root / "cache", gigabytes=1.0)


def entries(root: Path) -> list[Path]:
    return sorted((root / "cache").glob("*/*"))


def same(one: Decoded, other: Decoded) -> bool:
    """Bit by bit, types included."""
    for name in (field.name for field in fields(Decoded)):
        left, right = getattr(one, name), getattr(other, name)
        if isinstance(left, np.ndarray):
            if left.dtype != right.dtype or left.tobytes() != right.tobytes():
                return False
            if left.shape != right.shape:
                return False
        elif left != right:
            return False
    return True


@pytest.mark.parametrize("media", MEDIA)
def test_what_is_kept_is_what_was_decoded_to_the_bit(root, cache, media):
    plain = decode(root, media, BUDGET)
    first = cache.decode(root, media, BUDGET)
    again = MediaCache(root / "cache", gigabytes=1.0).decode(root, media, BUDGET)
    assert same(plain, first) and same(plain, again)
    assert len(entries(root)) == 1


def test_what_is_kept_is_not_decoded_again(root, cache, monkeypatch):
    for media in MEDIA:
        cache.decode(root, media, BUDGET)
    monkeypatch.delattr("datamodules.media.cache.decode")
    for media in MEDIA:
        cache.decode(root, media, BUDGET)


def test_a_role_and_a_text_are_not_part_of_what_is_kept(root, cache):
    shown = cache.decode(root, MEDIA[0], BUDGET)
    option = cache.decode(root, replace(MEDIA[0], role="option", text="A ramp."), BUDGET)
    assert (shown.role, option.role) == ("context", "option")
    assert len(entries(root)) == 1


@pytest.mark.parametrize(
    ("media", "other"),
    [
        (audio("a.wav"), {"audio_max_seconds": 4.0}),
        (image("a.png"), {"image_max_pixels": 901}),
        (video("a.mp4"), {"image_max_pixels": 901}),
        (video("a.mp4"), {"video_max_frames": 2}),
        (video("a.mp4"), {"video_fps": 1.0}),
        (video("a.mp4"), {"audio_max_seconds": 4.0}),
    ],
)
def test_a_budget_that_matters_has_an_entry_of_its_own(root, cache, media, other):
    cache.decode(root, media, BUDGET)
    cache.decode(root, media, replace(BUDGET, **other))
    assert len(entries(root)) == 2


def test_budgets_that_do_not_matter_share_an_entry(root, cache):
    cache.decode(root, image("a.png"), BUDGET)
    other = replace(BUDGET, video_max_frames=9, audio_max_seconds=1.0, prompt_max_pixels=9000)
    cache.decode(root, image("a.png"), other)
    assert len(entries(root)) == 1


def test_a_changed_file_is_decoded_and_a_moved_one_is_not(root, cache):
    cache.decode(root, image("a.png"), BUDGET)
    os.replace(root / "a.png", root / "moved.png")
    cache.decode(root, image("moved.png"), BUDGET)
    assert len(entries(root)) == 1
    Image.new("RGB", (20, 10), "white").save(root / "moved.png")
    assert cache.decode(root, image("moved.png"), BUDGET).image.shape == (10, 20, 3)
    assert len(entries(root)) == 2


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_damaged_entries_are_decoded_again(root, cache, caplog, harm):
    plain = cache.decode(root, MEDIA[0], BUDGET)
    [entry] = entries(root)
    data = bytearray(entry.read_bytes())
    data[-5] ^= 1
    entry.write_bytes({"cut": data[:-400], "flip": data, "empty": b""}[harm])
    with caplog.at_level(logging.WARNING):
        assert same(cache.decode(root, MEDIA[0], BUDGET), plain)
        assert same(cache.decode(root, MEDIA[0], BUDGET), plain)
    [said] = [record.message for record in caplog.records]
    assert f"{entry} is damaged and is made anew" in said


def test_what_cannot_be_decoded_is_not_kept(root, cache):
    (root / "a.wav").write_bytes(b"not a sound")
    with pytest.raises(MediaError):
        cache.decode(root, MEDIA[0], BUDGET)
    tone(root / "a.wav", 3.5)
    with pytest.raises(MediaError, match="audio_max_seconds"):
        cache.decode(root, MEDIA[0], BUDGET)
    assert entries(root) == []


def test_it_stops_growing_at_its_size_and_says_so_once(root, caplog):
    """A second of sound is 64 kB: two fit into 140 kB, of which one is there at the start."""
    MediaCache(root / "cache", gigabytes=1.4e-4).decode(root, MEDIA[0], BUDGET)
    cache = MediaCache(root / "cache", gigabytes=1.4e-4)
    for number in range(2, 6):
        tone(root / f"{number}.wav", 1 + number / 100)
        with caplog.at_level(logging.WARNING):
            assert cache.decode(root, audio(f"{number}.wav"), BUDGET).audio is not None
    assert len(entries(root)) == 2
    [said] = [record.message for record in caplog.records]
    assert "grows no further" in said and "data.media_cache_gigabytes=0.00014" in said


def test_a_directory_that_cannot_be_written_costs_nothing_but_time(root, caplog):
    (root / "cache").write_text("not a directory")
    cache = MediaCache(root / "cache", gigabytes=1.0)
    with caplog.at_level(logging.WARNING):
        for media in MEDIA:
            assert same(cache.decode(root, media, BUDGET), decode(root, media, BUDGET))
    assert len([record for record in caplog.records if "grows no further" in record.message]) == 1


def fill(root: Path) -> None:
    for _ in range(5):
        cache = MediaCache(root / "cache", gigabytes=1.0)
        for media in MEDIA:
            cache.decode(root, media, BUDGET)


def test_any_number_of_processes_share_a_directory(root):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=fill, args=(root,)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(entries(root)) == len(MEDIA)
    assert {entry.suffix for entry in entries(root)} == {".safetensors"}
    cache = MediaCache(root / "cache", gigabytes=1.0)
    for media in MEDIA:
        assert same(cache.decode(root, media, BUDGET), decode(root, media, BUDGET))
