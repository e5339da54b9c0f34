"""What models with ears or eyes have in common: what towers make of media takes its place."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel

from datamodules.batch import PACKED, Batch
from modules.backbones.base import LanguageModel
from modules.backbones.tower_cache import TowerCache


class SensingModel(LanguageModel):
    """A language model with towers."""

    @property
    @abstractmethod
    def media_ids(self) -> Mapping[str, int]:
        """The token that stands in each place of each kind of media that it takes."""

    @abstractmethod
    def sense(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Run a tower once over media of one kind, laid out as in a batch.

        Shapes: as `Batch` has them -> (tokens of all, W)
        """

    @abstractmethod
    def tokens(self, kind: str, sizes: Tensor) -> list[int]:
        """Count the places that each medium of one kind fills."""

    def embed(
        self, batch: Batch, *, seen: Tensor | None = None, cache: TowerCache | None = None
    ) -> Tensor:
        """Embed all prompts with their media in place: each tower runs once, or not at all.

        Shapes: seen (sum of P, W) -> (sum of P, W)
        """
        words: Tensor = self.embedding(batch.prompt_ids)
        embeddings = pad(words, (0, self.width - words.shape[1]))  # (sum of P, W)
        all_places = {kind: batch.prompt_ids == id_ for kind, id_ in self.media_ids.items()}
        if seen is not None:
            assert seen.shape == embeddings.shape, "an encoding of other prompts"
            media = torch.stack([*all_places.values()]).any(0).unsqueeze(1)  # (sum of P, 1)
            return torch.where(media, seen.detach().to(embeddings.dtype), embeddings)
        for kind, places in all_places.items():
            states = self._states(kind, batch, cache)
            found, expected = 0 if states is None else len(states), int(places.sum())
            if found != expected:
                raise ValueError(
                    f"{found} {kind} features meet {expected} {kind} placeholders. Each feature "
                    "needs its placeholder: prompt and media must come from one PromptEncoder."
                )
            if states is not None:
                embeddings = embeddings.masked_scatter(
                    places.unsqueeze(1), states.to(embeddings.dtype)
                )
        return embeddings

    def _states(self, kind: str, batch: Batch, cache: TowerCache | None) -> Tensor | None:
        """Sense all media of one kind; None where there are none. Shapes: -> (tokens, W)"""
        name, sizes_name, dim = PACKED[kind]
        values: Tensor | None = vars(batch)[name]
        if values is None:
            return None
        sizes: Tensor = vars(batch)[sizes_name]
        if cache is None:
            return self.sense(kind, values, sizes)
        lens: Sequence[int] = sizes.view(len(sizes), -1).prod(1).tolist()  # frames, or patches
        media = values.split(lens, dim)

        def sense(missing: Sequence[int]) -> Sequence[Tensor]:
            chosen, packed = sizes[[*missing]], torch.cat([media[n] for n in missing], dim)
            return self.sense(kind, packed, chosen).split(self.tokens(kind, chosen))

        tokens = self.tokens(kind, sizes)
        found = cache.states(kind, media, sizes, sense, tokens=tokens, width=self.width)
        return torch.cat(found)


class Seeing(SensingModel):
    """A model that sees and does not hear, as transformers builds Qwen's."""

    def __init__(self, whole: PreTrainedModel) -> None:
        super().__init__(whole)
        self.language = whole.model.language_model
        self.vision_tower = cast(PreTrainedModel, whole.model.visual)
        self.head = whole.lm_head
        self.embedding = cast(nn.Embedding, self.language.get_input_embeddings())

    @property
    def towers(self) -> list[nn.Module]:
        """What sees."""
        return [self.vision_tower]

    @property
    def media_ids(self) -> Mapping[str, int]:
        """The token that stands in each place of a picture or film."""
        config = self.whole.config
        return {"image": config.image_token_id, "video": config.video_token_id}

    def tokens(self, kind: str, sizes: Tensor) -> list[int]:
        """Count the places that each picture or film fills."""
        return visual_tokens(sizes, self.vision_tower.config.spatial_merge_size)


class Thinker(SensingModel):
    """A thinker, whichever transformers release built it.

    The module tree moved in transformers 5.21: up to 5.20 `thinker.{audio_tower, visual, model}`,
    since then `thinker.model.{audio_tower, visual, language_model}`.
    """

    def __init__(self, thinker: PreTrainedModel) -> None:
        super().__init__(thinker)
        nested = hasattr(thinker.model, "language_model")
        towers = thinker.model if nested else thinker
        self.language = thinker.model.language_model if nested else thinker.model
        self.audio_tower = cast(PreTrainedModel, towers.audio_tower)  # typed as any module
        self.vision_tower = cast(PreTrainedModel, towers.visual)
        self.head = thinker.lm_head
        self.embedding = cast(nn.Embedding, self.language.get_input_embeddings())

    @property
    def towers(self) -> list[nn.Module]:
        """What hears, and what sees."""
        return [self.audio_tower, self.vision_tower]

    @property
    def media_ids(self) -> Mapping[str, int]:
        """The token that stands in each place of a medium."""
        config = self.whole.config
        return {
            "audio": config.audio_token_id,
            "image": config.image_token_id,
            "video": config.video_token_id,
        }

    @final
    def tokens(self, kind: str, sizes: Tensor) -> list[int]:
        """Count the places that each medium of one kind fills."""
        if kind == "audio":
            return self.heard(sizes)
        return visual_tokens(sizes, self.vision_tower.config.spatial_merge_size)

    @abstractmethod
    def heard(self, frames: Tensor) -> list[int]:
        """Count the places that sounds fill, by the frames of their spectra. Shapes: (clips,)"""


def see(tower: nn.Module, patches: Tensor, grid: Tensor) -> Tensor:
    """Encode pictures, or videos, with a tower that is Qwen2.5-VL's.

    Shapes: patches (sum of patches, patch volume), grid (items, 3) -> (visual tokens, D)
    """
    dtype = next(tower.parameters()).dtype
    states: Tensor = tower(patches.to(dtype), grid_thw=grid).pooler_output
    return states


def visual_tokens(grid: Tensor, merge_size: int) -> list[int]:
    """Count the places of pictures or videos, of which squares of patches share one.

    Shapes: grid (items, 3)
    """
    counts: list[int] = (grid.prod(1) // merge_size**2).tolist()
    return counts
