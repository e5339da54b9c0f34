"""Media: what decoders give, what a budget allows, what names their content."""

import pickle
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from bench.media import BUDGET as FUZZED
from bench.media import mutated
from bench.media_cases import CASES, contents
from bench.media_files import write_film
from configs.schema import MediaConfig
from datamodules.media.files import (
    Decoded,
    MediaError,
    content_hash,
    decode,
    file_digest,
    resolve,
)
from datamodules.sample import Media

BUDGET = MediaConfig(image_max_pixels=48 * 32, video_max_frames=4, audio_max_seconds=3.0)


def tone(path: Path, seconds: float, rate: int = 16_000, channels: int = 1) -> None:
    """Write a ramp from 0 to 0.5, so that every sample tells its time; channel i is scaled 1/i."""
    ramp = np.linspace(0, 0.5, round(seconds * rate), endpoint=False)
    soundfile.write(path, np.stack([ramp / (i + 1) for i in range(channels)], axis=1), rate)


def film(
    path: Path, *, frames: int, sound: float = 0.0, layout: str = "mono", late: int = 0
) -> None:
    """Write ten frames a second, the i-th of gray 10 i, and `sound` seconds of a 440 Hz tone.

    Args:
        late: frames that the clock of the file has counted before its first one.
    """
    wave = 0.5 * np.sin(2 * np.pi * 440 / 16_000 * np.arange(round(sound * 16_000)))
    channels = np.stack([wave] * (2 if layout == "stereo" else 1))
    grays = [np.full((32, 48, 3), 10 * i, np.uint8) for i in range(frames)]
    write_film(path, grays, sounds=[channels] if sound else [], first=late)


def grays(decoded: Decoded) -> list[int]:
    assert decoded.frames is not None
    return [round(float(frame.mean()) / 10) for frame in decoded.frames]


def audio(path: str, **fields: float) -> Media:
    return Media(modality="audio", path=path, **fields)


def video(path: str, **fields: float) -> Media:
    return Media(modality="video", path=path, **fields)


def image(path: str) -> Media:
    return Media(modality="image", path=path)


def kind(root: Path, media: Media) -> str:
    """Decode, expect a failure, and say of which kind."""
    with pytest.raises(MediaError) as caught:
        decode(root, media, BUDGET)
    assert caught.value.path == media.path
    return caught.value.kind


def test_a_sound_comes_as_it_is_when_it_is_mono_at_16_khz(tmp_path):
    tone(tmp_path / "a.flac", 1.0)
    decoded = decode(tmp_path, audio("a.flac"), BUDGET)
    assert decoded.audio is not None and decoded.audio.dtype == np.float32
    np.testing.assert_allclose(decoded.audio, np.arange(16_000) / 32_000, atol=1e-4)


def test_channels_are_averaged_and_the_rate_is_converted(tmp_path):
    """Channels r and r/2 of a ramp r average to 3/4 r; 48 kHz gives a third of the samples."""
    tone(tmp_path / "a.wav", 1.0, rate=48_000, channels=2)
    decoded = decode(tmp_path, audio("a.wav"), BUDGET)
    assert decoded.audio is not None and decoded.audio.shape == (16_000,)
    assert decoded.audio[8_000] == pytest.approx(0.75 * 0.25, abs=1e-3)


def test_a_segment_of_a_sound_starts_and_ends_where_it_says(tmp_path):
    tone(tmp_path / "a.wav", 10.0)
    decoded = decode(tmp_path, audio("a.wav", start=4.0, end=5.5), BUDGET)
    assert decoded.audio is not None and decoded.audio.shape == (24_000,)
    assert decoded.audio[0] == pytest.approx(0.2, abs=1e-4)


def test_a_sound_over_budget_is_refused_and_not_cut(tmp_path):
    tone(tmp_path / "a.wav", 3.5)
    with pytest.raises(MediaError, match=r"3\.5 s.*data\.media\.audio_max_seconds is 3\.0"):
        decode(tmp_path, audio("a.wav"), BUDGET)


def test_sound_without_samples_is_refused(tmp_path):
    tone(tmp_path / "none.wav", 0)
    tone(tmp_path / "a.wav", 1)
    soundfile.write(tmp_path / "nan.wav", np.full(9_000, np.nan), 16_000, subtype="FLOAT")
    assert kind(tmp_path, audio("none.wav")) == "empty"
    assert kind(tmp_path, audio("a.wav", start=2.0)) == "empty"
    assert kind(tmp_path, audio("a.wav", start=0.5, end=0.5)) == "empty"
    assert kind(tmp_path, audio("nan.wav")) == "unreadable"


def test_an_image_within_budget_keeps_its_pixels(tmp_path):
    pixels = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    decoded = decode(tmp_path, image("a.png"), BUDGET)
    assert decoded.image is not None
    np.testing.assert_array_equal(decoded.image, pixels)


def test_an_image_over_budget_shrinks_to_its_area_and_keeps_its_shape(tmp_path):
    """96 x 64 has four times the pixels of 48 x 32."""
    Image.new("L", (96, 64)).save(tmp_path / "a.png")
    decoded = decode(tmp_path, image("a.png"), BUDGET)
    assert decoded.image is not None and decoded.image.shape == (32, 48, 3)


def test_transparent_drawings_lie_on_white(tmp_path):
    drawing = Image.new("RGBA", (4, 3), (0, 0, 0, 0))
    drawing.putpixel((2, 1), (0, 0, 0, 255))
    drawing.save(tmp_path / "a.png")
    decoded = decode(tmp_path, image("a.png"), BUDGET)
    assert decoded.image is not None
    assert (decoded.image[1, 2].tolist(), decoded.image[0, 0].tolist()) == ([0] * 3, [255] * 3)


def test_photographs_stand_upright(tmp_path):
    """EXIF orientation 6: the camera's left side is the top of the scene."""
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph = Image.new("RGB", (6, 4))
    photograph.paste("white", (0, 0, 2, 4))
    photograph.save(tmp_path / "a.png", exif=exif)
    decoded = decode(tmp_path, image("a.png"), BUDGET)
    assert decoded.image is not None and decoded.image.shape == (6, 4, 3)
    assert decoded.image[:, 0, 0].tolist() == [255, 255, 0, 0, 0, 0]


def test_images_that_no_tower_reads_are_refused(tmp_path):
    Image.new("1", (10_000, 8_930)).save(tmp_path / "bomb.png")
    Image.new("L", (401, 2)).save(tmp_path / "line.png")
    Image.new("I;16", (9, 9)).save(tmp_path / "deep.png")
    (tmp_path / "program.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    assert kind(tmp_path, image("bomb.png")) == "too_large"
    assert kind(tmp_path, image("line.png")) == "too_large"
    assert kind(tmp_path, image("deep.png")) == "unreadable"
    assert kind(tmp_path, image("program.png")) == "unreadable"


def test_a_video_within_budget_keeps_its_frames_and_rate(tmp_path):
    film(tmp_path / "a.mp4", frames=4)
    decoded = decode(tmp_path, video("a.mp4"), BUDGET)
    assert grays(decoded) == [0, 1, 2, 3]
    assert decoded.fps == pytest.approx(10.0)
    assert decoded.audio is None


def test_frames_are_sampled_from_the_middle_of_equal_parts(tmp_path):
    """20 frames in 4 parts of 5: the third of each; 4 frames in 2 s are 2 per second."""
    film(tmp_path / "a.mp4", frames=20)
    decoded = decode(tmp_path, video("a.mp4"), BUDGET)
    assert grays(decoded) == [2, 7, 12, 17]
    assert decoded.fps == pytest.approx(2.0)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_segment_of_a_video_starts_and_ends_where_it_says(tmp_path, suffix):
    """Frames 7 to 12, between key frames: 4 parts of 1.5 frames, whose middles are in these."""
    film(tmp_path / f"a.{suffix}", frames=20)
    decoded = decode(tmp_path, video(f"a.{suffix}", start=0.7, end=1.3), BUDGET)
    assert grays(decoded) == [7, 9, 10, 12]


def test_a_segment_counts_from_the_first_frame_whatever_the_clock_says(tmp_path):
    film(tmp_path / "a.mkv", frames=20, late=13)
    decoded = decode(tmp_path, video("a.mkv", start=0.7, end=1.1), BUDGET)
    assert grays(decoded) == [7, 8, 9, 10]


@pytest.mark.parametrize(("frames", "kept"), [(1, [0, 0]), (3, [0, 2])])
def test_frames_are_even_in_number(tmp_path, frames, kept):
    film(tmp_path / "a.mp4", frames=frames)
    assert grays(decode(tmp_path, video("a.mp4"), BUDGET)) == kept


def test_video_frames_shrink_to_the_pixel_budget(tmp_path):
    film(tmp_path / "a.mp4", frames=2)
    small = replace(BUDGET, image_max_pixels=24 * 16)
    decoded = decode(tmp_path, video("a.mp4"), small)
    assert decoded.frames is not None and decoded.frames.shape == (2, 16, 24, 3)


@pytest.mark.parametrize("layout", ["mono", "stereo"])
def test_the_track_of_a_video_is_as_loud_as_it_was_recorded(tmp_path, layout):
    film(tmp_path / "a.mp4", frames=10, sound=1.0, layout=layout)
    decoded = decode(tmp_path, video("a.mp4"), BUDGET)
    assert decoded.audio is not None
    assert len(decoded.audio) == pytest.approx(16_000, abs=1_024)
    assert np.abs(decoded.audio[2_000:14_000]).max() == pytest.approx(0.5, abs=0.05)


def test_a_segment_of_a_track_is_in_step_with_its_frames(tmp_path):
    """A phase of the 440 Hz tone, read at 0.7 s, is that of the recording at 0.7 s."""
    film(tmp_path / "a.mp4", frames=20, sound=2.0)
    decoded = decode(tmp_path, video("a.mp4", start=0.7, end=1.3), BUDGET)
    assert decoded.audio is not None and decoded.audio.shape == (9_600,)
    times = 0.7 + np.arange(2_000, 8_000) / 16_000
    expected = 0.5 * np.sin(2 * np.pi * 440 * times)
    assert np.corrcoef(decoded.audio[2_000:8_000], expected)[0, 1] > 0.95


def test_a_track_over_budget_is_refused_and_not_cut(tmp_path):
    film(tmp_path / "a.mp4", frames=4, sound=3.5)
    assert kind(tmp_path, video("a.mp4")) == "too_long"


def test_videos_without_a_frame_are_refused(tmp_path):
    film(tmp_path / "a.mp4", frames=4)
    assert kind(tmp_path, video("a.mp4", start=9.0)) == "empty"
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile a.mp4\n")
    assert kind(tmp_path, video("list.mp4")) == "unreadable"


def test_links_lead_nowhere_but_to_the_data_root(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    (root / "out.wav").symlink_to(tmp_path / "secret.wav")
    (root / "loop.wav").symlink_to(root / "loop.wav")
    (root / "a.wav").write_bytes(b"RIFF")
    (root / "in.wav").symlink_to(root / "a.wav")
    assert kind(root, audio("out.wav")) == "unsafe"
    assert kind(root, audio("loop.wav")) == "missing"
    assert resolve(root, "in.wav") == (root / "a.wav").resolve()


def test_media_outside_the_data_root_are_read_where_that_is_allowed(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    outside = tmp_path / "a b.wav"
    tone(outside, 0.5)
    (root / "out.wav").symlink_to(outside)
    named = (str(outside), "out.wav", "../a b.wav", outside.as_uri(), f"file://{outside}")
    for path in named:
        assert resolve(root, path, outside_root=True) == outside.resolve()
        assert len(decode(root, audio(path), BUDGET, outside_root=True).audio) == 8_000
        with pytest.raises(MediaError, match=r"data\.outside_root=true") as caught:
            resolve(root, path)
        assert caught.value.kind == "unsafe"


@pytest.mark.parametrize("url", ["https://example.org/a.wav", "http://a/b", "s3://a/b.wav"])
def test_urls_are_refused_whatever_is_allowed(tmp_path, url):
    for outside_root in (False, True):
        with pytest.raises(MediaError, match=r"is a URL, .* fetch it, .*slashes\.$") as caught:
            resolve(tmp_path, url, outside_root=outside_root)
        assert caught.value.kind == "unsafe"


def test_an_error_survives_the_way_from_a_loader_process():
    error = pickle.loads(pickle.dumps(MediaError("no sound", kind="empty", path="a.wav")))
    assert (str(error), error.kind, error.path) == ("no sound", "empty", "a.wav")


ENDINGS = ("wav", "flac", "ogg", "mp3", "png", "jpg", "webp", "gif", "tiff", "mp4", "m4a")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_hostile_or_damaged_file_ends_in_a_media_error_or_not_at_all(tmp_path, ending):
    """Twenty-eight mutations of each format: flipped bytes, cuts, and runs of zeros."""
    case = next(case for case in CASES if case.ending == ending)
    source, before = Media(modality=case.modality, path="mutant"), contents(case, streamed=False)
    ends = []
    for number in range(28):
        (tmp_path / "mutant").write_bytes(mutated(before, random.Random(number)))
        try:
            decoded = decode(tmp_path, source, FUZZED)
            assert isinstance(decoded, Decoded)
            ends.append(True)
        except MediaError:
            ends.append(False)
    assert not all(ends)


def test_a_digest_follows_the_file_when_it_changes(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    before = file_digest(path)
    path.write_bytes(b"other")
    assert file_digest(path) != before
    assert len(before) == 32


def test_any_change_of_a_question_changes_its_hash_and_a_move_does_not():
    """Among the changes are texts that only move from one field into the next."""
    clip = audio("a.wav", start=2)
    question = ("Which?", ("a", "b"), "A", (clip,), ("00ff",))
    changed = [
        ("Which", ("?a", "b"), "A", (clip,), ("00ff",)),
        ("Which?", ("ab",), "A", (clip,), ("00ff",)),
        ("Which?", ("b", "a"), "A", (clip,), ("00ff",)),
        ("Which?", ("a", "b"), "B", (clip,), ("00ff",)),
        ("Which?", ("a", "b"), "A", (clip, clip), ("00ff", "00ff")),
        ("Which?", ("a", "b"), "A", (clip,), ("00fe",)),
        ("Which?", ("a", "b"), "A", (replace(clip, start=3.0),), ("00ff",)),
        ("Which?", ("a", "b"), "A", (replace(clip, start=None, end=2.0),), ("00ff",)),
        ("Which?", ("a", "b"), "A", (replace(clip, role="option"),), ("00ff",)),
        ("Which?", ("a", "b"), "A", (replace(clip, modality="video"),), ("00ff",)),
    ]
    hashes = {content_hash(*fields) for fields in [question, *changed]}
    assert len(hashes) == 11
    moved = replace(clip, path="b/a.wav", start=2.0)
    assert content_hash(*question[:3], (moved,), ("00ff",)) == content_hash(*question)
