"""Qwen2-Audio: audio in, through a tower whose window is always 30 seconds; no vision."""

from collections.abc import Mapping
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import (
    PreTrainedModel,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
)

from modules.backbones.multimodal import MultimodalModel

BEYOND = 2
"""Frames after each clip that come with it, since the convolutions at its end reach that far; what
follows them is masked, and may be anything."""


@final
class Qwen2Audio(MultimodalModel):
    """The parts of a Qwen2-Audio; the projector counts as a tower."""

    axes = 1

    def __init__(self, whole: Qwen2AudioForConditionalGeneration) -> None:
        super().__init__(whole)
        self.language = cast(PreTrainedModel, whole.model.language_model)
        self.audio_tower = cast(PreTrainedModel, whole.model.audio_tower)
        self.projector: nn.Module = whole.model.multi_modal_projector
        self.head = whole.lm_head
        self.embedding = cast(nn.Embedding, self.language.get_input_embeddings())
        self.config: Qwen2AudioConfig = whole.config

    @property
    def towers(self) -> list[nn.Module]:
        """The audio tower and its projector."""
        return [self.audio_tower, self.projector]

    @property
    def media_ids(self) -> Mapping[str, int]:
        """The placeholder token of audio."""
        return {"audio": self.config.audio_token_id}

    def encode_media(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Encode clips.

        Shapes: values (mel bins, sum of frames), sizes (clips,) -> (tokens of all, D)
        """
        dtype = next(self.audio_tower.parameters()).dtype
        window = 2 * int(self.audio_tower.config.max_source_positions)
        clips = torch.stack(
            [pad(clip, (0, window - clip.shape[1])) for clip in values.split(sizes.tolist(), 1)]
        )  # (clips, mel bins, window)
        steps = (sizes - BEYOND - 1) // 2 + 1  # (clips,)
        places = torch.arange(window // 2, device=sizes.device)
        heard = (places < steps.unsqueeze(1))[:, None, None]  # (clips, 1, 1, window / 2)
        states = self.audio_tower(clips.to(dtype), attention_mask=heard).last_hidden_state
        kept = places[: window // 4] < torch.tensor(
            self.tokens(kind, sizes), device=sizes.device
        ).unsqueeze(1)  # (clips, window / 4)
        projected: Tensor = self.projector(states[kept])
        return projected

    def tokens(self, kind: str, sizes: Tensor) -> list[int]:
        """Count the placeholders of each clip."""
        counts: list[int] = (((sizes - BEYOND - 1) // 2 + 1 - 2) // 2 + 1).tolist()
        return counts
