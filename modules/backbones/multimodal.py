"""Models with towers: the outputs of the towers take the places of placeholder tokens."""

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


class MultimodalModel(LanguageModel):
    """A language model with towers."""

    @property
    @abstractmethod
    def media_ids(self) -> Mapping[str, int]:
        """The placeholder token of each kind of media that it takes."""

    @abstractmethod
    def encode_media(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Run a tower once over media of one kind, laid out as in a batch.

        Shapes: as `Batch` has them -> (tokens of all, D_in)
        """

    @abstractmethod
    def tokens(self, kind: str, sizes: Tensor) -> list[int]:
        """Count the placeholders of each medium of one kind."""

    def embed(
        self,
        batch: Batch,
        *,
        cached_encoding: Tensor | None = None,
        cache: TowerCache | None = None,
    ) -> Tensor:
        """Embed all prompts with their media in place: each tower runs once, or not at all.

        Shapes: cached_encoding (sum of P, D_in) -> (sum of P, D_in)
        """
        words: Tensor = self.embedding(batch.prompt_ids)
        embeddings = pad(words, (0, self.width - words.shape[1]))  # (sum of P, D_in)
        all_places = {kind: batch.prompt_ids == id_ for kind, id_ in self.media_ids.items()}
        if cached_encoding is not None:
            assert cached_encoding.shape == embeddings.shape, "an encoding of other prompts"
            media = torch.stack([*all_places.values()]).any(0).unsqueeze(1)  # (sum of P, 1)
            return torch.where(media, cached_encoding.detach().to(embeddings.dtype), embeddings)
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
        """Encode all media of one kind; None where there are none. Shapes: -> (tokens, D_in)"""
        name, sizes_name, dim = PACKED[kind]
        values: Tensor | None = vars(batch)[name]
        if values is None:
            return None
        sizes: Tensor = vars(batch)[sizes_name]
        if cache is None:
            return self.encode_media(kind, values, sizes)
        lens: Sequence[int] = sizes.view(len(sizes), -1).prod(1).tolist()  # frames, or patches
        media = values.split(lens, dim)

        def encode_missing(missing: Sequence[int]) -> Sequence[Tensor]:
            chosen, packed = sizes[[*missing]], torch.cat([media[n] for n in missing], dim)
            return self.encode_media(kind, packed, chosen).split(self.tokens(kind, chosen))

        tokens = self.tokens(kind, sizes)
        found = cache.states(kind, media, sizes, encode_missing, tokens=tokens, width=self.width)
        return torch.cat(found)


class VisualModel(MultimodalModel):
    """A model that sees, with a tower like that of Qwen2.5-VL."""

    vision_tower: PreTrainedModel

    def encode_visual(self, patches: Tensor, grid: Tensor) -> Tensor:
        """Encode images or videos.

        Shapes: patches (sum of patches, patch volume), grid (items, 3) -> (visual tokens, D_in)
        """
        dtype = next(self.vision_tower.parameters()).dtype
        states: Tensor = self.vision_tower(patches.to(dtype), grid_thw=grid).pooler_output
        return states

    def visual_tokens(self, grid: Tensor) -> list[int]:
        """Count the placeholders of images or videos, one for each square of patches.

        Shapes: grid (items, 3)
        """
        square = self.vision_tower.config.spatial_merge_size**2
        counts: list[int] = (grid.prod(1) // square).tolist()
        return counts


class VisionModel(VisualModel):
    """A model with a vision tower alone, as transformers builds Qwen's."""

    def __init__(self, whole: PreTrainedModel) -> None:
        super().__init__(whole)
        self.language = whole.model.language_model
        self.vision_tower = cast(PreTrainedModel, whole.model.visual)
        self.head = whole.lm_head
        self.embedding = cast(nn.Embedding, self.language.get_input_embeddings())

    @property
    def towers(self) -> list[nn.Module]:
        """The vision tower."""
        return [self.vision_tower]

    @property
    def media_ids(self) -> Mapping[str, int]:
        """The placeholder tokens of images and videos."""
        config = self.whole.config
        return {"image": config.image_token_id, "video": config.video_token_id}

    def encode_media(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Encode media of one kind. Shapes: as `Batch` has them -> (tokens of all, D_in)"""
        return self.encode_visual(values, sizes)

    def tokens(self, kind: str, sizes: Tensor) -> list[int]:
        """Count the placeholders of each image or video."""
        return self.visual_tokens(sizes)


class Thinker(VisualModel):
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
        """The audio tower and the vision tower."""
        return [self.audio_tower, self.vision_tower]

    @property
    def media_ids(self) -> Mapping[str, int]:
        """The placeholder token of each kind of media."""
        config = self.whole.config
        return {
            "audio": config.audio_token_id,
            "image": config.image_token_id,
            "video": config.video_token_id,
        }

    @final
    def tokens(self, kind: str, sizes: Tensor) -> list[int]:
        """Count the placeholders of each medium of one kind."""
        if kind == "audio":
            return self.audio_tokens(sizes)
        return self.visual_tokens(sizes)

    @abstractmethod
    def audio_tokens(self, frames: Tensor) -> list[int]:
        """Count the placeholders of each clip, by the frames of its spectrum. Shapes: (clips,)"""
