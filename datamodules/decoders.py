"""Read a picture, a sound or a film into arrays, within a budget: where foreign bytes come in.

Every limit is checked before what it limits is allocated, and nothing that is missing is made up:
a frame that does not decode is an error, not a repetition of its neighbor.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

import av
import av.container
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from PIL import Image, ImageOps

from configs.schema import MediaConfig

SAMPLE_RATE = 16_000
SHORTEST_AUDIO = 0.1
"""Seconds; much less makes no token in an audio tower that reads 40 ms per token."""

MOST_PIXELS = 89_000_000
"""Pictures larger than this are taken for decompression bombs, as Pillow does."""

MOST_ELONGATED = 200
"""Longer side over shorter side that vision processors accept."""

IMAGE_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
"""Not all that Pillow knows: its EPS reader starts another program."""

VIDEO_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi"
"""Containers that hold their own media and can be searched; playlists name other files."""

TICK = 1e-6
"""Seconds within which two times in a video are the same."""


@final
class MediaError(ValueError):
    """A file that cannot be shown to a model: caught per sample, counted in quarantine.

    `kind` says what to count it as: unsafe, missing, unreadable, empty, too_long, too_large.
    """

    def __init__(self, message: str, *, kind: str = "unreadable", path: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.path = path


def _fit(width: int, height: int, max_pixels: int) -> tuple[int, int]:
    """Shrink a size to an area, keeping its shape."""
    if not 0 < width * height <= MOST_PIXELS:
        raise MediaError(
            f"{width}x{height} pixels, but at most {MOST_PIXELS:,} are decoded: scale it down.",
            kind="too_large",
        )
    if max(width, height) > MOST_ELONGATED * min(width, height):
        raise MediaError(
            f"{width}x{height} pixels, but the longer side may have at most {MOST_ELONGATED} times "
            "those of the shorter: crop it.",
            kind="too_large",
        )
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    return max(1, int(width * scale)), max(1, int(height * scale))


def read_image(path: Path, budget: MediaConfig) -> NDArray[np.uint8]:
    """Shapes: -> (height, width, 3)."""
    with Image.open(path, formats=IMAGE_FORMATS) as file:
        _fit(*file.size, budget.image_max_pixels)  # the header alone shows a bomb
        if file.mode.startswith(("I", "F")):
            raise MediaError(
                f"pixels of mode {file.mode} have no fixed black and white, but 8 bits per channel "
                "have: convert it to 8 bits."
            )
        image: Image.Image = ImageOps.exif_transpose(file)
        if image.has_transparency_data:  # drawings in black on nothing would end as black on black
            paper = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(paper, image.convert("RGBA"))
        size = _fit(*image.size, budget.image_max_pixels)
        return np.array(image.convert("RGB").resize(size, Image.Resampling.BICUBIC))


def _mono(samples: NDArray[np.float32], rate: int, budget: MediaConfig) -> NDArray[np.float32]:
    """Average the channels of a sound and bring it to 16 kHz.

    Shapes: samples (samples, channels) -> (samples,)
    """
    _check_length(len(samples) / rate, budget)
    if not np.isfinite(samples).all():
        raise MediaError("holds infinite samples, but a sound is finite: record it again.")
    mono = samples.mean(axis=1, dtype=np.float32)
    resampled: NDArray[np.float32] = soxr.resample(mono, rate, SAMPLE_RATE)
    return resampled


def _check_length(seconds: float, budget: MediaConfig) -> None:
    if seconds < SHORTEST_AUDIO:
        raise MediaError(
            f"{seconds:.3f} s of sound, but a model hears nothing below {SHORTEST_AUDIO} s: "
            "mend the segment, or drop its rows.",
            kind="empty",
        )
    if seconds > budget.audio_max_seconds:
        raise MediaError(
            f"{seconds:.1f} s of sound, but data.media.audio_max_seconds is "
            f"{budget.audio_max_seconds} and sound is never cut: raise it, or give the question a "
            "segment with start and end.",
            kind="too_long",
        )


def read_audio(path: Path, start: float, end: float, budget: MediaConfig) -> NDArray[np.float32]:
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        first, last = round(start * rate), min(file.frames, round(min(end, 1e9) * rate))
        _check_length((last - first) / rate, budget)  # before a header that lies fills the memory
        file.seek(first)
        samples = file.read(last - first, dtype="float32", always_2d=True)  # (samples, channels)
    return _mono(samples, rate, budget)


@contextmanager
def _open(path: Path, start: float) -> Iterator[tuple[av.container.InputContainer, float]]:
    """Open a video before a time counted from its beginning; give that time on its own clock."""
    allowed = {"protocol_whitelist": "file", "format_whitelist": VIDEO_FORMATS}
    with av.open(str(path), options=allowed, metadata_errors="ignore") as file:
        begin = start + (file.start_time or 0) / av.time_base
        if start > 0:
            file.seek(int(begin * av.time_base))  # to the key frame before it
        yield file, begin


def _frame_times(path: Path, start: float, end: float) -> tuple[list[float], float]:
    """List when the frames of a segment are shown, and the distance between two, undecoded."""
    times = []
    with _open(path, start) as (file, begin):
        stop = begin - start + end
        stream = file.streams.video[0]
        for packet in file.demux(stream):
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is None or packet.time_base is None or packet.is_discard:
                continue
            time = float(stamp * packet.time_base)
            if begin - TICK <= time < stop - TICK:
                times.append(time)
            if packet.dts is not None and packet.dts * packet.time_base >= stop:
                break
        rate = stream.average_rate
    if not times:
        raise MediaError(
            f"no frame between {start} and {end} s, but a video shows at least one: mend the "
            "segment, or give the file as audio.",
            kind="empty",
        )
    times.sort()
    alone = 1 / float(rate) if rate else 1.0
    return times, (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else alone


def _read_frames(
    path: Path, start: float, end: float, budget: MediaConfig
) -> tuple[NDArray[np.uint8], float, float]:
    """Show the middle of equal parts of a segment: their frames, their rate, the first's time.

    Shapes: -> (frames, height, width, 3)
    """
    times, distance = _frame_times(path, start, end)
    count = max(2, min(budget.video_max_frames, len(times)) // 2 * 2)  # towers merge them in pairs
    part = len(times) * distance / count
    middles = times[0] + (np.arange(count) + 0.5) * part
    wanted = [times[i - 1] for i in np.searchsorted(times, middles + TICK, side="right")]

    frames: list[NDArray[np.uint8]] = []
    with _open(path, start) as (file, begin):
        stream = file.streams.video[0]
        stream.codec_context.thread_count = 1  # the loader's workers are the parallelism
        width, height = _fit(stream.width, stream.height, budget.image_max_pixels)
        for frame in file.decode(stream):
            repeats = sum(abs(frame.time - time) <= TICK for time in wanted[len(frames) :])
            if repeats:
                small = frame.reformat(width, height, "rgb24", interpolation="BICUBIC")
                upright = np.rot90(small.to_ndarray(), frame.rotation // 90)
                frames += [upright.astype(np.uint8)] * repeats
            if len(frames) == count:
                break
    if len(frames) < count:
        raise MediaError(
            f"only {len(frames)} of {count} frames decode, but none may be missing: the file is "
            "damaged; fetch or convert it again."
        )
    return np.stack(frames), 1 / part, times[0] - begin + start


def _read_track(
    path: Path, start: float, end: float, budget: MediaConfig
) -> NDArray[np.float32] | None:
    """Read the sound of a video from one time to another, or None where it has no audio track.

    A track that begins after `start` is preceded by silence, so that it stays in step with the
    frames.

    Shapes: -> (samples,)
    """
    pieces: list[NDArray[np.float32]] = []
    with _open(path, start) as (file, begin):
        if not file.streams.audio:
            return None
        stream = file.streams.audio[0]
        rate = stream.rate
        stop = begin - start + min(end, start + budget.audio_max_seconds + 1)  # enough to refuse
        to_float = av.AudioResampler(format="fltp")
        offset = None
        for frame in file.decode(stream):
            if frame.time is None:
                raise MediaError("its sound has no times, but frames need them: convert it to MP4.")
            if frame.time >= stop:
                break
            offset = frame.time - begin if offset is None else offset
            pieces += [piece.to_ndarray().astype(np.float32) for piece in to_float.resample(frame)]
    if offset is None:
        raise MediaError(
            f"no sound between {start} and {end} s though the video has an audio track: mend the "
            "segment, or remove the track.",
            kind="empty",
        )
    late, last = round(offset * rate), round((stop - begin) * rate)
    samples = np.concatenate(pieces, axis=1).T  # (samples, channels)
    samples = np.pad(samples, ((max(0, late), 0), (0, 0)))[max(0, -late) :][:last]
    return _mono(samples, rate, budget)


def read_video(
    path: Path, start: float, end: float, budget: MediaConfig
) -> tuple[NDArray[np.uint8], float, NDArray[np.float32] | None]:
    """Read frames at equal distances, how many of them make a second, and the audio track.

    Shapes: -> (frames, height, width, 3), number, (samples,)
    """
    frames, fps, first = _read_frames(path, start, end, budget)
    return frames, fps, _read_track(path, first, end, budget)
