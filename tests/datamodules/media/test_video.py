"""Frames and sound of containers: which are chosen, how much is decoded, what is refused."""

import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from bench.media_files import add_frames, write_film
from configs.schema import MediaConfig
from datamodules.media import video as films
from datamodules.media.files import MediaError, decode, measure
from datamodules.sample import Media
from tests.datamodules.media.test_files import audio, film, grays, kind, video
from tests.house.test_architecture import ROOT

BUDGET = MediaConfig(image_max_pixels=48 * 32, video_max_frames=8, audio_max_seconds=3.0)
RATES = {"flv": 16_000, "webm": 48_000, "opus": 48_000}
FORMATS = {"aac": "adts", "mka": "matroska"}


def hum(path: Path, seconds: float = 2.0, **options: str) -> None:
    """Write a 440 Hz tone of half the loudest, in the container and codec of the path's ending."""
    codec = "libopus" if path.suffix in (".webm", ".opus") else "aac"
    ending = path.suffix.removeprefix(".")
    with av.open(str(path), "w", format=FORMATS.get(ending), options=options) as file:
        stream = file.add_stream(codec, rate=RATES.get(ending, 16_000), layout="mono")
        wave = 0.5 * np.sin(2 * np.pi * 440 / 16_000 * np.arange(round(seconds * 16_000)))
        piece = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), "fltp", "mono")
        piece.rate, piece.pts = 16_000, 0
        converter = av.AudioResampler(format=stream.format, layout="mono", rate=stream.rate)
        for frame in converter.resample(piece) + converter.resample(None):
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def hour(path: Path, *, pictures: bool, sound: bool) -> None:
    """Write a picture each second, and sound of which little is there but its end."""
    with av.open(str(path), "w") as file:
        if pictures:
            seen = file.add_stream("libx264", rate=1, options={"g": "20", "preset": "ultrafast"})
            seen.width, seen.height, seen.pix_fmt = 48, 32, "yuv420p"
        if sound:
            heard = file.add_stream("aac", rate=16_000, layout="mono")
            for at in (*range(20), *range(3599 * 16_000 // 1024, 3600 * 16_000 // 1024)):
                silence = np.zeros((1, 1024), np.float32)
                piece = av.AudioFrame.from_ndarray(silence, "fltp", "mono")
                piece.rate, piece.pts = 16_000, at * 1024
                file.mux(heard.encode(piece))
            file.mux(heard.encode(None))
        if pictures:
            seconds = range(3600)
            add_frames(file, seen, (np.full((32, 48, 3), at // 20, np.uint8) for at in seconds))


class CountedPacket:
    """A packet that counts the frames that are decoded from it."""

    def __init__(self, packet: Any) -> None:
        self.packet = packet

    def __getattr__(self, name: str) -> Any:
        return getattr(self.packet, name)

    def decode(self) -> list[Any]:
        frames = self.packet.decode()
        Counted.total += len(frames)
        return list(frames)


class Counted:
    """An open file that counts the frames that it decodes."""

    total = 0

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> "Counted":
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def demux(self, stream: Any) -> Iterator[Any]:
        for packet in self.file.demux(stream):
            yield CountedPacket(packet)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    opened = av.open
    monkeypatch.setattr(films.av, "open", lambda *path, **how: Counted(opened(*path, **how)))
    Counted.total = 0
    return Counted


@pytest.mark.parametrize(
    ("fps", "shown"),
    [
        (0.2, [5, 15]),
        (1.0, [5, 15]),
        (1.2, [2, 7, 12, 17]),
        (2.0, [2, 7, 12, 17]),
        (2.1, [1, 5, 8, 11, 15, 18]),
        (30.0, [1, 3, 6, 8, 11, 13, 16, 18]),
        (0.0, [1, 3, 6, 8, 11, 13, 16, 18]),
    ],
)
def test_frames_are_so_many_a_second_rounded_up_to_pairs(tmp_path, fps, shown):
    """Of 2 s 0.4 and 2 are two, 2.4 and 4 are four, 4.2 are six; 60 are the eight of the budget.

    Six parts are of 10/3 frames: their middles lie in frames 1, 5, 8, 11, 15 and 18.
    """
    film(tmp_path / "a.mp4", frames=20)
    decoded = decode(tmp_path, video("a.mp4"), replace(BUDGET, video_fps=fps))
    assert grays(decoded) == shown
    assert decoded.fps == pytest.approx(len(shown) / 2)


def test_the_rate_of_frames_is_that_of_a_segment(tmp_path):
    """Of 0.6 to 1.8 s five a second are six: the second of each pair begins at its middle."""
    film(tmp_path / "a.mp4", frames=20)
    decoded = decode(tmp_path, video("a.mp4", start=0.6, end=1.8), replace(BUDGET, video_fps=5.0))
    assert grays(decoded) == [7, 9, 11, 13, 15, 17]
    assert decoded.fps == pytest.approx(5.0)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "flv"])
@pytest.mark.parametrize("segment", [(0.0, math.inf), (0.6, 2.2)])
def test_frames_are_the_same_from_the_nearest_key_frame_and_from_the_first(
    tmp_path, suffix, segment
):
    path = tmp_path / f"a.{suffix}"
    film(path, frames=25)
    chosen = films.choose_frames(path, *segment, replace(BUDGET, video_max_frames=6))
    assert len(chosen.keys) >= 3 or (suffix == "avi" and len(chosen.clock) >= 22)
    near = films._read_frames(path, chosen)
    all_of_them = films._read_frames(path, replace(chosen, keys=()))
    assert np.array_equal(near, all_of_them)


def test_of_an_hour_of_pictures_little_is_decoded(tmp_path, counted):
    """Eight frames, each at most 20 behind a key frame, as are the two that the decoder is ahead.

    Frames stand at the middles of 450 s: 225 and 675 s, whose grays are 11 and 33, give or take 1.
    """
    hour(tmp_path / "a.mp4", pictures=True, sound=False)
    decoded = decode(tmp_path, video("a.mp4"), BUDGET)
    assert [round(frame.mean()) for frame in decoded.frames][:2] == pytest.approx([11, 33], abs=1)
    assert 0 < counted.total <= 8 * 22


def test_an_hour_of_sound_is_refused_before_any_is_decoded(tmp_path, counted):
    hour(tmp_path / "a.mp4", pictures=True, sound=True)
    hour(tmp_path / "a.m4a", pictures=False, sound=True)
    soundfile.write(tmp_path / "a.flac", np.zeros(3600 * 1000, np.int16), 1000)
    assert kind(tmp_path, video("a.mp4")) == "too_long"
    assert kind(tmp_path, audio("a.m4a")) == "too_long"
    assert kind(tmp_path, audio("a.flac")) == "too_long"
    assert counted.total == 0


def test_of_sound_whose_header_does_not_tell_no_more_is_decoded_than_the_budget(tmp_path, counted):
    """4 s of 1,024 samples at 16 kHz, and one frame to see that there is more."""
    hum(tmp_path / "a.aac", 60.0)
    assert kind(tmp_path, audio("a.aac")) == "too_long"
    assert counted.total <= 64


@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.mka", "a.webm", "a.opus", "a.aac", "a.flv"])
def test_sound_is_read_from_any_container(tmp_path, name):
    hum(tmp_path / name)
    heard = decode(tmp_path, audio(name), BUDGET).audio
    assert heard is not None and len(heard) == pytest.approx(32_000, abs=2_048)
    assert np.abs(heard[4_000:28_000]).max() == pytest.approx(0.5, abs=0.05)
    waves = np.sum(np.diff(np.signbit(heard[4_000:20_000])))
    assert waves == pytest.approx(2 * 440, abs=2)


@pytest.mark.parametrize("name", ["a.m4a", "a.mka", "a.opus"])
@pytest.mark.parametrize("start", [0.3, 0.703, 1.4])
def test_a_segment_of_compressed_sound_is_a_part_of_the_whole(tmp_path, name, start):
    """To the sample, and without the wrong beginning of a codec that starts in the middle."""
    hum(tmp_path / name)
    whole = decode(tmp_path, audio(name), BUDGET).audio
    part = decode(tmp_path, audio(name, start=start, end=start + 0.4), BUDGET).audio
    assert whole is not None and part is not None and len(part) == 6_400
    first = round(start * 16_000)
    np.testing.assert_allclose(part[300:-300], whole[first:][300:6_100], atol=2e-3)


def test_what_a_file_does_not_have_is_said(tmp_path):
    film(tmp_path / "mute.mp4", frames=4)
    hum(tmp_path / "sound.m4a")
    with pytest.raises(MediaError, match=r"mute\.mp4: no sound in the file, but it is named as a"):
        decode(tmp_path, audio("mute.mp4"), BUDGET)
    with pytest.raises(MediaError, match=r"sound\.m4a: no pictures, but .* give the file as audio"):
        decode(tmp_path, video("sound.m4a"), BUDGET)
    (tmp_path / "none.mp4").touch()
    with pytest.raises(MediaError, match=r"none\.mp4: 0 bytes"):
        decode(tmp_path, video("none.mp4"), BUDGET)


FORKED = """
import gc, os, signal, sys
from pathlib import Path
from configs.schema import MediaConfig
from datamodules.media.files import decode
from datamodules.sample import Media

gc.disable()
budget = MediaConfig(video_max_frames=8, image_max_pixels=10_000, audio_max_seconds=9.0)
decode(Path(sys.argv[1]), Media(modality="video", path="v.mp4"), budget)
child = os.fork()
if not child:
    signal.alarm(10)
    gc.collect()
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_what_a_film_leaves_can_be_freed_in_a_forked_process(tmp_path):
    """FFmpeg waits for its threads when it is freed, and a fork has none of them."""
    film(tmp_path / "v.mp4", frames=20)
    command = [sys.executable, "-c", FORKED, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT).returncode == 0


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])


def test_truncated_files_are_refused_and_not_shown_in_part(tmp_path):
    """Their headers, at the beginning, promise more."""
    hum(tmp_path / "a.m4a", movflags="faststart")
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "a.flac", rng.normal(size=32_000) * 0.1, 16_000)
    noise = [rng.integers(0, 255, (32, 48, 3), dtype=np.uint8) for _ in range(40)]
    write_film(tmp_path / "a.mp4", noise, muxing={"movflags": "faststart"})
    for media in (audio("a.m4a"), audio("a.flac"), video("a.mp4")):
        decode(tmp_path, media, replace(BUDGET, audio_max_seconds=9.0))
        cut(tmp_path / media.path, 0.6)
        assert kind(tmp_path, media) == "unreadable"


@pytest.mark.parametrize(
    ("media", "pictures", "pixels", "seconds"),
    [
        (video("a.mp4"), 8, 48 * 32, 1.5),
        (video("a.mp4", start=0.5, end=1.1), 6, 48 * 32, 0.6),
        (Media(modality="audio", path="a.mp4"), 0, 0, 1.5),
        (audio("a.aac"), 0, 0, 1.0),
        (audio("a.flac", start=0.25), 0, 0, 0.75),
    ],
)
def test_media_are_measured_before_they_are_decoded(tmp_path, media, pictures, pixels, seconds):
    film(tmp_path / "a.mp4", frames=20, sound=1.5)
    hum(tmp_path / "a.aac", 1.0)
    soundfile.write(tmp_path / "a.flac", np.zeros(8_000), 8_000)
    size = measure(tmp_path, media, BUDGET)
    assert (size.pictures, size.pixels) == (pictures, pixels)
    assert size.seconds == pytest.approx(seconds, abs=0.15)
