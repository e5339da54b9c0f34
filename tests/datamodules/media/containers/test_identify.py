"""What tells that a file is not whole: its numbers, its checksums, and what was never fetched."""

import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bench.media_cases import CASES, contents
from bench.media_files import RATE, picture
from bench.media_matrix import BUDGET
from configs.schema import MediaConfig
from datamodules.media.files import MediaError, decode, measure
from datamodules.sample import Media

BY_NAME = {case.name: case for case in CASES}
COUNTED = (
    *("flac pcm_16", "ogg vorbis", "ogg opus", "ogg flac", "mp3 constant", "aac", "ac3", "amr"),
    *("m4a in front", "mka aac", "webm opus", "mp4 h264 in front", "mkv h264", "avi mpeg4"),
    *("avi h264, B-frames", "ts h264", "mpg mpeg2", "flv h264", "ogv vp8", "wmv"),
    *("gif", "apng", "webp", "png", "jpg"),
)


def refusal(root: Path, data: bytes, name: str) -> str:
    (root / "a.bin").write_bytes(data)
    with pytest.raises(MediaError) as caught:
        decode(root, Media(modality=BY_NAME[name].modality, path="a.bin"), BUDGET)
    assert (caught.value.kind, caught.value.path) == ("unreadable", "a.bin")
    return str(caught.value)


@pytest.mark.parametrize("name", COUNTED)
def test_zeros_in_place_of_the_rest_are_not_taken_for_it(tmp_path, name):
    """As programs leave them that make a file at its full size before they fetch it."""
    data = contents(BY_NAME[name], streamed=False)
    there = len(data) * 55 // 100
    refusal(tmp_path, data[:there] + bytes(len(data) - there), name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "wav pcm_16",
            r"32,022 bytes, but its sound goes on to byte 64,044 .* truncated; fetch it",
        ),
        ("au pcm_16", r"32,012 bytes, but its sound goes on to byte 64,024"),
        ("mp3 variable", r"[\d,]+ bytes, but its frame \d+ goes on to byte [\d,]+"),
        ("mkv h264", r"[\d,]+ bytes, but its segment goes on to byte [\d,]+"),
        ("mp4 h264 in front", r"[\d,]+ bytes, but its box 'mdat' goes on to byte [\d,]+"),
        ("m4a", r"[\d,]+ bytes, but its box 'mdat' goes on to byte [\d,]+"),
        ("avi mpeg4", r"[\d,]+ bytes, but its list of frames goes on to byte [\d,]+"),
        ("flv h264", r"[\d,]+ bytes, but its last tag goes on to byte [\d,]+"),
        ("png", r"[\d,]+ bytes, but its picture goes on to byte [\d,]+"),
    ],
)
def test_a_cut_file_is_refused_with_both_numbers(tmp_path, name, said):
    data = contents(BY_NAME[name], streamed=False)
    assert re.search(said, refusal(tmp_path, data[: len(data) // 2], name))


def test_frames_that_are_missing_from_an_mp3_file_are_counted(tmp_path):
    """A cut between two frames leaves none in part, but fewer than the first one declares."""
    data = contents(BY_NAME["mp3 constant"], streamed=False)
    heads = [at for at in range(len(data) - 1) if data[at : at + 2] == data[-288:-286]]
    said = refusal(tmp_path, data[: heads[len(heads) // 2]], "mp3 constant")
    assert "frames that its header declares, but none may be missing" in said


@pytest.mark.parametrize("name", ["mp3 constant, no Xing", "mp3 constant", "mp2", "aac", "ac3"])
def test_something_else_between_frames_is_missing_sound(tmp_path, name):
    """Bytes that were overwritten, and zeros that were put into a frame; the count may be right."""
    data = contents(BY_NAME[name], streamed=False)
    there = len(data) // 3 + 7
    noise = np.random.default_rng(5).integers(1, 250, 2000, np.uint8).tobytes()
    for torn in (
        data[:there] + noise + data[there + 2000 :],
        data[:there] + bytes(900) + data[there:],
    ):
        assert "is damaged" in refusal(tmp_path, torn, name) or "truncated" in refusal(
            tmp_path, torn, name
        )


@pytest.mark.parametrize("name", ["caf pcm_16", "caf float", "w64 pcm_16"])
@pytest.mark.parametrize("behind", ["wav pcm_16", "mp3 constant"])
def test_what_stands_behind_a_sound_is_not_played(tmp_path, name, behind):
    data, more = (contents(BY_NAME[each], streamed=False) for each in (name, behind))
    refusal(tmp_path, data + more, name)


def test_a_page_of_ogg_that_was_changed_or_left_out_is_missed(tmp_path):
    data = contents(BY_NAME["ogg opus ffmpeg"], streamed=False)
    pages = [at for at in range(len(data)) if data[at : at + 4] == b"OggS"]
    assert len(pages) >= 4
    changed = bytearray(data)
    changed[pages[2] + 100] ^= 1
    assert "does not match its checksum" in refusal(tmp_path, bytes(changed), "ogg opus ffmpeg")
    without = data[: pages[2]] + data[pages[3] :]
    assert "page 3 in place of 2" in refusal(tmp_path, without, "ogg opus ffmpeg")
    without = data[: pages[-1]]
    assert "marked as the last" in refusal(tmp_path, without, "ogg opus ffmpeg")


def test_limits_hold_for_what_is_there_and_not_for_what_a_header_guesses(tmp_path):
    """Two MP3 files in a row are four seconds, whatever the header of the first says."""
    data = contents(BY_NAME["mp3 variable, no Xing"], streamed=False)
    (tmp_path / "a.mp3").write_bytes(data + data)
    media = Media(modality="audio", path="a.mp3")
    assert measure(tmp_path, media, BUDGET).seconds == pytest.approx(4.2, abs=0.15)
    small = MediaConfig(image_max_pixels=100, video_max_frames=2, audio_max_seconds=3.0)
    with pytest.raises(
        MediaError, match=r"4\.\d s of sound, but data\.media\.audio_max_sec"
    ) as told:
        decode(tmp_path, media, small)
    assert told.value.kind == "too_long"


def test_a_hole_in_a_track_is_silence_so_that_what_follows_stays_in_step(tmp_path):
    """Sound from 0 to 0.5 s and from 1.2 to 1.7 s, the second half louder."""
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as file:
        stream: Any = file.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for begin, loud in ((0.0, 4000), (1.2, 16_000)):
            for piece in range(5):
                samples = np.full((1, RATE // 10), loud, np.int16)
                frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
                frame.rate, frame.pts = RATE, round((begin + piece / 10) * RATE)
                file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    heard = decode(tmp_path, Media(modality="audio", path="a.mka"), BUDGET).audio
    assert heard is not None and len(heard) == pytest.approx(1.7 * RATE, abs=RATE // 50)
    levels = [np.median(np.abs(heard[round(at * RATE) :][:800])) for at in (0.2, 0.8, 1.4)]
    assert levels == pytest.approx([4000 / 32_768, 0.0, 16_000 / 32_768], abs=0.01)


@pytest.mark.parametrize("container", ["mpegts", "mpeg", "flv", "matroska"])
@pytest.mark.parametrize("start", [0.3, 0.9, 1.5])
def test_a_segment_begins_where_it_says_in_any_container(tmp_path, container, start):
    """Key frames every second, B-frames before them: the first frame shown is that of the time."""
    codec = "mpeg2video" if container == "mpeg" else "libx264"
    with av.open(str(tmp_path / "a.bin"), "w", format=container) as file:
        options = {"g": "25", "bf": "2", "sc_threshold": "1000000000"}
        stream: Any = file.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(50):
            frame = av.VideoFrame.from_ndarray(picture(number * 2 // 5))
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    media = Media(modality="video", path="a.bin", start=start, end=start + 0.4)
    frames = decode(tmp_path, media, BUDGET).frames
    assert frames is not None
    first = round(start * 10)
    shown = [round(frame[:, :64].mean() / 12) for frame in frames]
    assert shown == [first, first + 1, first + 2, first + 3]


def test_more_channels_than_ffmpeg_gives_are_refused_and_not_read_from_elsewhere(tmp_path):
    """A CAF file whose header says 55 channels in place of one."""
    data = bytearray(contents(BY_NAME["caf pcm_16"], streamed=False))
    assert data[44:48] == bytes((0, 0, 0, 1))
    data[47] = 55
    assert "55 channels, but at most 8" in refusal(tmp_path, bytes(data), "caf pcm_16")


def test_a_track_that_begins_late_is_measured_to_its_end(tmp_path):
    """Ten pictures from 0 to 1 s, and a second of sound from 0.7 s on: 1.7 s are heard."""
    with av.open(str(tmp_path / "a.mov"), "w", format="mov") as file:
        film: Any = file.add_stream("mpeg4", rate=10)
        film.width, film.height, film.pix_fmt = 96, 64, "yuv420p"
        track: Any = file.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(10):
            shown = av.VideoFrame.from_ndarray(picture(number))
            shown.pts = number
            file.mux(film.encode(shown))
        heard = av.AudioFrame.from_ndarray(np.full((1, RATE), 9000, np.int16), "s16", "mono")
        heard.rate, heard.pts = RATE, RATE * 7 // 10
        file.mux([*film.encode(None), *track.encode(heard), *track.encode(None)])
    media = Media(modality="video", path="a.mov")
    found = decode(tmp_path, media, BUDGET)
    assert found.audio is not None
    assert len(found.audio) / RATE == pytest.approx(1.7, abs=0.01)
    assert measure(tmp_path, media, BUDGET).seconds == pytest.approx(1.7, abs=0.01)


def test_a_segment_behind_the_end_holds_no_time(tmp_path):
    (tmp_path / "a.wav").write_bytes(contents(BY_NAME["wav pcm_16"], streamed=False))
    with pytest.raises(MediaError, match=r"a\.wav: 0\.000 s of sound") as told:
        decode(tmp_path, Media(modality="audio", path="a.wav", start=5.0), BUDGET)
    assert told.value.kind == "empty"
