"""Count the frames of audio without a container: MP3, AAC, AC-3 and AMR."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from datamodules.media.containers.faults import damaged, doubled, truncated
from datamodules.media.decoders import MediaError

Head = tuple[int, int, int]
"""Of a frame: its bytes, its samples, its sampling rate."""

WINDOW = 1 << 20
MOST_ZEROS = 4096
"""Bytes of padding; more are the unfetched rest of a file that was allocated at full size."""

FAR = 1 << 16
"""Bytes that are searched for the next frame."""

_MPEG1 = (
    (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
_MPEG2 = (
    (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
_AAC_RATES = (
    *(96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000),
    *(12_000, 11_025, 8_000, 7_350),
)
_AC3_KBITS = (
    *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640),
)
_AMR_BYTES = (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1)
_AMR_WIDE_BYTES = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)


def mpeg(data: bytes, at: int) -> Head | None:
    """Read the header of a frame of MPEG audio, of any layer."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] < 0xE0:
        return None
    second, third = data[at + 1], data[at + 2]
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    kbits, rates = third >> 4, third >> 2 & 3
    if version == 1 or layer == 4 or kbits in (0, 15) or rates == 3:
        return None
    rate = (44_100, 48_000, 32_000)[rates] >> (0 if version == 3 else 1 if version == 2 else 2)
    bits = 1000 * (_MPEG1 if version == 3 else _MPEG2)[layer - 1][kbits - 1]
    padding = third >> 1 & 1
    if layer == 1:
        return (12 * bits // rate + padding) * 4, 384, rate
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits // rate + padding, samples, rate


def adts(data: bytes, at: int) -> Head | None:
    """Read the header of a frame of AAC."""
    if at + 7 > len(data) or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    rate = data[at + 2] >> 2 & 15
    length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if rate >= len(_AAC_RATES) or length < 7:
        return None
    return length, 1024 * ((data[at + 6] & 3) + 1), _AAC_RATES[rate]


def ac3(data: bytes, at: int) -> Head | None:
    """Read the header of a frame of AC-3 or E-AC-3; dependent ones add no time."""
    if at + 6 > len(data) or data[at] != 0x0B or data[at + 1] != 0x77:
        return None
    if data[at + 5] >> 3 > 10:  # E-AC-3
        rates, half = data[at + 4] >> 6, data[at + 4] >> 4 & 3
        if rates == 3 and half == 3:
            return None
        rate = (48_000, 44_100, 32_000)[half if rates == 3 else rates] >> (rates == 3)
        samples = 256 * (6 if rates == 3 else (1, 2, 3, 6)[half])
        length = 2 * (((data[at + 2] & 7) << 8 | data[at + 3]) + 1)
        return length, 0 if data[at + 2] >> 6 == 1 else samples, rate
    rates, size = data[at + 4] >> 6, data[at + 4] & 63
    if rates == 3 or size >= 38:
        return None
    rate = (48_000, 44_100, 32_000)[rates]
    words = _AC3_KBITS[size // 2] * 96_000 // rate + (size % 2 if rates == 1 else 0)
    return 2 * words, 1536, rate


def amr(data: bytes, at: int) -> Head | None:
    """Read the header of a frame of narrow-band AMR."""
    length = _AMR_BYTES[data[at] >> 3 & 15] if at < len(data) and not data[at] & 0x83 else 0
    return (length, 160, 8_000) if length else None


def amr_wide(data: bytes, at: int) -> Head | None:
    """Read the header of a frame of wide-band AMR."""
    length = _AMR_WIDE_BYTES[data[at] >> 3 & 15] if at < len(data) and not data[at] & 0x83 else 0
    return (length, 320, 16_000) if length else None


@dataclass(kw_only=True)
class FrameCount:
    """The number of frames of a file, and their length."""

    frames: int = 0
    samples: int = 0
    """At the rate of the first frame."""

    rate: int = 1

    @property
    def seconds(self) -> float:
        """Their length in seconds."""
        return self.samples / self.rate


class Window:
    """The part of a file that is in memory; the whole of it may be long."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.base, self.data = 0, b""

    def at(self, place: int, count: int) -> int:
        """Load some bytes, as far as they exist, and return their offset in `data`."""
        if not self.base <= place <= place + count <= self.base + len(self.data):
            self.file.seek(place)
            self.base, self.data = place, self.file.read(max(WINDOW, count))
        return place - self.base


def check_frames(
    file: BinaryIO, size: int, begin: int, head: Callable[[bytes, int], Head | None]
) -> FrameCount:
    """Follow the frames of a file from one to the next, past tags between and behind them.

    A last frame that is longer than the file shows that the file was truncated; something else
    between two frames shows that a part of the audio is missing there.
    """
    window, place, counted = Window(file, size), begin, FrameCount()
    while place < size:
        at = window.at(place, 16)
        frame = head(window.data, at)
        if frame is None:
            behind = _past_tag(window, place)
            following = None if behind else _next_frame(window, place, head)
            if following and counted.frames:
                raise damaged(f"{following - place:,} bytes that are no frame", place)
            place = behind or following or size
            continue
        if place + frame[0] > size:
            if counted.frames or begin == 0:
                raise truncated(f"frame {counted.frames + 1}", place + frame[0], size)
            break
        counted.rate = counted.rate if counted.frames else frame[2]
        counted.frames += 1
        counted.samples += frame[1] * counted.rate // frame[2]
        place += frame[0]
    return counted


def _past_tag(window: Window, place: int) -> int | None:
    """Find the end of a tag, or of zeros."""
    head = window.data[window.at(place, 32) :][:32]
    if head[:3] == b"ID3" and len(head) >= 10:
        return place + tag_size(head)
    if head[:3] == b"TAG":
        return place + 128
    if head[:5] == b"#!AMR":
        raise doubled("recording", place)
    if head[:8] == b"APETAGEX":
        length = struct.unpack("<I", head[12:16])[0]
        return place + (32 + length if head[23] & 0x20 else 32)  # its header, or its footer alone
    if head[:1] == b"\0":
        data = window.data[window.at(place, FAR) :][:FAR]
        zeros = len(data) - len(data.lstrip(b"\0"))
        if zeros > MOST_ZEROS:
            raise damaged(f"{zeros:,} zeros or more", place)
        return place + zeros
    return None


def tag_size(head: bytes) -> int:
    """Return the length of an ID3v2 tag by its first ten bytes, each of seven bits."""
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _next_frame(
    window: Window, place: int, head: Callable[[bytes, int], Head | None]
) -> int | None:
    """Find the next two frames in a row, if there are any."""
    at = window.at(place, 2 * FAR)
    data = window.data[at:][: 2 * FAR]
    for first in range(1, min(FAR, len(data))):
        frame = head(data, first)
        if frame is not None and head(data, first + frame[0]) is not None:
            return place + first
    return None


def check_mpeg(file: BinaryIO, size: int, begin: int) -> float:
    """Count the seconds of an MP3 file, and compare its frames with the count in its first."""
    file.seek(begin)
    first = file.read(4096)
    counted = check_frames(file, size, begin, mpeg)
    if not counted.frames:
        raise MediaError("not one whole frame of MPEG sound, but a sound has some: fetch it again.")
    frame = mpeg(first, 0)
    tag = max(first.find(b"Xing", 0, 64), first.find(b"Info", 0, 64))
    if frame is None or tag < 0:
        return counted.seconds
    flags, declared = struct.unpack(">II", first[tag + 4 : tag + 12])
    there = counted.frames - 1  # the first holds the table, not sound
    if flags & 1 and there < declared:
        raise MediaError(
            f"{there:,} of the {declared:,} frames that its header declares, but none may be "
            "missing: the file is truncated; fetch it again."
        )
    lame = tag + 8 + sum(size for bit, size in enumerate((4, 4, 100, 4)) if flags >> bit & 1)
    trims = int.from_bytes(first[lame + 21 : lame + 24], "big")
    trimmed = (trims >> 12) + (trims & 0xFFF) if first[lame : lame + 1].isalpha() else 0
    return (counted.samples - frame[1] - trimmed) / counted.rate
