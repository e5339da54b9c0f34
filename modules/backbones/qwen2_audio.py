"""Qwen2-Audio: it hears, through a tower whose window is always 30 seconds, and does not see."""

from collections.abc import Mapping
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import (
    DynamicCache,
    PreTrainedModel,
    Qwen2AudioConfig,
    Qwen2AudioForConditionalGeneration,
)

from modules.backbones.sensing import SensingModel

BEYOND = 2
"""Frames behind each clip that come with it, for the convolutions at its end look that far; what
stands behind these is masked, and may be anything."""


@final
class Qwen2Audio(SensingModel):
    """The parts of a Qwen2-Audio; what projects onto the width of the language model is a tower."""

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
        """What hears."""
        return [self.audio_tower, self.projector]

    @property
    def media_ids(self) -> Mapping[str, int]:
        """The token that stands in each place of a clip."""
        return {"audio": self.config.audio_token_id}

    def sense(self, kind: str, values: Tensor, sizes: Tensor) -> Tensor:
        """Hear. Shapes: values (mel bins, sum of frames), sizes (clips,) -> (tokens of all, D)"""
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
        """Count the places that each clip fills."""
        counts: list[int] = (((sizes - BEYOND - 1) // 2 + 1 - 2) // 2 + 1).tolist()
        return counts

    def read(
        self,
        embeddings: Tensor,
        positions: Tensor,
        *,
        cache: DynamicCache | None = None,
        **attention: object,
    ) -> Tensor:
        """Run the language model, head excluded; its tokens stand along one axis.

        Shapes: embeddings (R, Q, D), positions (3, R, Q) -> (R, Q, D)
        """
        return super().read(embeddings, positions[0], cache=cache, **attention)
