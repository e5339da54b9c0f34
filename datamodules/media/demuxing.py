"""Open containers through FFmpeg and read their packets in order, from where they are needed."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.container
import av.stream

from datamodules.media.containers.identify import identify
from datamodules.media.decoders import MOST_PIXELS, SLACK, MediaError
from datamodules.media.frame_sampling import TICK

INDEXED = ("mov", "matroska", "avi", "caf")
"""Demuxers of containers that declare the length of their streams and where a time is in the file;
FFmpeg guesses both for others."""

EARLIER = (0.0, 2.0, 16.0, math.inf)
"""Seconds before a position at which a key frame is looked for, in turn: indices use decoding
times, which are earlier than presentation times."""

MOST_PACKETS = 1_000_000
"""Packets of a stream that are read, as of four hours of 60 frames a second."""

# Any: av's own settings
LENIENT: dict[str, Any] = (
    {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}
)
"""How titles in no known encoding are read; from release 19 on, av never refuses them."""


@contextmanager
def open_container(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a file as what its bytes say it is.

    Without the name of a demuxer FFmpeg would go by the ending of the file, and read playlists too,
    which name other files.
    """
    demuxer = identify(path).demuxer
    only = {"protocol_whitelist": "file", "max_pixels": str(MOST_PIXELS)}
    with av.open(str(path), format=demuxer, options=only, **LENIENT) as file:
        yield file


def start_time(file: av.container.InputContainer) -> float:
    """Return the time at which a file's clock begins."""
    return (file.start_time or 0) / av.time_base


def is_seekable(file: av.container.InputContainer) -> bool:
    """Tell whether a file has an index, by which a position is found without reading all before
    it."""
    return any(name in INDEXED for name in file.format.name.split(","))


def declared_end(file: av.container.InputContainer, stream: av.stream.Stream) -> float | None:
    """Read from the header when a stream ends, relative to the beginning of the file; None if
    unknown."""
    if not is_seekable(file) or identify(Path(file.name)).streamed:
        return None  # such as raw AAC, whose length FFmpeg guesses from the bit rate
    if not stream.duration or stream.time_base is None:
        return None
    late = float((stream.start_time or 0) * stream.time_base) - start_time(file)
    return max(0.0, late) + float(stream.duration * stream.time_base)


def presentation_time(packet: av.Packet) -> float | None:
    """Return when a packet is shown or heard, on the clock of the file."""
    return to_seconds(packet, packet.dts if packet.pts is None else packet.pts)


def to_seconds(packet: av.Packet, ticks: int | None) -> float | None:
    """Convert a time of a packet to seconds; fractions would be exact, but are many times
    slower."""
    unit = packet.time_base
    return None if ticks is None or unit is None else ticks * unit.numerator / unit.denominator


def packets_from(
    file: av.container.InputContainer, stream: av.stream.Stream, time: float
) -> Iterator[av.Packet]:
    """Read the packets of a stream from a key frame that is shown at a time or before it.

    Where the file is not seekable that is the first.
    """
    begin, raw = start_time(file), not identify(Path(file.name)).moves
    if not is_seekable(file) or time <= begin + TICK:
        yield from _in_order(file.demux(stream), raw=raw)
        return
    for earlier in EARLIER:
        try:
            file.seek(int(max(begin, time - earlier) * av.time_base))
        except av.FFmpegError:  # no key frame that early, by the times of decoding
            file.seek(0)
        packets = file.demux(stream)
        keys = (packet for packet in packets if packet.is_keyframe and packet.size)
        first = next(keys, None)
        if first is not None and (
            (presentation_time(first) or begin) <= time + TICK or earlier == math.inf
        ):
            yield from _in_order(chain([first], packets), raw=raw)
            return


def _in_order(packets: Iterator[av.Packet], *, raw: bool) -> Iterator[av.Packet]:
    """Yield packets that are whole, and whose clock runs forward, as in one recording.

    Args:
        raw: whether packets are pieces of one size, of which the last is always marked as damaged.
    """
    before = -math.inf
    for number, packet in enumerate(packets):
        if number == MOST_PACKETS:
            raise MediaError(
                f"more than {MOST_PACKETS:,} packets, but no more are looked through: split the "
                "file, or convert it to a usual number of frames a second.",
                kind="too_large",
            )
        if packet.is_corrupt and not raw:
            raise MediaError(
                f"the packet at {presentation_time(packet)} s is damaged, but none may be missing: "
                "the file is truncated or damaged; fetch or convert it again."
            )
        now = to_seconds(packet, packet.dts)
        if now is not None:
            if now < before - SLACK:
                raise MediaError(
                    f"its clock jumps back from {before:.2f} to {now:.2f} s, but a file holds one "
                    "recording, in which a time is one place: split the file."
                )
            before = max(before, now)
        yield packet
