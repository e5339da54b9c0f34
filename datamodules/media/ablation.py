"""Withhold parts of a medium as a condition asks, and replace them.

Nothing here has a state or a clock: random numbers are drawn from a hash of the decoded bytes, so
the same recording is replaced by the same noise wherever its file lies and whichever question uses
it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import final

import numpy as np
from numpy.typing import NDArray

from configs.ablation import LEFT, Condition, Part, Replacement
from datamodules.conditions import PARTS, affects
from datamodules.draws import draw_seed
from datamodules.media.decoders import SAMPLE_RATE, SHORTEST_AUDIO
from datamodules.media.files import Decoded, MediaError
from datamodules.sample import Media, Modality, Sample

SEED = 0
"""Fixed: a probe's key holds no seed of its replacements."""


@dataclass(frozen=True, kw_only=True)
class MediaAblation:
    """What is withheld of every medium, and what replaces it."""

    condition: Condition = "full"
    how: Replacement = "absent"
    silence_seconds: float | None = None
    """Seconds of silence that replace audio under `replacement=silent`; None keeps its length."""

    def __post_init__(self) -> None:
        if self.silence_seconds is not None and self.silence_seconds < SHORTEST_AUDIO:
            raise ValueError(
                f"probe.silence_seconds is {self.silence_seconds}, but a model hears nothing below "
                f"{SHORTEST_AUDIO} s: give 30 as AudioMCQ does, or null for each sound's length."
            )

    def affects(self, modality: Modality) -> bool:
        """Tell whether media of a kind can change."""
        return affects(self.condition, self.how, modality)

    def parts(self, item: Decoded) -> frozenset[Part]:
        """List the parts withheld of one medium, of those that it has."""
        return self._withheld_parts & extent(item).keys()

    @property
    def _withheld_parts(self) -> frozenset[Part]:
        return PARTS["video"] - LEFT[self.condition]


def extent(item: Decoded) -> dict[Part, int]:
    """Measure the parts that a medium has: pixels of an image, frames of a video, samples of
    audio."""
    sizes: dict[Part, int] = {}
    if item.image is not None:
        sizes["visual"] = math.prod(item.image.shape[:2])
    if item.frames is not None:
        sizes["visual"] = len(item.frames)
    if item.audio is not None:
        sizes["audio"] = len(item.audio)
    return sizes


def ablate(
    item: Decoded, ablation: MediaAblation, *, mismatch: Decoded | None = None
) -> Decoded | None:
    """Withhold parts of one medium and replace them; None where nothing of it is left.

    A video without its frames is its audio, and without its audio its frames. Whether the medium is
    an option makes no difference.

    Args:
        mismatch: the medium whose parts `replacement=mismatched` puts in place; it must have them.
    """
    parts = ablation.parts(item)
    if not parts:
        return item
    lost = _only(item, parts)
    match ablation.how:
        case "absent" | "described":  # see words_for
            stand_in = _only(item, frozenset())
        case "silent":
            stand_in = _silent(lost, ablation.silence_seconds)
        case "noise":
            stand_in = _noisy(lost)
        case "shuffled":
            stand_in = _shuffled(lost)
        case "mismatched":
            assert mismatch is not None and parts <= extent(mismatch).keys(), "see MismatchPool"
            stand_in = mismatch
    seen = stand_in if "visual" in parts else item
    heard = stand_in if "audio" in parts else item
    left = replace(item, image=seen.image, frames=seen.frames, fps=seen.fps, audio=heard.audio)
    if left.image is None and left.frames is None:
        return None if left.audio is None else replace(left, modality="audio")
    return left


def description_for(media: Media, item: Decoded, parts: frozenset[Part]) -> str:
    """Return the description of what is withheld of a medium, or raise a `MediaError` without one.

    That of a video with audio is a transcript, which says nothing of the frames alone.
    """
    if not media.text:
        problem = "has no text that says it in words"
    elif parts == {"visual"} and item.audio is not None:
        problem = "has a text, but of a film with sound it is what is heard"
    elif media.role == "option" and parts != extent(item).keys():
        problem = f"is an option that would be partly shown, partly told ({', '.join(parts)})"
    else:
        return media.text
    raise MediaError(
        f"{media.path} {problem}, but replacement=described puts words in place of all that "
        "is withheld: give the medium a text in its manifest, choose another condition or "
        "replacement=absent, or leave the question out.",
        kind="no_description",
        path=media.path,
    )


def _only(item: Decoded, parts: frozenset[Part]) -> Decoded:
    seen, heard = "visual" in parts, "audio" in parts
    return replace(
        item,
        image=item.image if seen else None,
        frames=item.frames if seen else None,
        fps=item.fps if seen else None,
        audio=item.audio if heard else None,
    )


def _silent(item: Decoded, seconds: float | None) -> Decoded:
    """Replace pixels by black, and audio by silence of the same or the given length."""
    audio = None if item.audio is None else np.zeros_like(item.audio)
    if audio is not None and seconds is not None:
        audio = np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)
    return replace(
        item,
        image=None if item.image is None else np.zeros_like(item.image),
        frames=None if item.frames is None else np.zeros_like(item.frames),
        audio=audio,
    )


def _noisy(item: Decoded) -> Decoded:
    return replace(
        item,
        image=None if item.image is None else _pixel_noise(item.image),
        frames=None if item.frames is None else _pixel_noise(item.frames),
        audio=None if item.audio is None else _audio_noise(item.audio),
    )


def _pixel_noise(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Draw every value uniformly."""
    return _draws("snow", pixels).integers(0, 256, pixels.shape, dtype=np.uint8)


def _audio_noise(wave: NDArray[np.float32]) -> NDArray[np.float32]:
    """Draw Gaussian noise of the same RMS; values beyond [-1, 1] are clipped, the others scaled up.

    Where the audio exceeds that range, the noise is as loud as the range allows.
    """
    loudness = min(1.0, _rms(wave))
    noise = _draws("hiss", wave).standard_normal(len(wave))
    for _ in range(64):  # one round where nothing is clipped, more the louder the sound
        noise = np.clip(noise * (loudness / _rms(noise)), -1, 1)
        if loudness == 0 or math.isclose(_rms(noise), loudness, rel_tol=1e-6):
            break
    return noise.astype(np.float32)


def _rms(wave: NDArray[np.floating]) -> float:
    return math.sqrt(np.square(wave, dtype=np.float64).mean())


def _shuffled(item: Decoded) -> Decoded:
    """Permute the frames of a video so that none keeps its place.

    The order is one cycle through all frames (Sattolo's shuffle). The towers read frames in pairs,
    and pairs are separated like all other neighbors.
    """
    if item.frames is None:
        return item
    order = np.arange(len(item.frames))
    draws = _draws("order", item.frames)
    for last in range(len(order) - 1, 0, -1):
        other = int(draws.integers(last))  # never `last` itself
        order[last], order[other] = order[other], order[last]
    return replace(item, frames=item.frames[order])


def _draws(purpose: str, content: NDArray[np.generic]) -> np.random.Generator:
    key = draw_seed(SEED, purpose, _digest(content))
    return np.random.Generator(np.random.Philox(key=key))


def _digest(*contents: NDArray[np.generic]) -> str:
    """Hash arrays with their shapes, so that a rotated image is another image."""
    digest = blake2b(digest_size=16)
    for content in contents:
        digest.update(repr(content.shape).encode())
        digest.update(np.ascontiguousarray(content).data)
    return digest.hexdigest()


@final
class MismatchPool:
    """The media of a manifest, and the assets that each belongs to."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    @cached_property
    def _assets(self) -> dict[str, set[str]]:
        """The assets of each file."""
        assets: dict[str, set[str]] = {}
        for sample in self._samples:
            for item in sample.media:
                assets.setdefault(item.path, set()).add(sample.asset_id)
        return assets

    @cached_property
    def _media(self) -> dict[Modality, list[Media]]:
        """Each segment of each file once, in the order of the manifest."""
        media: dict[Modality, dict[Media, None]] = {}
        for sample in self._samples:
            for item in sample.media:
                media.setdefault(item.modality, {})[replace(item, role="context", text="")] = None
        return {modality: list(items) for modality, items in media.items()}

    def check(self, ablation: MediaAblation) -> None:
        """Refuse to mismatch a kind of media all of which belong to one asset."""
        if ablation.how != "mismatched":
            return
        for modality, items in self._media.items():
            shared = set.intersection(*(self._assets[item.path] for item in items))
            if ablation.affects(modality) and shared:
                raise ValueError(
                    f"all {len(items)} {modality} media of the manifest belong to the asset "
                    f"{min(shared)!r}, but replacement=mismatched shows a question those of "
                    "another asset: give unrelated rows an asset_id of their own, or choose "
                    "probe.replacement=noise."
                )

    def candidates(self, item: Decoded, asset_id: str) -> Iterator[Media]:
        """Iterate once over all media of the same kind that belong to other assets.

        Start and stride are drawn from the content, so a mismatch does not depend on which other
        questions are asked.
        """
        media = self._media[item.modality]
        arrays = [part for part in (item.image, item.frames, item.audio) if part is not None]
        key = draw_seed(SEED, "donor", _digest(*arrays))
        start, stride = (int(raw % len(media)) for raw in np.random.Philox(key=key).random_raw(2))
        while math.gcd(stride, len(media)) != 1:
            stride += 1
        for step in range(len(media)):
            other = media[(start + step * stride) % len(media)]
            if asset_id not in self._assets[other.path]:
                yield other
