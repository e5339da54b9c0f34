"""What a policy needs of a model, and where transformers keeps it in an omni-modal thinker.

The module tree moved in transformers 5.21: up to 5.20 `thinker.{audio_tower, visual, model}`, since
then `thinker.model.{audio_tower, visual, language_model}`. Everything else asks a `Backbone`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    DynamicCache,
    PreTrainedModel,
    Qwen2_5OmniThinkerConfig,
    Qwen2_5OmniThinkerForConditionalGeneration,
)

from datamodules.batch import Batch
from modules.kernels.attention import language_attention

ATTENTION = "earwitness"
"""Name under which transformers finds our attention."""

AttentionInterface.register(ATTENTION, language_attention)


class LanguageModel(ABC):
    """Name the parts of a model that reads embeddings and predicts tokens, with towers or without.

    It holds no weights of its own, and is made anew whenever it is asked for.
    """

    language: PreTrainedModel
    head: nn.Linear
    embedding: nn.Embedding

    def __init__(self, whole: PreTrainedModel) -> None:
        self.whole = whole

    @property
    @abstractmethod
    def towers(self) -> list[PreTrainedModel]:
        """What hears and sees."""

    @abstractmethod
    def embed(self, batch: Batch, *, seen: Tensor | None = None) -> Tensor:
        """Embed all prompts with their media in place.

        Shapes: seen (sum of P, D) -> (sum of P, D)

        Args:
            seen: an earlier result for these prompts; its media are taken over as constants.
        """

    @property
    def frozen_towers(self) -> bool:
        """Tell whether nothing in the towers is trained."""
        return not any(p.requires_grad for tower in self.towers for p in tower.parameters())

    def freeze_towers(self) -> None:
        """Train nothing in the towers."""
        for tower in self.towers:
            tower.requires_grad_(False)

    def checkpoint_gradients(self) -> None:
        """Recompute activations in the backward pass, in towers and language model alike."""
        # The name changed in transformers 5.2x; the old one warns until it goes.
        enable = getattr(self.whole, "activation_checkpointing_enable", None)
        (enable or self.whole.gradient_checkpointing_enable)({"use_reentrant": False})

    def read(
        self,
        embeddings: Tensor,
        positions: Tensor,
        *,
        cache: DynamicCache | None = None,
        **attention: object,
    ) -> Tensor:
        """Run the language model, head excluded.

        Shapes: embeddings (R, Q, D), positions (3, R, Q) -> (R, Q, D)
        """
        states: Tensor = self.language(
            inputs_embeds=embeddings,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            **attention,
        ).last_hidden_state
        return states


@final
class Backbone(LanguageModel):
    """The parts of a Qwen2.5-Omni thinker, whichever transformers release built it."""

    def __init__(self, thinker: Qwen2_5OmniThinkerForConditionalGeneration) -> None:
        super().__init__(thinker)
        nested = hasattr(thinker.model, "language_model")  # since transformers 5.21
        towers = thinker.model if nested else thinker
        language = thinker.model.language_model if nested else thinker.model
        self.language = cast(PreTrainedModel, language)  # nn.Module types no attribute
        self.audio_tower = cast(PreTrainedModel, towers.audio_tower)
        self.vision_tower = cast(PreTrainedModel, towers.visual)
        self.head = thinker.lm_head
        self.embedding = cast(nn.Embedding, self.language.get_input_embeddings())
        self.config: Qwen2_5OmniThinkerConfig = thinker.config

    @property
    def towers(self) -> list[PreTrainedModel]:
        """What hears, and what sees."""
        return [self.audio_tower, self.vision_tower]

    def embed(self, batch: Batch, *, seen: Tensor | None = None) -> Tensor:
        """Embed all prompts with their media in place: each tower runs once, or not at all.

        Shapes: seen (sum of P, D) -> (sum of P, D)
        """
        embeddings: Tensor = self.embedding(batch.prompt_ids)
        all_places = {
            "audio": batch.prompt_ids == self.config.audio_token_id,
            "image": batch.prompt_ids == self.config.image_token_id,
            "video": batch.prompt_ids == self.config.video_token_id,
        }  # (sum of P,) each
        if seen is not None:
            assert seen.shape == embeddings.shape, "an encoding of other prompts"
            media = torch.stack([*all_places.values()]).any(0).unsqueeze(1)  # (sum of P, 1)
            return torch.where(media, seen.detach().to(embeddings.dtype), embeddings)
        all_states = {
            "audio": self.hear(batch),
            "image": self.see(batch.images, batch.image_grid),
            "video": self.see(batch.videos, batch.video_grid),
        }
        for kind, states in all_states.items():
            places = all_places[kind]
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

    def hear(self, batch: Batch) -> Tensor | None:
        """Encode all clips of a batch in one pass. Shapes: -> (audio tokens, D)"""
        if batch.audio is None or batch.audio_lens is None:
            return None
        dtype = next(self.audio_tower.parameters()).dtype
        after_convolution = (batch.audio_lens - 1) // 2 + 1
        encoded = self.audio_tower(
            batch.audio.to(dtype), feature_lens=batch.audio_lens, aftercnn_lens=after_convolution
        )
        states: Tensor = encoded.last_hidden_state
        return states

    def see(self, patches: Tensor | None, grid: Tensor | None) -> Tensor | None:
        """Encode all images, or all videos, in one pass.

        Shapes: patches (sum of patches, patch volume), grid (items, 3) -> (visual tokens, D)
        """
        if patches is None:
            return None
        dtype = next(self.vision_tower.parameters()).dtype
        states: Tensor = self.vision_tower(patches.to(dtype), grid_thw=grid).pooler_output
        return states


def load_thinker(path: str, *, dtype: torch.dtype) -> Qwen2_5OmniThinkerForConditionalGeneration:
    """Load the thinker of a Qwen2.5-Omni, whose language model shares prompts; see
    `load_strictly`."""
    thinker: Qwen2_5OmniThinkerForConditionalGeneration = load_strictly(
        Qwen2_5OmniThinkerForConditionalGeneration, path, dtype=dtype
    )
    Backbone(thinker).language.set_attn_implementation(ATTENTION)
    return thinker.train()


def load_strictly(
    kind: type[PreTrainedModel] | type[AutoModelForCausalLM], path: str, *, dtype: torch.dtype
) -> Any:  # the model of the class asked for, which from_pretrained does not type either
    """Load weights, or stop: no missing, unexpected or misshapen tensor is glossed over.

    transformers only warns, and the run then trains a partly random model.
    """
    # typed as a model alone, but a pair with output_loading_info
    loaded: Any = kind.from_pretrained(
        path,
        dtype=dtype,
        attn_implementation="sdpa",
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported below with the others, never ignored
    )
    model, report = loaded
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        names = sorted(str(name) for name in report[fault])
        if names:
            raise ValueError(
                f"{path} does not fit a {type(model).__name__}: {len(names)} "
                f"{fault.split('_')[0]} tensors (first: {', '.join(names[:3])}). Every tensor must "
                "be found with its shape; choose the model= that these weights were saved from."
            )
    return model


def save_model(whole: PreTrainedModel, path: Path, weights: dict[str, Tensor]) -> None:
    """Write a directory that transformers and vLLM load: config and safetensors."""
    whole.save_pretrained(path, state_dict=weights)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Compute as in evaluation, inside."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
