"""What else files are like: tags and junk around a sound, lengths never written, odd shapes."""

import re
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from bench.media_cases import CASES, Case, contents
from bench.media_files import RATE, by_av, by_libsndfile, picture
from bench.media_matrix import BUDGET
from datamodules.media.files import Decoded, MediaError, decode
from datamodules.sample import Media
from tests.datamodules.media.conftest import (
    chunk,
    cover,
    made,
    read,
    refusal,
    resized,
    saved,
    seconds,
)

APE = b"APETAGEX" + struct.pack("<IIII", 2000, 32, 0, 0x8000_0000) + bytes(8)
LYRICS = b"LYRICSBEGININD0000200000029LYRICS200"
LIST = chunk(b"LIST", b"INFO" + chunk(b"ISFT", b"Lavf62.12.102\0"))
GOOD_SOUNDS: dict[str, Callable[[], bytes]] = {
    "MP3, ID3v1": lambda: made("mp3 constant") + b"TAG" + bytes(125),
    "MP3, APE": lambda: made("mp3 constant") + APE,
    "MP3, lyrics and ID3v1": lambda: made("mp3 constant") + LYRICS + b"TAG" + bytes(125),
    "MP3, junk behind": lambda: made("mp3 constant") + b"some junk here" * 20,
    "MP3, zeros behind": lambda: made("mp3 constant") + bytes(3000),
    "MP3, junk before": lambda: b"junk" * 100 + made("mp3 constant"),
    "FLAC, ID3 before": lambda: cover(bytes(3000)) + made("flac pcm_16"),
    "AAC, ID3 before": lambda: cover(bytes(3000)) + made("aac"),
    "AVI, eight bytes too long": lambda: (
        made("avi h264")[:4] + struct.pack("<I", len(made("avi h264"))) + made("avi h264")[8:]
    ),
    "WAV, tags behind": lambda: made("wav pcm_16") + LIST,
    "WAV, tags behind are cut": lambda: made("wav pcm_16") + LIST[:-9],
    "WAV, junk behind": lambda: made("wav pcm_16") + b"\1\2" * 33,
    "WAV, wrong length of all": lambda: b"RIFF\x11\0\0\0" + made("wav pcm_16")[8:],
    **{
        f"WAV, streamed as {size:#x}": lambda size=size: resized(made("wav pcm_16"), size)
        for size in (0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFDB, 0xFFFF_FFFF)
    },
    "WAV, odd length, padded": lambda: resized(made("wav pcm_u8"), 31_999) + LIST,
    "WAV, odd length, not padded": lambda: resized(made("wav pcm_u8")[:-1], 31_999) + LIST,
    "AIFF, a byte behind": lambda: made("aiff pcm_16") + b"\0",
}


@pytest.mark.parametrize("name", GOOD_SOUNDS)
def test_what_stands_around_a_whole_sound_does_not_matter(tmp_path, name):
    assert seconds(tmp_path, GOOD_SOUNDS[name]()) == pytest.approx(2.0, abs=0.12)


@pytest.mark.parametrize("codec", ["libmp3lame", "adpcm_ima_wav", "adpcm_yamaha", "ac3"])
def test_any_codec_in_a_wav_file_is_read(tmp_path, codec):
    rate = 48_000 if codec == "ac3" else RATE
    by_av(tmp_path / "a.wav", container="wav", codec=codec, rate=rate)
    data = (tmp_path / "a.wav").read_bytes()
    assert seconds(tmp_path, data) == pytest.approx(2.0, abs=0.1)
    assert refusal(tmp_path, data[: len(data) * 2 // 3], "audio").kind == "unreadable"


@pytest.mark.parametrize("modality", ["audio", "video", "image"])
@pytest.mark.parametrize(
    ("data", "quoted"),
    [
        (b"<!DOCTYPE html><html>\n<body>" + b"x" * 3000, "<!DOCTYPE html>"),
        (b'{"error": 404}', "404"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs"),
        (b"#EXTM3U\nother.mp3\n", "EXTM3U"),
        (bytes(5000), r"\x00"),
    ],
)
def test_what_is_no_medium_is_called_so_whatever_its_name(tmp_path, modality, data, quoted):
    for name in ("a.mp3", "a.mp4", "a.jpg", "a.wav", "a.flac"):
        error = refusal(tmp_path, data, modality, name)
        assert "is not audio, video or an image" in str(error) and quoted in str(error)
        assert error.kind == "unreadable"


@pytest.mark.parametrize(
    ("name", "modality", "said"),
    [
        ("png", "audio", "a PNG picture, but its row names it as audio"),
        ("wav pcm_16", "image", "a WAV sound, but its row names it as image"),
        ("wav pcm_16", "video", "a WAV sound with no pictures, .* give the file as audio"),
        ("mp3 constant", "video", "an MP3 sound with no pictures"),
        ("jpg", "video", "a JPEG picture, but its row names it as video"),
        ("mp4 mpeg4", "image", "an MP4 film, but its row names it as image"),
    ],
)
def test_a_medium_of_another_modality_is_called_so(tmp_path, name, modality, said):
    error = refusal(tmp_path, made(name), modality)
    assert re.search(said, str(error))


@pytest.mark.parametrize(
    ("rate", "channels", "container"),
    [(8_000, 1, "WAV"), (96_000, 6, "WAV"), (192_000, 8, "FLAC"), (44_100, 2, "MP3")],
)
def test_sounds_of_any_rate_and_number_of_channels_are_read(tmp_path, rate, channels, container):
    samples = np.full((rate, channels), 0.1)
    soundfile.write(tmp_path / "a.bin", samples, rate, format=container)
    heard = read(tmp_path, (tmp_path / "a.bin").read_bytes(), "audio").audio
    assert heard is not None and len(heard) == RATE
    if container != "MP3":
        assert np.median(heard) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF", "OGG", "MP3"])
def test_a_sound_of_one_sample_is_too_short_to_be_heard(tmp_path, container):
    soundfile.write(tmp_path / "a.bin", np.zeros(1), RATE, format=container)
    with pytest.raises(MediaError, match="a model hears nothing below") as caught:
        decode(tmp_path, Media(modality="audio", path="a.bin"), BUDGET)
    assert caught.value.kind == "empty"


def test_the_cover_of_a_record_is_no_film(tmp_path):
    data = cover(made("png")) + made("mp3 variable, no Xing")
    assert seconds(tmp_path, data, "a.mp3") == pytest.approx(2.0, abs=0.1)
    assert refusal(tmp_path, data, "video", "a.mp3").kind == "empty"
    with av.open(str(tmp_path / "a.flac"), "w", format="flac") as file:
        sound = file.add_stream("flac", rate=RATE, layout="mono")
        art: Any = file.add_stream("png")
        art.width, art.height, art.pix_fmt = 96, 64, "rgb24"
        art.disposition = av.stream.Disposition.attached_pic
        file.mux(art.encode(av.VideoFrame.from_ndarray(picture(3))) + art.encode(None))
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 2 * RATE), np.int16), "s16", "mono")
        piece.rate, piece.pts = RATE, 0
        file.mux(sound.encode(piece) + sound.encode(None))
    data = (tmp_path / "a.flac").read_bytes()
    assert b"\x89PNG" in data and seconds(tmp_path, data) == pytest.approx(2.0, abs=0.1)


TRACELESS = ("wav ffmpeg", "au ffmpeg", "mp2", "aac", "ac3", "eac3", "amr", "m4a in parts", "flv")
"""Of these a stream that was cut between two samples or frames is like a shorter one."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_wherever_a_file_is_cut_it_is_refused_or_nothing_is_missing(tmp_path, case: Case):
    """At twelve places of the file, and a few bytes from its end."""
    media = Media(modality=case.modality, path="a.bin")
    data = contents(case, streamed=False)
    (tmp_path / "a.bin").write_bytes(data)
    whole = decode(tmp_path, media, BUDGET)
    for place in (*(len(data) * (2 * part + 1) // 24 for part in range(12)), *range(-20, 0, 6)):
        (tmp_path / "a.bin").write_bytes(data[:place])
        try:
            found = decode(tmp_path, media, BUDGET)
        except MediaError:
            continue
        if not case.name.startswith(TRACELESS):
            assert _same(found, whole), f"cut at {place} of {len(data)}"


def _same(one: Decoded, other: Decoded) -> bool:
    pairs = ((one.image, other.image), (one.frames, other.frames), (one.audio, other.audio))
    return all(a is b or (a is not None and np.array_equal(a, b)) for a, b in pairs)


@pytest.mark.parametrize("codec", ["GSM610", "G721_32"])
def test_sounds_of_telephones_are_read_and_refused_when_cut(tmp_path, codec):
    """libsndfile reads them from their beginning alone, and FFmpeg from any place."""
    by_libsndfile(tmp_path / "a.wav", container="WAV", codec=codec, rate=8_000)
    data = (tmp_path / "a.wav").read_bytes()
    assert seconds(tmp_path, data) == pytest.approx(2.0, abs=0.05)
    assert "truncated" in str(refusal(tmp_path, data[: len(data) // 2], "audio"))


def test_no_decoder_talks_to_the_terminal(tmp_path):
    """Two MP3 files in a row, a cut one, a WAV of MP3, a damaged film and a photo of bad tags."""
    by_libsndfile(tmp_path / "a.mp3", container="MP3", codec="MPEG_LAYER_III")
    one = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "b.mp3").write_bytes(one + one)
    (tmp_path / "c.mp3").write_bytes(one[:-500] + bytes(90))
    by_av(tmp_path / "d.wav", container="wav", codec="libmp3lame")
    film = bytearray(made("ts h264"))
    film[5000:5040] = bytes(40)
    (tmp_path / "e.ts").write_bytes(film)
    tags = b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12"
    (tmp_path / "f.jpg").write_bytes(saved(Image.fromarray(picture(7)), "JPEG", exif=tags))
    code = f"""
import sys
from pathlib import Path
from bench.media_matrix import BUDGET
from datamodules.media.files import MediaError, decode
from datamodules.sample import Media
kinds = dict(a="audio", b="audio", c="audio", d="audio", e="video", f="image")
for name, modality in kinds.items():
    [path] = Path({str(tmp_path)!r}).glob(name + ".*")
    try:
        decode(path.parent, Media(modality=modality, path=path.name), BUDGET)
    except MediaError as error:
        print(name, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "" and "c c.mp3" in done.stdout and "truncated" in done.stdout
