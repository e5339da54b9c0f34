"""Decode and process each medium once, however many questions, conditions and orders use it."""

from collections import OrderedDict
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, final

from configs.ablation import Part
from configs.schema import DataConfig, MediaConfig
from datamodules.media.ablation import MediaAblation, MismatchPool, ablate, description_for, extent
from datamodules.media.budgets import shared_budget
from datamodules.media.cache import MediaCache
from datamodules.media.files import Decoded, MediaError, Size, decode, measure
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.renderers.base import Medium
from datamodules.prompts.renderers.unsupported import warn_left_out
from datamodules.sample import Media, Sample

CACHED_BYTES = 2**30
"""Size of the in-memory cache of processed media, shared by questions, conditions and orders."""

DECODED_BYTES = 2**29
"""Size of the in-memory cache of decoded media, shared by all views of a question."""

COMPARED = 4
"""Media of other assets among which `replacement=mismatched` takes the one nearest in length."""


def _cached_media(budget: MediaConfig) -> int:
    """Count the media that fit, each as large as the budget allows: 12 bytes for three colors."""
    largest = 12 * budget.image_max_pixels * max(2, budget.video_max_frames)
    return max(1, CACHED_BYTES // largest)


@final
class LruMediaCache:
    """The most recently used decoded media, within a number of bytes; the last one whatever its
    size."""

    def __init__(self) -> None:
        self.misses = 0
        self._bytes = 0
        self._items: OrderedDict[tuple[Media, MediaConfig], Decoded] = OrderedDict()

    def get(self, key: tuple[Media, MediaConfig]) -> Decoded | None:
        """Return a medium and mark it as most recently used."""
        if key not in self._items:
            self.misses += 1
            return None
        self._items.move_to_end(key)
        return self._items[key]

    def add(self, key: tuple[Media, MediaConfig], item: Decoded) -> None:
        """Keep a medium, and evict the least recently used."""
        self._items[key] = item
        self._bytes += _bytes(item)
        while self._bytes > DECODED_BYTES and len(self._items) > 1:
            self._bytes -= _bytes(self._items.popitem(last=False)[1])


def _bytes(item: Decoded) -> int:
    return sum(part.nbytes for part in (item.image, item.frames, item.audio) if part is not None)


@final
class MediaReader:
    """Reads the media of a manifest as a model is shown them."""

    def __init__(
        self, samples: Sequence[Sample], *, data: DataConfig, encoder: PromptEncoder
    ) -> None:
        self.data = data
        self.encoder = encoder
        self.mismatches = MismatchPool(samples)
        gigabytes = data.media_cache_gigabytes
        where = Path(data.media_cache) if data.media_cache else None
        self.disk = None if where is None else MediaCache(where, gigabytes=gigabytes)
        self.decoded = LruMediaCache()
        self._start_caches()

    @property
    def hears(self) -> bool:
        """Whether the model takes audio; otherwise the audio of videos is not read."""
        return "audio" in self.encoder.placeholders

    def _start_caches(self) -> None:
        self._features = lru_cache(maxsize=_cached_media(self.data.media))(self._process)
        self._extent = lru_cache(maxsize=1 << 16)(self._measure)
        self._size = lru_cache(maxsize=1 << 16)(self._sized)

    def with_budget(self, budget: MediaConfig) -> "MediaReader":
        """Return a reader of the same media with another budget."""
        other = copy(self)
        other.data = replace(self.data, media=budget)
        other._start_caches()
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Drop the caches on the way to a loader process, which starts its own."""
        caches = ("_features", "_extent", "_size", "decoded")
        return {name: value for name, value in vars(self).items() if name not in caches}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.decoded = LruMediaCache()
        self._start_caches()

    def budget(self, media: Sequence[Media]) -> MediaConfig:
        """Return the budget of each medium of a question, so that together they keep the
        prompt's."""
        budget = self.data.media
        if not (budget.prompt_max_pixels or budget.prompt_max_audio_seconds):
            return budget
        try:
            return shared_budget([self._size(_bare(item)) for item in media], budget)
        except MediaError as error:
            error.path = error.path or media[0].path
            raise

    def _sized(self, media: Media) -> Size:
        root, outside = Path(self.data.root), self.data.outside_root
        return measure(root, media, self.data.media, outside_root=outside, sound=self.hears)

    def features(
        self, media: Media, asset_id: str, ablation: MediaAblation, budget: MediaConfig
    ) -> tuple[Medium | str, ...]:
        """Turn what `left` returns for one medium into tower inputs."""
        if not ablation.affects(media.modality):
            ablation = MediaAblation()  # one entry for all conditions that leave it as it is
        mismatched = ablation.how == "mismatched"
        return self._features(media, asset_id if mismatched else "", ablation, budget)

    def _process(
        self, media: Media, asset_id: str, ablation: MediaAblation, budget: MediaConfig
    ) -> tuple[Medium | str, ...]:
        left = self.left(media, asset_id, ablation, budget)
        try:
            return tuple(
                item if isinstance(item, str) else self.encoder.features(item) for item in left
            )
        except MediaError as error:
            raise MediaError(f"{media.path}: {error}", kind=error.kind, path=media.path) from error

    def left(
        self, media: Media, asset_id: str, ablation: MediaAblation, budget: MediaConfig
    ) -> list[Decoded | str]:
        """Decode one medium, withhold parts of it, and add their description if asked to."""
        item = self._decode(media, budget)
        parts = ablation.parts(item)
        mismatch = None
        if parts and ablation.how == "mismatched":
            mismatch = self._decode(self._find_mismatch(media, item, asset_id, parts), budget)
        left = ablate(item, ablation, mismatch=mismatch)
        shown: list[Decoded | str] = [] if left is None else [left]
        if parts and ablation.how == "described":
            shown.append(description_for(media, item, parts))
        return shown

    def _decode(self, media: Media, budget: MediaConfig) -> Decoded:
        key = (_bare(media), budget)
        item = self.decoded.get(key)
        if item is None:
            if media.modality == "video" and not self.hears:
                warn_left_out(self.encoder.path, "hear", "sound")
            read = decode if self.disk is None else self.disk.decode
            outside = self.data.outside_root
            item = read(
                Path(self.data.root), key[0], budget, outside_root=outside, sound=self.hears
            )
            self.decoded.add(key, item)
        return replace(item, role=media.role)

    def _find_mismatch(
        self, media: Media, item: Decoded, asset_id: str, parts: frozenset[Part]
    ) -> Media:
        """Find a medium of another asset that has the parts withheld, of about the same size."""
        part: Part = "visual" if "visual" in parts else "audio"
        suitable = (
            (other, sizes[part])
            for other in self.mismatches.candidates(item, asset_id)
            if parts <= (sizes := self._extent(other)).keys()
        )
        wanted = extent(item)[part]
        nearest = min(
            islice(suitable, COMPARED), key=lambda pair: abs(pair[1] - wanted), default=None
        )
        if nearest is None:
            raise MediaError(
                f"{media.path}: no readable {item.modality} of another asset than {asset_id!r} has "
                f"{' and '.join(sorted(parts))}, but replacement=mismatched shows one in its "
                "place: choose probe.replacement=noise, or leave the question out.",
                kind="no_donor",
                path=media.path,
            )
        return nearest[0]

    def _measure(self, media: Media) -> dict[Part, int]:
        try:
            return extent(self._decode(media, self.data.media))
        except MediaError:  # its own question sets it aside; here it only cannot stand in
            return {}


def _bare(media: Media) -> Media:
    """Identify a segment of a file, whatever its role and description."""
    return replace(media, role="context", text="")
