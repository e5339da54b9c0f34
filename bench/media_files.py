"""Write small sounds, films and pictures of known content in any container and codec.

A sound is eight steps of 0.25 s, the k-th of (k + 2) * 110 Hz; a film is twenty pictures, ten a
second, the k-th of gray 12 * k with noise at its edge, so that each takes bytes. What was read
tells which part of the file it is.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import av.container
import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image

os.environ["SVT_LOG"] = "0"  # an encoder's notes
RATE = 16_000
STEP = 0.25
SECONDS = 2.0
FRAMES = 20
SIZE = (96, 64)
"""Width and height of a picture."""

LAYOUTS = {1: "mono", 2: "stereo"}
"""How FFmpeg calls so many channels."""


class Pipe:
    """A file that cannot be searched, so that a muxer leaves lengths out as when it streams."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        """Append some bytes."""
        self.written += data
        return len(data)


def wave(rate: int = RATE) -> NDArray[np.float32]:
    """Play the eight steps."""
    pieces = []
    for step in range(round(SECONDS / STEP)):
        times = np.arange(round(STEP * rate)) / rate
        pieces.append(0.4 * np.sin(2 * np.pi * 110 * (step + 2) * times))
    return np.concatenate(pieces).astype(np.float32)


def picture(number: int) -> NDArray[np.uint8]:
    """Paint one picture of the film."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 12 * number, np.uint8)
    noise = np.random.default_rng(number).integers(0, 256, (SIZE[1], 16, 3), dtype=np.uint8)
    pixels[:, -16:] = noise
    return pixels


def add_frames(
    file: av.container.OutputContainer,
    stream: av.VideoStream,
    frames: Iterable[NDArray[np.uint8]],
    *,
    first: int = 0,
) -> None:
    """Encode all frames of a film, of which the clock counts the first as number `first`."""
    for number, pixels in enumerate(frames, start=first):
        frame = av.VideoFrame.from_ndarray(pixels)
        frame.pts = number
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))


def add_sound(
    file: av.container.OutputContainer, stream: av.AudioStream, samples: NDArray[np.floating]
) -> None:
    """Encode all of a sound, from the beginning of the file on. Shapes: (channels, samples)"""
    layout = LAYOUTS[len(samples)]
    piece = av.AudioFrame.from_ndarray(samples.astype(np.float32), "fltp", layout)
    piece.rate, piece.pts = RATE, 0
    file.mux(stream.encode(piece))
    file.mux(stream.encode(None))


def write_film(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    *,
    sounds: Sequence[NDArray[np.floating]] = (),
    rate: int = 10,
    codec: str = "libx264",
    container: str | None = None,
    muxing: dict[str, str] | None = None,
    first: int = 0,
) -> None:
    """Write these frames, and a track of each sound of (channels, samples) at `RATE`."""
    with av.open(str(path), "w", format=container, options=muxing or {}) as file:
        seen = file.add_stream(codec, rate=rate, options={"g": "5"})
        assert isinstance(seen, av.VideoStream)
        seen.height, seen.width = frames[0].shape[:2]
        seen.pix_fmt = "yuv420p"
        heard = [file.add_stream("aac", rate=RATE, layout=LAYOUTS[len(one)]) for one in sounds]
        add_frames(file, seen, frames, first=first)
        for stream, samples in zip(heard, sounds, strict=True):
            add_sound(file, stream, samples)


def by_libsndfile(path: Path, *, container: str, codec: str, rate: int = RATE) -> None:
    """Write the sound through libsndfile."""
    soundfile.write(path, wave(rate), rate, format=container, subtype=codec)


def by_av(
    path: Path,
    *,
    container: str,
    codec: str | None = None,
    pictures: str | None = None,
    rate: int = RATE,
    settings: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    pixels: str = "yuv420p",
    piped: bool = False,
) -> None:
    """Write the film, or the sound alone, through FFmpeg."""
    pipe = Pipe()
    place = pipe if piped else str(path)
    with av.open(place, "w", format=container, options=muxing or {}) as file:
        seen: av.VideoStream | None = None
        heard: av.AudioStream | None = None
        if pictures is not None:
            speed = 25 if container == "mpeg" else 10  # MPEG-2 knows a few rates only
            made = file.add_stream(pictures, rate=speed, options={"g": "5", **(settings or {})})
            assert isinstance(made, av.VideoStream)
            seen = made
            seen.width, seen.height, seen.pix_fmt = *SIZE, pixels
            seen.bit_rate = 2_000_000
        if codec is not None:
            how = {} if pictures else settings or {}
            layout = "stereo" if codec == "vorbis" else "mono"
            track = file.add_stream(codec, rate=rate, layout=layout, options=how)
            assert isinstance(track, av.AudioStream)
            heard = track
            heard.bit_rate = 64_000
        packets: list[av.Packet] = []
        if seen is not None:
            for number in range(round(SECONDS * speed)):
                frame = av.VideoFrame.from_ndarray(picture(number * 10 // speed))
                frame.pts = number
                packets += seen.encode(frame)
            packets += seen.encode(None)
            for number, packet in enumerate(packets if container == "avi" else ()):
                packet.pts = packet.dts = number  # frames of AVI have numbers, not times
        if heard is not None:
            packets += sounding(heard, rate)
        file.mux(packets)
    if piped:
        data = pipe.written
        if container == "flac":  # the encoder was done before its header was written
            data[21] &= 0xF0
            data[22:42] = bytes(20)  # the count of samples, and their checksum
        path.write_bytes(bytes(data))


def sounding(stream: av.AudioStream, rate: int) -> list[av.Packet]:
    """Encode the eight steps."""
    piece = av.AudioFrame.from_ndarray(wave(rate)[None], "fltp", "mono")
    piece.rate, piece.pts = rate, 0
    converter = av.AudioResampler(format=stream.format, layout=stream.layout, rate=stream.rate)
    frames = converter.resample(piece) + converter.resample(None)
    return [packet for frame in (*frames, None) for packet in stream.encode(frame)]


def animated(path: Path, *, container: str) -> None:
    """Write the film through Pillow."""
    first, *rest = [Image.fromarray(picture(number)) for number in range(FRAMES)]
    first.save(path, container, save_all=True, append_images=rest, duration=100, lossless=True)


def still(path: Path, *, container: str, **how: object) -> None:
    """Write the eighth picture."""
    Image.fromarray(picture(7)).save(path, container, **how)
