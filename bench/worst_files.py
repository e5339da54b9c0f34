"""Write the costliest files that the limits allow, and some beyond them."""

import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image


def sound(
    path: Path,
    *,
    channels: int,
    rate: int,
    seconds: float = 30.0,
    container: str = "WAV",
    subtype: str = "PCM_16",
    level: float = 0.1,
) -> None:
    """Write noise second by second."""
    rng = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, channels, subtype, format=container) as file:
        left = round(seconds * rate)
        while left:
            block = rng.normal(size=(min(left, max(1, 2**20 // channels)), channels))
            file.write((level * block).astype(np.float64 if level > 1e9 else np.float32))
            left -= len(block)


def header(path: Path, **changed: int) -> None:
    """Write a WAV file whose header declares what is not there."""
    sound(path, channels=1, rate=16_000, seconds=1.0)
    data = bytearray(path.read_bytes())
    for name, value in changed.items():
        place, form = {"channels": (22, "<H"), "rate": (24, "<I")}[name]
        struct.pack_into(form, data, place, value)
    path.write_bytes(data)


def track(path: Path, *, size: int, container: str, count: int) -> None:
    """Write PCM in packets of so many samples."""
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for number in range(count):
            packet = av.Packet(bytes(2 * size))
            packet.stream, packet.time_base = stream, Fraction(1, 16_000)
            packet.pts = packet.dts = number * size
            packet.duration, packet.is_keyframe = size, True
            file.mux(packet)


def streams(path: Path, *, count: int) -> None:
    """Write a film with many tracks, each of which is opened."""
    with av.open(str(path), "w", format="matroska") as file:
        tracks: list[Any] = [
            file.add_stream("aac", rate=16_000, layout="mono") for _ in range(count)
        ]
        for track in tracks:
            piece = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), "fltp", "mono")
            piece.rate, piece.pts = 16_000, 0
            file.mux(track.encode(piece) + track.encode(None))


def noise_of(width: int, height: int, bands: int) -> NDArray[np.uint8]:
    """Paint what packs badly, from a tile of noise."""
    tile = np.random.default_rng(0).integers(0, 256, (499, 501, bands), dtype=np.uint8)
    repeats = (-(-height // 499), -(-width // 501), 1)
    return np.ascontiguousarray(np.tile(tile, repeats)[:height, :width])


def picture(path: Path, *, mode: str, container: str, side: int, **how: Any) -> None:
    """Write one picture."""
    bands = {"RGBA": 4, "CMYK": 4, "LA": 2, "L": 1, "P": 1}.get(mode, 3)
    pixels = noise_of(side, side, bands)
    image = Image.fromarray(pixels.squeeze(2) if bands == 1 else pixels, None)
    if mode in ("CMYK", "P"):
        image = Image.frombuffer(mode, (side, side), pixels, "raw", mode, 0, 1)
    if mode == "P":
        image.putpalette([value for value in range(256) for _ in range(3)])
    image.save(path, container, **how)


def scans(path: Path, *, side: int, count: int) -> None:
    """Write a JPEG that refines its pixels again and again, with nothing."""
    Image.new("L", (side, side)).save(path, "JPEG", progressive=True)
    data = path.read_bytes()
    end = data.rindex(b"\xff\xd9")
    begin = data.rindex(b"\xff\xda")
    path.write_bytes(data[:end] + data[begin:end] * count + data[end:])


def runs(path: Path, *, side: int) -> None:
    """Write a BMP in runs of one pixel."""
    body = b"".join(b"\1\7" * side + b"\0\0" for _ in range(side)) + b"\0\1"
    colors = bytes(4 * 256)
    head = struct.pack("<IiiHHIIiiII", *(40, side, side, 1, 8, 1, len(body), 2835, 2835, 256, 0))
    begin = 14 + len(head) + len(colors)
    path.write_bytes(struct.pack("<2sIHHI", b"BM", begin + len(body), 0, 0, begin))
    with path.open("ab") as file:
        file.write(head + colors + body)


def tiles(path: Path, *, side: int, tile: int) -> None:
    """Write a TIFF whose one tile is far larger than the picture, and packs well."""
    body = zlib.compress(bytes(tile) * tile, 1)
    facts = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile, 324: 0}
    facts[325] = len(body)
    facts[324] = 8 + 2 + 12 * len(facts) + 4
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, facts[tag]) for tag in sorted(facts))
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(facts)) + tags + bytes(4) + body)


def animation(path: Path, *, container: str, side: int, count: int) -> None:
    """Write pictures that move all over."""
    noise = noise_of(side, side, 3) if container != "GIF" else noise_of(side, side, 1)[:, :, 0]
    pictures = [Image.fromarray(np.roll(noise, 7 * number, axis=1)) for number in range(count)]
    how: dict[str, Any] = {
        "GIF": {},
        "PNG": {"compress_level": 1},
        "WEBP": {"quality": 10, "method": 0},
    }[container]
    pictures[0].save(
        path, container, save_all=True, append_images=pictures[1:], duration=100, **how
    )


def film(
    path: Path,
    *,
    sizes: tuple[tuple[int, int, int], ...],
    rate: int = 25,
    codec: str = "libx264",
    container: str = "matroska",
    pixels: str = "yuv420p",
) -> None:
    """Write so many frames of each size one after the other, as one stream."""
    with av.open(str(path), "w", format=container) as file:
        first: Any = None
        number = 0
        for count, width, height in sizes:
            encoder: Any = av.CodecContext.create(codec, "w")
            encoder.width, encoder.height, encoder.pix_fmt = width, height, pixels
            encoder.time_base, encoder.framerate = Fraction(1, rate), Fraction(rate)
            if codec == "libx264":
                encoder.options = {"preset": "ultrafast", "bf": "0", "annexb": "1", "g": "250"}
            if first is None:
                first = file.add_stream(codec, rate=rate)
                first.width, first.height, first.pix_fmt = width, height, pixels
            frame = av.VideoFrame.from_ndarray(noise_of(width, height, 3)).reformat(format=pixels)
            frame.time_base = Fraction(1, rate)
            packets = []
            for n in range(count):
                frame.pts = n
                packets += encoder.encode(frame)
            for packet in packets + encoder.encode(None):
                packet.stream = first
                packet.pts = packet.dts = number
                packet.time_base = Fraction(1, rate)
                number += 1
                file.mux(packet)


def voids(path: Path, *, count: int) -> None:
    """Write a Matroska file of empty elements."""
    path.write_bytes(bytes.fromhex("1a45dfa38018538067ff") + b"\xec\x80" * count)


def gaps(path: Path, *, count: int) -> None:
    """Write a GIF with many bytes between its blocks, each of which is passed over."""
    Image.new("L", (9, 9)).save(path, "GIF")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes(count) + data[-1:])
