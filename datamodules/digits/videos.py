"""Short videos: one or two handwritten digits, with a spoken digit or another sound."""

from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import final

import av
import numpy as np
from numpy.typing import NDArray

from datamodules.digits.media_item import MediaItem
from datamodules.digits.pictures import SIDE, Picture
from datamodules.digits.sounds import RATE, Samples, Sound, hush
from datamodules.digits.speech import Clip

FRAMES = 8
FRAMES_PER_SECOND = 4
CODEC = "libx264" if "libx264" in av.codecs_available else "mpeg4"
PICTURE = {"preset": "ultrafast", "threads": "1"}
"""The slower presets of x264 give other pixels from run to run at this size."""

SOUND = {"aac_coder": "fast"}
"""The default coder is not deterministic either, and takes most of the time of the whole build."""


@final
@dataclass(frozen=True, kw_only=True)
class Video(MediaItem):
    """Two seconds of frames and audio; one digit is seen when `first` and `last` show the same."""

    modality = "video"

    first: Picture
    last: Picture
    heard: Clip | Sound | None
    """None is a silent video, whose audio track is faint noise."""

    @property
    def seen(self) -> tuple[int, int]:
        """The digits shown, in order."""
        return self.first.digit, self.last.digit

    @property
    def spoken(self) -> tuple[int, ...]:
        """The digits said; empty without speech."""
        return self.heard.digits if isinstance(self.heard, Clip) else ()

    @property
    def sound(self) -> str:
        """The name of its sound; empty with speech or silence."""
        return self.heard.name if isinstance(self.heard, Sound) else ""

    def frames(self) -> NDArray[np.uint8]:
        """Draw it: `first` in the first half, `last` in the other, both with jitter."""
        rng = np.random.default_rng(self.seed)
        shown = [self.first.pixels()] * (FRAMES // 2) + [self.last.pixels()] * (FRAMES // 2)
        return np.stack([np.roll(frame, rng.integers(-1, 2, size=2), (0, 1)) for frame in shown])

    def samples(self) -> Samples:
        """Mix what is heard into faint noise, at a random time."""
        rng = np.random.default_rng(self.seed)
        track = hush(FRAMES / FRAMES_PER_SECOND, rng)
        if self.heard is not None:
            sound = self.heard.samples()
            start = int(rng.integers(len(track) - len(sound)))
            track[start : start + len(sound)] += sound
        return np.clip(track, -1, 1)

    def encoded(self) -> bytes:
        """Encode it as MP4: H.264 where the library has it, and AAC."""
        file = BytesIO()
        with av.open(file, "w", format="mp4") as container:
            picture = container.add_stream(CODEC, rate=FRAMES_PER_SECOND, options=PICTURE)
            sound = container.add_stream("aac", rate=RATE, layout="mono", options=SOUND)
            # A codec chosen by a variable has no stream type of its own.
            assert isinstance(picture, av.VideoStream) and isinstance(sound, av.AudioStream)
            picture.width, picture.height, picture.pix_fmt = SIDE, SIDE, "yuv420p"
            for index, pixels in enumerate(self.frames()):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, FRAMES_PER_SECOND)
                container.mux(picture.encode(frame))
            container.mux(picture.encode(None))
            track = av.AudioFrame.from_ndarray(self.samples()[None], format="fltp", layout="mono")
            track.sample_rate, track.pts, track.time_base = RATE, 0, Fraction(1, RATE)
            container.mux(sound.encode(track))
            container.mux(sound.encode(None))
        return file.getvalue()
