"""Open containers through FFmpeg and read their packets in order, from where they are needed."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import av
import av.container
import av.stream

from datamodules.media.containers.telling import tell
from datamodules.media.decoders import MOST_PIXELS, SLACK, MediaError
from datamodules.media.frame_choice import TICK

INDEXED = ("mov", "matroska", "avi", "caf")
"""Demuxers of containers that say how long their streams are, and where in the file a time is;
FFmpeg guesses both for others."""

EARLIER = (0.0, 2.0, 16.0, math.inf)
"""Seconds before a place at which a key frame is looked for, in turn: indices go by the times of
decoding, which are earlier than those of showing."""

MOST_PACKETS = 1_000_000
"""Packets of a stream that are looked through, as of four hours of 60 frames a second."""


@contextmanager
def opened(path: Path) -> Iterator[av.container.InputContainer]:
    """Open a file as what its bytes say it is.

    Without the name of a demuxer FFmpeg would go by the ending of the file, and read playlists too,
    which name other files.
    """
    demuxer = tell(path).demuxer
    only = {"protocol_whitelist": "file", "max_pixels": str(MOST_PIXELS)}
    with av.open(str(path), format=demuxer, options=only, metadata_errors="ignore") as file:
        yield file


def beginning(file: av.container.InputContainer) -> float:
    """Say what the clock of a file shows where it begins."""
    return (file.start_time or 0) / av.time_base


def searched(file: av.container.InputContainer) -> bool:
    """Tell whether a file has an index, by which a place is found without reading all before it."""
    return any(name in INDEXED for name in file.format.name.split(","))


def declared(file: av.container.InputContainer, stream: av.stream.Stream) -> float | None:
    """Read from its header when a stream ends, counted from where the file begins; None where the
    header does not know."""
    if not searched(file) or tell(Path(file.name)).streamed:
        return None  # such as raw AAC, whose length FFmpeg guesses from the bit rate
    if not stream.duration or stream.time_base is None:
        return None
    late = float((stream.start_time or 0) * stream.time_base) - beginning(file)
    return max(0.0, late) + float(stream.duration * stream.time_base)


def shown_at(packet: av.Packet) -> float | None:
    """Say when what is in a packet is shown or heard, on the clock of the file."""
    return in_seconds(packet, packet.dts if packet.pts is None else packet.pts)


def in_seconds(packet: av.Packet, ticks: int | None) -> float | None:
    """Turn a time of a packet into seconds; its own fractions are exact, but many times slower."""
    unit = packet.time_base
    return None if ticks is None or unit is None else ticks * unit.numerator / unit.denominator


def packets_from(
    file: av.container.InputContainer, stream: av.stream.Stream, time: float
) -> Iterator[av.Packet]:
    """Read the packets of a stream from a key frame that is shown at a time or before it.

    Where no place can be searched that is the first.
    """
    begin, raw = beginning(file), not tell(Path(file.name)).moves
    if not searched(file) or time <= begin + TICK:
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
        if first is not None and ((shown_at(first) or begin) <= time + TICK or earlier == math.inf):
            yield from _in_order(chain([first], packets), raw=raw)
            return


def _in_order(packets: Iterator[av.Packet], *, raw: bool) -> Iterator[av.Packet]:
    """Pass on packets that are whole, and whose clock runs forward, as in one recording.

    Args:
        raw: whether packets are pieces of one size, of which the last is always called damaged.
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
                f"the packet at {shown_at(packet)} s is damaged, but none may be missing: the file "
                "is truncated or damaged; fetch or convert it again."
            )
        now = in_seconds(packet, packet.dts)
        if now is not None:
            if now < before - SLACK:
                raise MediaError(
                    f"its clock jumps back from {before:.2f} to {now:.2f} s, but a file holds one "
                    "recording, in which a time is one place: split the file."
                )
            before = max(before, now)
        yield packet
