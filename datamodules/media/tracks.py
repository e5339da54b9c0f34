"""Read the audio track of any container through PyAV, and no more of it than is needed."""

from collections.abc import Iterator
from pathlib import Path

import av
import av.container
import av.stream
import numpy as np
from numpy.typing import NDArray

from configs.schema import MediaConfig
from datamodules.media.containers.identify import identify
from datamodules.media.decoders import (
    SLACK,
    MediaError,
    check_complete,
    check_length,
    check_rate,
    mono,
    resample,
)
from datamodules.media.demuxing import (
    declared_end,
    open_container,
    packets_from,
    start_time,
    to_seconds,
)

RUN_UP = 0.5
"""Seconds of audio that are decoded before a segment, since codecs build on what came before."""

MOST_CHANNELS = 8
"""With more, PyAV reads beyond its memory."""

MOST_PIECES = 500
"""Packets of audio a second: codecs make 400 at most."""

PADDING = 0.15
"""Seconds that decoders leave out of frames that were counted one by one."""

HOLE = 0.1
"""Gap in seconds on the clock of a file, as in a call where nobody speaks, from which on silence is
filled in, so that what follows stays in step with the frames."""


def _track(file: av.container.InputContainer) -> av.AudioStream | None:
    """Return the audio track that is marked as default, or the first."""
    usual = av.stream.Disposition.default
    return next(
        (stream for stream in file.streams.audio if stream.disposition & usual),
        next(iter(file.streams.audio), None),
    )


def track_seconds(path: Path, start: float, end: float) -> float | None:
    """Measure the audio of a segment by the header; None where it does not say."""
    counted = identify(path).seconds
    if counted is not None:
        return _within(counted, start, end)
    with open_container(path) as file:
        track = _track(file)
        return 0.0 if track is None else _within(declared_end(file, track), start, end)


def _within(there: float | None, start: float, end: float) -> float | None:
    """Return the seconds of a segment that so many seconds of audio fill."""
    return None if there is None else max(0.0, min(end, there) - start)


def read_track(
    path: Path, start: float, end: float, budget: MediaConfig
) -> NDArray[np.float32] | None:
    """Read the audio of a file from one time to another; None where it has no audio track.

    A track that begins after `start` is preceded by silence, so that it stays in step with the
    frames.

    Shapes: -> (samples,)
    """
    with open_container(path) as file:
        track = _track(file)
        if track is None:
            return None
        if track.codec_context is None or not track.rate:
            raise MediaError("no decoder knows its codec: convert its sound to FLAC or AAC.")
        check_rate(track.rate, track.channels)
        if track.channels > MOST_CHANNELS:
            raise MediaError(
                f"{track.channels} channels, but at most {MOST_CHANNELS} are read of a film: "
                "mix them down, or convert its sound to WAV."
            )
        counted = identify(path).seconds
        told = declared_end(file, track) if counted is None else counted
        there = _within(told, start, end)
        if there is not None and there > budget.audio_max_seconds + 1:
            check_length(there, budget)  # without decoding any of it
        seconds = min(end - start, budget.audio_max_seconds + 1)  # enough to refuse
        begin = start_time(file) + start
        pieces, offset, rate = _decoded(file, track, begin, begin + seconds)
    if offset is None:
        raise MediaError(
            f"no sound between {start} and {end} s though the file has an audio track: mend the "
            "segment, or remove the track.",
            kind="empty",
        )
    late = round(offset * rate)
    samples = np.pad(np.concatenate(pieces), (max(0, late), 0))  # (samples,)
    samples = samples[max(0, -late) :][: round(seconds * rate)]
    if there is not None:
        slack = SLACK if counted is None else PADDING
        check_complete(len(samples) / rate, min(there, seconds), slack=slack)
    return resample(samples, rate, budget)


def _decoded(
    file: av.container.InputContainer, track: av.AudioStream, begin: float, stop: float
) -> tuple[list[NDArray[np.float32]], float | None, int]:
    """Decode audio until a time on the clock of the file, and mix it down.

    Returns the waveform, when it begins relative to `begin`, and its sampling rate.

    Shapes: -> (samples,) of each
    """
    pieces: list[NDArray[np.float32]] = []
    to_float = av.AudioResampler(format="fltp")
    offset: float | None = None
    reached: float | None = None
    rate = track.rate
    most = MOST_PIECES * (stop - begin + 1)
    for number, frame in enumerate(_frames(file, track, begin - RUN_UP)):
        if number > most:
            raise MediaError(
                f"its sound lies in more than {MOST_PIECES} pieces a second, but no codec makes "
                "as many: convert it to FLAC.",
                kind="too_large",
            )
        if frame.layout.nb_channels > MOST_CHANNELS:
            raise MediaError("its sound changes to more channels than are read: convert it to WAV.")
        if reached is None:
            rate = frame.rate
            check_rate(rate, frame.layout.nb_channels)
        elif frame.rate != rate:
            raise MediaError(
                f"its sound changes from {rate:,} to {frame.rate:,} samples a second, but a sound "
                "has one rate: convert it to WAV."
            )
        time = reached if frame.time is None else frame.time  # as what a decoder held back has none
        if time is None:
            raise MediaError("its sound has no times, but frames need them: convert it to MP4.")
        if time >= stop:
            break
        before, reached = reached, time + frame.samples / frame.rate
        if reached <= begin:
            continue  # the run-up, whose first frame may be late
        if before is not None and time > before + HOLE and offset is not None:
            pieces.append(np.zeros(round((time - before) * rate), np.float32))
        offset = time - begin if offset is None else offset
        plain = frame.format.name == "fltp"  # as most codecs make
        floats = [frame] if plain else to_float.resample(frame)
        pieces += [mono(piece.to_ndarray().astype(np.float32).T) for piece in floats]
    return pieces, offset, rate


def _frames(
    file: av.container.InputContainer, track: av.AudioStream, time: float
) -> Iterator[av.AudioFrame]:
    """Decode the audio from a time on."""
    head = identify(Path(file.name)).head
    for packet in packets_from(file, track, time):
        ends = to_seconds(packet, (packet.pts or packet.dts or 0) + (packet.duration or 0))
        if packet.size and ends is not None and ends < time:
            continue
        try:
            yield from packet.decode()  # type: ignore[misc] # of a stream of sound
        except av.error.InvalidDataError:
            if head is None or head(bytes(packet), 0) is not None:
                raise  # else it is no frame, but a tag behind them or between two recordings
