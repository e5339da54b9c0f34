"""Read the frames of any container through PyAV, and no more of them than is needed."""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import final

import av
import av.container
import av.stream
import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

from configs.schema import MediaConfig
from datamodules.media.decoders import MOST_PIXELS, MediaError, check_complete, fit
from datamodules.media.demuxing import (
    declared_end,
    is_seekable,
    open_container,
    packets_from,
    presentation_time,
    start_time,
    to_seconds,
)
from datamodules.media.frame_sampling import TICK, FrameSelection, middle_frames, no_frame_error
from datamodules.media.tracks import read_track

GROUP = 600
"""Largest number of frames that build upon one key frame; those of a stream are kept until the
next."""

MOST_FRAME_BYTES = 8192 * 4096 * 3 // 2
"""Size of a decoded frame, as of 360 degrees in 8 bits; decoders hold up to seventeen."""

MOST_DECODED = 300 * 3840 * 2160
"""Pixels that are decoded for each frame shown, on average: those between two key frames of a 4K
video."""


def _video_stream(file: av.container.InputContainer) -> av.VideoStream:
    """Return the video stream of a file, and a decoder for it; cover art is no video."""
    cover = av.stream.Disposition.attached_pic
    moving = [stream for stream in file.streams.video if not stream.disposition & cover]
    if not moving:
        raise MediaError(
            "no pictures, but a video shows at least one: give the file as audio.", kind="empty"
        )
    if moving[0].codec_context is None:
        raise MediaError("no decoder knows its codec: convert its pictures to H.264.")
    moving[0].codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return moving[0]


def _ranked(file: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Tell whether frames are identified by their rank.

    AVI has no times. FFmpeg takes them from the order of decoding, which differs from the order of
    presentation where frames build on later ones.
    """
    codec = stream.codec_context
    return file.format.name == "avi" and (codec.has_b_frames or codec.name in ("h264", "hevc"))


def choose_frames(path: Path, start: float, end: float, budget: MediaConfig) -> FrameSelection:
    """Choose the frames of a segment that are shown, by the times of packets alone."""
    times, keys, clock, stop = list[float](), list[float](), list[float](), 0.0
    groups = deque[list[av.Packet]]([[]], maxlen=2)
    with open_container(path) as file:
        stream, begin = _video_stream(file), start_time(file) + start
        last, ranked = begin - start + end, _ranked(file, stream)
        for packet in packets_from(file, stream, -math.inf if ranked else begin):
            if not is_seekable(file):
                if packet.is_keyframe or len(groups[-1]) > GROUP:
                    groups.append([])
                groups[-1].append(packet)
            decoded = to_seconds(packet, packet.dts)
            time = decoded if ranked else presentation_time(packet)
            if time is None or packet.is_discard:
                continue
            stop = max(stop, time + (to_seconds(packet, packet.duration) or 0.0))
            if ranked:
                clock.append(time)
            elif packet.is_keyframe:
                keys.append(time)
            if begin - TICK <= time < last - TICK:
                times.append(time)
            if decoded is not None and decoded >= last:
                break
        else:
            _check_last([packet for group in groups for packet in group])
        rate, told = stream.average_rate, declared_end(file, stream)
        width, height = fit(stream.width, stream.height, budget.image_max_pixels)
        if (pixels := stream.codec_context.format) is not None:
            _check_frame(stream.width, stream.height, pixels)
    if not times:
        raise no_frame_error(start, end)
    if told is not None:
        check_complete(stop - begin, min(end - start, told - start))
    times.sort()
    alone = 1 / float(rate) if rate else 1.0
    distance = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else alone
    chosen, part = middle_frames(times, len(times) * distance, budget)
    return FrameSelection(
        times=[times[number] for number in chosen],
        keys=sorted(keys),
        width=width,
        height=height,
        fps=1 / part,
        first=times[0] - begin + start,
        clock=clock,
    )


def _check_frame(width: int, height: int, pixels: av.VideoFormat) -> None:
    """Refuse a frame that takes too much memory; its size may change within a stream."""
    size = width * height * pixels.padded_bits_per_pixel // 8
    if size > MOST_FRAME_BYTES:
        raise MediaError(
            f"a frame of {width}x{height} pixels ({pixels.name}) takes {size:,} bytes, but at most "
            f"{MOST_FRAME_BYTES:,} are decoded: scale the film down.",
            kind="too_large",
        )


def _check_last(packets: Sequence[av.Packet]) -> None:
    """Decode the last frames of a stream, where nothing else shows that it was truncated.

    Those before the first key frame among them build on others, which are not decoded.
    """
    key = presentation_time(packets[0]) if packets else None
    for packet in packets:
        for frame in packet.decode():
            _check_frame(frame.width, frame.height, frame.format)
            whole = key is None or frame.time is None or frame.time < key or not frame.is_corrupt
            if not whole:
                raise MediaError(
                    f"its frame at {frame.time:.2f} s decodes in part, but all must be whole: the "
                    "file is truncated or damaged; fetch or convert it again."
                )


def _read_frames(path: Path, frames: FrameSelection) -> NDArray[np.uint8]:
    """Decode the frames chosen. Shapes: -> (frames, height, width, 3)"""
    for keys in (frames.keys, ()):  # an index may lie about where decoding can begin
        shown: dict[float, NDArray[np.uint8]] = {}
        with open_container(path) as file:
            stream = _video_stream(file)
            stream.codec_context.thread_count = 1  # the loader's workers run in parallel
            most = MOST_DECODED * len(frames.times)
            decoding = Decoding(file, stream, frames.clock, most=most)
            for time, frame in _frames_at(decoding, frames.times, keys):
                # One thread: a forked process that frees what others scale waits for ever.
                small = frame.reformat(
                    frames.width, frames.height, "rgb24", interpolation="BICUBIC", threads=1
                )
                shown[time] = _upright(np.asarray(small.to_ndarray(), np.uint8), frame)
        if missing := sum(time not in shown for time in frames.times):
            continue
        return np.stack([shown[time] for time in frames.times])
    raise MediaError(
        f"only {len(frames.times) - missing} of {len(frames.times)} frames decode, but none may be "
        "missing: the file is damaged; fetch or convert it again."
    )


def _upright(pixels: NDArray[np.uint8], frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Rotate and mirror an image as its display matrix says, to quarters of a circle.

        x' = a x + c y
        y' = b x + d y

    Shapes: pixels (height, width, 3) -> (height, width, 3), or the two exchanged
    """
    try:
        found = frame.side_data[Type.DISPLAYMATRIX]  # type: ignore[typeddict-item] # a mapping
        matrix = np.frombuffer(bytes(found), np.int32)
    except KeyError:
        return pixels
    a, b, _, c, d = (float(number) for number in matrix[:5])
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, a, d = pixels.swapaxes(0, 1), c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


@final
class Decoding:
    """Decodes frames in order, with seeks to later key frames."""

    def __init__(
        self,
        file: av.container.InputContainer,
        stream: av.VideoStream,
        clock: Sequence[float],
        *,
        most: int,
    ) -> None:
        self._file, self._stream, self._clock = file, stream, clock
        self._most = most  # pixels
        self._packets = file.demux(stream)
        self.reached = -math.inf
        """The key frame that was decoded last."""

    def seek(self, key: float) -> None:
        """Continue from a key frame; where the file is not seekable, past the packets before it."""
        if is_seekable(self._file) and self._stream.time_base is not None:
            self._file.seek(math.floor(key / self._stream.time_base), stream=self._stream)
            self._packets = self._file.demux(self._stream)
        else:
            self._stream.codec_context.flush_buffers()
            self._packets = dropwhile(lambda packet: not _begins(packet, key), self._packets)
        self.reached = key

    def frames(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """Decode frames with their times, which go by their rank if a clock was given."""
        rank = 0
        for packet in self._packets:
            if packet.is_keyframe:
                self.reached = max(self.reached, presentation_time(packet) or -math.inf)
            for frame in packet.decode():
                time = frame.time
                if self._clock:
                    time = self._clock[min(rank, len(self._clock) - 1)]
                rank += 1
                self._count(frame)
                if time is not None:
                    yield time, frame

    def _count(self, frame: av.VideoFrame) -> None:
        _check_frame(frame.width, frame.height, frame.format)
        self._most -= frame.width * frame.height
        if self._most < 0:
            raise MediaError(
                "more pixels than are decoded for so few frames, since they lie too far behind "
                "key frames: convert it with a key frame every few seconds, or scale it down.",
                kind="too_large",
            )


def _begins(packet: av.Packet, key: float) -> bool:
    """Tell whether a packet holds a key frame."""
    time = presentation_time(packet)
    return packet.is_keyframe and time is not None and time > key - TICK


def _frames_at(
    decoding: Decoding, times: Sequence[float], keys: Sequence[float]
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Decode the frames shown at some times, each from the key frame before it, if there is one.

    What is missing or damaged is left out, and so is everything after it.
    """
    coming = decoding.frames()
    for wanted in sorted(set(times)):
        before = bisect_right(keys, wanted + TICK)
        if before and keys[before - 1] > decoding.reached + TICK:
            decoding.seek(keys[before - 1])
            coming = decoding.frames()
        found = next((item for item in coming if item[0] > wanted - TICK), None)
        if found is None or found[0] > wanted + TICK or found[1].is_corrupt:
            return
        yield wanted, found[1]


def read_video(
    path: Path, start: float, end: float, budget: MediaConfig, *, sound: bool = True
) -> tuple[NDArray[np.uint8], float, NDArray[np.float32] | None]:
    """Read frames at equal distances, their rate, and the audio track, if that is wanted.

    Shapes: -> (frames, height, width, 3), number, (samples,)
    """
    frames = choose_frames(path, start, end, budget)
    # Before the frames: too long a track spares decoding them.
    track = read_track(path, frames.first, end, budget) if sound else None
    return _read_frames(path, frames), frames.fps, track
