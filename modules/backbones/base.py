"""What a policy needs of a model: its parts by name, and weights that are read whole or not at all.

Where transformers keeps the parts differs by model and by release; everything else asks here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache, PreTrainedModel

from datamodules.batch import Batch
from modules.backbones.tower_cache import TowerCache
from modules.kernels.attention import language_attention
from pretrained.loading import open_weights

ATTENTION = "earwitness"
"""Name under which transformers finds our attention."""

AttentionInterface.register(ATTENTION, language_attention)


class LanguageModel(ABC):
    """Name the parts of a model that reads embeddings and predicts tokens, with towers or without.

    It holds no weights of its own, and is made anew whenever it is asked for. W, the width of an
    embedding, is D, and more where deeper layers add something of their own at some places: what
    they add stands behind the D, and nobody but the model itself looks into it.
    """

    language: PreTrainedModel
    head: nn.Linear
    embedding: nn.Embedding

    def __init__(self, whole: PreTrainedModel) -> None:
        self.whole = whole

    @property
    @abstractmethod
    def towers(self) -> list[nn.Module]:
        """What hears and sees, up to the width of the language model."""

    @property
    def width(self) -> int:
        """W, of what `embed` returns."""
        return self.embedding.embedding_dim

    @abstractmethod
    def embed(
        self, batch: Batch, *, seen: Tensor | None = None, cache: TowerCache | None = None
    ) -> Tensor:
        """Embed all prompts with their media in place.

        Shapes: seen (sum of P, W) -> (sum of P, W)

        Args:
            seen: an earlier result for these prompts; its media are taken over as constants.
            cache: what frozen towers have made of media before.
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

        Shapes: embeddings (R, Q, W), or (R, Q, D) where no medium is among them,
            positions (3, R, Q) -> (R, Q, D)
        """
        states: Tensor = self.language(
            inputs_embeds=embeddings,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            **attention,
        ).last_hidden_state
        return states


def load_strictly(
    kind: type[PreTrainedModel],
    path: str,
    *,
    dtype: torch.dtype,
    beside: tuple[str, ...] = (),
) -> PreTrainedModel:
    """Load weights, or stop: no missing, unexpected or misshapen tensor is glossed over.

    transformers only warns, and the run then trains a partly random model.

    Args:
        beside: beginnings of the names of tensors that belong to other parts of a whole, which are
            left where they are.
    """
    model, report = open_weights(kind, path, dtype=dtype)
    for fault in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        found = sorted(str(name) for name in report[fault])
        names = [n for n in found if not (fault == "unexpected_keys" and n.startswith(beside))]
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
