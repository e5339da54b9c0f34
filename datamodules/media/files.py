"""Find media, decode them within a budget, and hash their content.

Media files are untrusted input: everything that a decoder does on a damaged or hostile file comes
out of here as a `MediaError`, and nothing else does.
"""

import functools
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.schema import MediaConfig
from datamodules.media.animations import choose_animation_frames, read_animation_frames
from datamodules.media.containers.identify import Container, identify
from datamodules.media.decoders import (
    SAMPLE_RATE,
    MediaError,
    check_loudness,
    knows_codec,
    read_sound_file,
    sound_file_seconds,
)
from datamodules.media.images import image_size, read_image
from datamodules.media.paths import is_machine_error, resolve
from datamodules.media.tracks import read_track, track_seconds
from datamodules.media.video import choose_frames, read_video
from datamodules.sample import Media, Modality, Role

__all__ = [
    "Decoded",
    "MediaError",
    "Size",
    "content_hash",
    "decode",
    "file_digest",
    "measure",
    "resolve",
]


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """One medium as arrays; what it does not have, or no longer has, is None.

    Its values are checked here, so whatever made it, a decoder or a cache, can only pass on pixels
    and audio in range.
    """

    modality: Modality
    role: Role = "context"
    image: NDArray[np.uint8] | None = None
    """(height, width, 3)."""

    frames: NDArray[np.uint8] | None = None
    """(frames, height, width, 3), an even number of frames at equal distances in time."""

    fps: float | None = None
    """Frames per second of the video as kept: less than the file's own where frames were
    skipped."""

    audio: NDArray[np.float32] | None = None
    """(samples,) mono at 16 kHz; of a video, its audio track, starting with the first frame."""

    def __post_init__(self) -> None:
        """Refuse what is not 8-bit pixels, a rate, or audio within its range."""
        parts = (self.image, np.uint8, 3), (self.frames, np.uint8, 4), (self.audio, np.float32, 1)
        for part, kind, rank in parts:
            if part is not None and (part.dtype != kind or part.ndim != rank or not part.size):
                raise MediaError(
                    f"{part.dtype} numbers of shape {part.shape}, but pixels are bytes of (height, "
                    "width, 3), films have (frames, ...) of these, and sounds float32 of (samples,)"
                    ": make it anew."
                )
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise MediaError(
                f"{self.fps} frames a second, but a film has more than none and not infinitely "
                "many: convert it again."
            )
        if self.audio is not None:
            check_loudness(self.audio)


def blanks() -> Iterator[Decoded]:
    """Make a small, blank medium of each kind."""
    frames = np.zeros((2, 56, 56, 3), np.uint8)
    yield Decoded(modality="image", image=frames[0])
    yield Decoded(modality="audio", audio=np.zeros(SAMPLE_RATE, np.float32))
    yield Decoded(modality="video", frames=frames, fps=2.0)


def decode(
    root: Path,
    media: Media,
    budget: MediaConfig,
    *,
    outside_root: bool = False,
    sound: bool = True,
) -> Decoded:
    """Read the segment of a file that a question is about, within the budget.

    Pixels are scaled down and frames sampled evenly, since both keep the content; audio is never
    cut, since its end may hold the answer: too much of it is an error. A segment that ends after
    its file ends with it.

    Args:
        sound: whether the audio track of a video is read too; models without audio skip it.
    """
    path = resolve(root, media.path, outside_root=outside_root)
    with _as_media_error(media):
        start, end = _segment(media)
        found = _identified(path, media.modality)
        if media.modality == "audio":
            audio = _read_audio(path, found, start, end, budget)
            return Decoded(modality="audio", role=media.role, audio=audio)
        if media.modality == "image":
            return Decoded(modality="image", role=media.role, image=read_image(path, budget))
        if found.picture:
            chosen = choose_animation_frames(path, found.lasting, start, end, budget)
            pictures = read_animation_frames(path, chosen)
            return Decoded(modality="video", role=media.role, frames=pictures, fps=chosen.fps)
        frames, fps, track = read_video(path, start, end, budget, sound=sound)
        return Decoded(modality="video", role=media.role, frames=frames, fps=fps, audio=track)


@dataclass(frozen=True, kw_only=True)
class Size:
    """The size of a medium, within the budget of one."""

    pictures: int = 0
    pixels: int = 0
    """Of each image or frame."""

    seconds: float = 0.0
    """Of audio."""


def measure(
    root: Path,
    media: Media,
    budget: MediaConfig,
    *,
    outside_root: bool = False,
    sound: bool = True,
) -> Size:
    """Measure what `decode` would read by a medium's headers; what they do not say is decoded."""
    path = resolve(root, media.path, outside_root=outside_root)
    with _as_media_error(media):
        start, end = _segment(media)
        found = _identified(path, media.modality)
        if media.modality == "image":
            return Size(pictures=1, pixels=math.prod(image_size(path, budget)))
        if media.modality == "audio":
            return Size(seconds=_audio_seconds(path, found, start, end, budget))
        if found.picture:
            frames, sound = choose_animation_frames(path, found.lasting, start, end, budget), False
        else:
            frames = choose_frames(path, start, end, budget)
        return Size(
            pictures=len(frames.times),
            pixels=frames.width * frames.height,
            seconds=_track_seconds(path, frames.first, end, budget) if sound else 0.0,
        )


def _identified(path: Path, modality: Modality) -> Container:
    """Identify the format of a file, if it can be of the modality that is declared."""
    if not path.stat().st_size:
        raise MediaError("0 bytes, but a medium shows or plays something: fetch it again.")
    found = identify(path)
    if modality == "video" and not found.moves and not found.picture:
        raise MediaError(
            f"{found.name} with no pictures, but a video shows at least one: give the file as "
            "audio.",
            kind="empty",
        )
    if found.picture != (modality == "image") and not (modality == "video" and found.moves):
        raise MediaError(
            f"{found.name}, but its row names it as {modality}: mend its modality, or fetch the "
            "file again."
        )
    return found


def _audio_seconds(
    path: Path, found: Container, start: float, end: float, budget: MediaConfig
) -> float:
    if not _by_libsndfile(path, found):
        return _track_seconds(path, start, end, budget)
    return sound_file_seconds(path, start, end)


def _track_seconds(path: Path, start: float, end: float, budget: MediaConfig) -> float:
    declared = track_seconds(path, start, end)
    if declared is not None:
        return declared
    track = read_track(path, start, end, budget)
    return 0.0 if track is None else len(track) / SAMPLE_RATE


def _by_libsndfile(path: Path, found: Container) -> bool:
    """Tell whether libsndfile reads a file; codecs that it does not support are left to FFmpeg."""
    return found.samples and (not found.demuxer or knows_codec(path))


def _read_audio(
    path: Path, found: Container, start: float, end: float, budget: MediaConfig
) -> NDArray[np.float32]:
    """Read an audio file, or the audio track of any other file."""
    if _by_libsndfile(path, found):
        return read_sound_file(path, start, end, budget)
    track = read_track(path, start, end, budget)
    if track is None:
        raise MediaError(
            "no sound in the file, but it is named as audio: name another, or mend its modality.",
            kind="empty",
        )
    return track


@contextmanager
def _as_media_error(media: Media) -> Iterator[None]:
    """Turn whatever goes wrong while a medium is read into a `MediaError` that names it."""
    try:
        yield
    except MediaError as error:
        raise MediaError(f"{media.path}: {error}", kind=error.kind, path=media.path) from error
    except Exception as error:  # damaged files raise ten types in three libraries
        if is_machine_error(error):
            raise
        raise MediaError(
            f"{media.path}: unreadable as {media.modality} ({type(error).__name__}: {error}). "
            "Media must decode without errors: convert it to FLAC, PNG or MP4, or drop its rows.",
            path=media.path,
        ) from error


def _segment(media: Media) -> tuple[float, float]:
    start = 0.0 if media.start is None else media.start
    end = math.inf if media.end is None else media.end
    if not 0 <= start < end:
        raise MediaError(
            f"the segment {media.start}..{media.end} s holds no time, but a segment starts at 0 "
            "or later and ends after its start: mend start and end.",
            kind="empty",
        )
    return start, end


def file_digest(path: Path) -> str:
    """Hash the bytes of a file, again only after it changed."""
    status = path.stat()
    # A time of modification can be set back; that of the last change of any kind cannot.
    return _digest(path, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@functools.lru_cache(maxsize=1 << 16)
def _digest(path: Path, state: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def content_hash(
    question: str,
    options: Sequence[str],
    answer: str,
    media: Sequence[Media],
    digests: Sequence[str],
    *,
    tolerance: float = 0.0,
    verifier: str = "",
) -> str:
    """Hash what a question asks and shows, so that scores are only used for the same content.

    The path of a file and the id do not count, only its bytes, the segment and the role. A question
    without tolerance or verifier keeps the hash that it had before there were any.

    Args:
        digests: `file_digest` of each of the media, in their order.
    """
    shown = [
        (digest, item.modality, *map(_seconds, (item.start, item.end)), item.role)
        for item, digest in zip(media, digests, strict=True)
    ]
    rest: list[float | str] = [float(tolerance)] if tolerance else []
    if verifier:  # wherever its file lies
        rest.append(Path(verifier).name)
    text = json.dumps([question, list(options), answer, shown, *rest])  # JSON keeps fields apart
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _seconds(time: float | None) -> float | None:
    """Write 2 and 2.0 alike."""
    return None if time is None else float(time)
