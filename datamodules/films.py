"""Read the frames and the sound of any container through PyAV, and no more of it than is needed."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import av.container
import av.stream
import numpy as np
from numpy.typing import NDArray

from configs.schema import MediaConfig
from datamodules.decoders import (
    HIGHEST_RATE,
    MediaError,
    check_complete,
    check_length,
    fit,
    mono,
)

VIDEO_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""Containers that hold their own media and can be searched; playlists name other files."""

STREAMED_FORMATS = "flv,mpegts,mpeg,asf,aac,ac3,eac3,amr"
"""Those that are read as well, but do not say how long they are. Of sound alone there are others,
which libsndfile reads."""

TICK = 1e-6
"""Seconds within which two times in a video are the same."""

RUN_UP = 0.5
"""Seconds of sound that are decoded before a segment, since codecs build on what came before."""


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Which frames of a segment are shown."""

    times: Sequence[float]
    """When they are, on the clock of the file; in order, an even number, some perhaps twice."""

    keys: Sequence[float]
    """When the frames are shown from which decoding can begin."""

    width: int
    height: int
    fps: float
    """Of those shown."""

    first: float
    """Seconds from the file's beginning to the first frame of the segment, shown or not."""


@contextmanager
def _open(path: Path, start: float) -> Iterator[tuple[av.container.InputContainer, float]]:
    """Open a file before a time counted from its beginning; give that time on its own clock."""
    formats = f"{VIDEO_FORMATS},{STREAMED_FORMATS}"
    allowed = {"protocol_whitelist": "file", "format_whitelist": formats}
    with av.open(str(path), options=allowed, metadata_errors="ignore") as file:
        begin = start + (file.start_time or 0) / av.time_base
        if start > 0:
            file.seek(int(begin * av.time_base))  # to the key frame before it
        yield file, begin


def _declared(file: av.container.InputContainer, stream: av.stream.Stream) -> float | None:
    """Read from its header how long a stream is; None where the header does not know."""
    if file.format.name not in VIDEO_FORMATS or not stream.duration or stream.time_base is None:
        return None  # such as raw AAC, whose length FFmpeg guesses from the bit rate
    return float(stream.duration * stream.time_base)


def _pictures(file: av.container.InputContainer) -> av.VideoStream:
    """Find the pictures of a file, and a decoder for them."""
    if not file.streams.video:
        raise MediaError(
            "no pictures, but a video shows at least one: give the file as audio.", kind="empty"
        )
    if file.streams.video[0].codec_context is None:
        raise MediaError("no decoder knows its codec: convert its pictures to H.264.")
    return file.streams.video[0]


def choose_frames(path: Path, start: float, end: float, budget: MediaConfig) -> Frames:
    """Choose the middle frames of equal parts of a segment, by their times alone.

    There are `video_fps` of them in a second, rounded up to an even number, but no more than there
    are and than the budget allows, and two at least.
    """
    times, keys, stop = [], [], 0.0
    with _open(path, start) as (file, begin):
        stream = _pictures(file)
        last = begin - start + end
        for packet in file.demux(stream):
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is None or packet.time_base is None or packet.is_discard:
                continue
            time = float(stamp * packet.time_base)
            stop = max(stop, time + float((packet.duration or 0) * packet.time_base))
            if packet.is_keyframe:
                keys.append(time)
            if begin - TICK <= time < last - TICK:
                times.append(time)
            if packet.dts is not None and packet.dts * packet.time_base >= last:
                break
        rate, declared = stream.average_rate, _declared(file, stream)
        width, height = fit(stream.width, stream.height, budget.image_max_pixels)
    if not times:
        raise MediaError(
            f"no frame between {start} and {end} s, but a video shows at least one: mend the "
            "segment, or give the file as audio.",
            kind="empty",
        )
    if declared is not None:
        check_complete(stop - begin, min(end - start, declared - start))
    times.sort()
    alone = 1 / float(rate) if rate else 1.0
    distance = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else alone
    count = _count(len(times), len(times) * distance, budget)
    part = len(times) * distance / count
    middles = times[0] + (np.arange(count) + 0.5) * part
    return Frames(
        times=[times[i - 1] for i in np.searchsorted(times, middles + TICK, side="right")],
        keys=sorted(keys),
        width=width,
        height=height,
        fps=1 / part,
        first=times[0] - begin + start,
    )


def _count(there: int, seconds: float, budget: MediaConfig) -> int:
    """Say how many frames are shown: an even number, since towers merge them in pairs."""
    most = min(budget.video_max_frames, there) // 2 * 2
    if budget.video_fps:
        most = min(most, 2 * math.ceil(seconds * budget.video_fps / 2 - TICK))
    return max(2, most)


def _read_frames(path: Path, start: float, frames: Frames) -> NDArray[np.uint8]:
    """Decode the frames chosen. Shapes: -> (frames, height, width, 3)"""
    for keys in (frames.keys, ()):  # an index may lie about where decoding can begin
        shown: dict[float, NDArray[np.uint8]] = {}
        with _open(path, start) as (file, _):
            _pictures(file).codec_context.thread_count = 1  # the loader's workers run in parallel
            for time, frame in _frames_at(file, sorted(set(frames.times)), keys):
                small = frame.reformat(
                    frames.width, frames.height, "rgb24", interpolation="BICUBIC"
                )
                upright = np.rot90(small.to_ndarray(), frame.rotation // 90)
                shown[time] = upright.astype(np.uint8)
        if missing := sum(time not in shown for time in frames.times):
            continue
        return np.stack([shown[time] for time in frames.times])
    raise MediaError(
        f"only {len(frames.times) - missing} of {len(frames.times)} frames decode, but none may be "
        "missing: the file is damaged; fetch or convert it again."
    )


def _frames_at(
    file: av.container.InputContainer, wanted: Sequence[float], keys: Sequence[float]
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Decode the frames shown at some times, each from the key frame before it, if there are any.

    What is not found is left out, and so is all behind it.
    """
    stream = file.streams.video[0]
    decoding = file.decode(stream)
    reached = keys[0] if keys else math.inf
    for time in wanted:
        before = bisect_right(keys, time + TICK)
        if before and keys[before - 1] > reached + TICK and stream.time_base is not None:
            file.seek(math.floor(keys[before - 1] / stream.time_base), stream=stream)
            decoding = file.decode(stream)
        for frame in decoding:
            reached = frame.time
            if reached > time - TICK:
                break
        else:
            return
        if reached > time + TICK:
            return
        yield time, frame


def track_seconds(path: Path, start: float, end: float) -> float | None:
    """Measure the sound of a segment by the header; None where the header does not know."""
    with _open(path, 0.0) as (file, _):
        if not file.streams.audio:
            return 0.0
        return _within(_declared(file, file.streams.audio[0]), start, end)


def _within(declared: float | None, start: float, end: float) -> float | None:
    """Say how much of so many seconds a segment holds."""
    return None if declared is None else max(0.0, min(end, declared) - start)


def read_track(
    path: Path, start: float, end: float, budget: MediaConfig
) -> NDArray[np.float32] | None:
    """Read the sound of a file from one time to another, or None where it has no audio track.

    A track that begins after `start` is preceded by silence, so that it stays in step with the
    frames.

    Shapes: -> (samples,)
    """
    run_up = min(start, RUN_UP)
    with _open(path, start - run_up) as (file, earlier):
        begin = earlier + run_up
        if not file.streams.audio:
            return None
        stream = file.streams.audio[0]
        if stream.codec_context is None or not 0 < stream.rate <= HIGHEST_RATE:
            raise MediaError("no decoder knows its codec: convert its sound to FLAC or AAC.")
        declared = _within(_declared(file, stream), start, end)
        if declared is not None and declared > budget.audio_max_seconds + 1:
            check_length(declared, budget)  # without decoding any of it
        seconds = min(end - start, budget.audio_max_seconds + 1)  # enough to refuse
        pieces, offset = _decoded(file, begin, begin + seconds)
        rate = stream.rate
    if offset is None:
        raise MediaError(
            f"no sound between {start} and {end} s though the file has an audio track: mend the "
            "segment, or remove the track.",
            kind="empty",
        )
    late = round(offset * rate)
    samples = np.concatenate(pieces, axis=1).T  # (samples, channels)
    samples = np.pad(samples, ((max(0, late), 0), (0, 0)))[max(0, -late) :][: round(seconds * rate)]
    if declared is not None:
        check_complete(len(samples) / rate, min(declared, seconds))
    return mono(samples, rate, budget)


def _decoded(
    file: av.container.InputContainer, begin: float, stop: float
) -> tuple[list[NDArray[np.float32]], float | None]:
    """Decode sound until a time on the clock of the file; say when it begins, against `begin`."""
    pieces: list[NDArray[np.float32]] = []
    to_float = av.AudioResampler(format="fltp")
    offset = None
    for frame in file.decode(file.streams.audio[0]):
        if frame.time is None:
            raise MediaError("its sound has no times, but frames need them: convert it to MP4.")
        if frame.time >= stop:
            break
        if frame.time + frame.samples / frame.rate <= begin:
            continue  # the run-up, whose first frame may be late
        offset = frame.time - begin if offset is None else offset
        pieces += [piece.to_ndarray().astype(np.float32) for piece in to_float.resample(frame)]
    return pieces, offset


def read_video(
    path: Path, start: float, end: float, budget: MediaConfig, *, sound: bool = True
) -> tuple[NDArray[np.uint8], float, NDArray[np.float32] | None]:
    """Read frames at equal distances, how many of them make a second, and the audio track, if that
    is wanted.

    Shapes: -> (frames, height, width, 3), number, (samples,)
    """
    frames = choose_frames(path, start, end, budget)
    # Before the frames: too long a track spares decoding them.
    track = read_track(path, frames.first, end, budget) if sound else None
    return _read_frames(path, start, frames), frames.fps, track
