"""The parts of a model by name, and strict loading of its weights.

Where transformers keeps the parts differs by model and by release; only this room knows.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, DynamicCache, PreTrainedModel

from datamodules.batch import Batch
from modules.backbones.tower_cache import TowerCache
from modules.kernels.attention import language_attention
from pretrained.loading import open_weights

ATTENTION = "earwitness"
"""Name of our attention in transformers."""

AttentionInterface.register(ATTENTION, language_attention)


class LanguageModel(ABC):
    """The parts of a model that reads embeddings and predicts tokens, with towers or without.

    It holds no weights of its own, and is made anew whenever it is needed. D_in, the width of an
    embedding, is D, and more where deeper layers add features at some places: these stand after the
    first D, and only the model itself reads them.
    """

    language: PreTrainedModel
    head: nn.Linear
    embedding: nn.Embedding
    axes = 3
    """Of positions: 1 where the model counts tokens alone, as along text all three are one."""

    def __init__(self, whole: PreTrainedModel) -> None:
        self.whole = whole

    @property
    @abstractmethod
    def towers(self) -> list[nn.Module]:
        """The audio and vision towers, with projectors to the width of the language model."""

    @property
    def width(self) -> int:
        """D_in, of what `embed` returns."""
        return self.embedding.embedding_dim

    @abstractmethod
    def embed(
        self,
        batch: Batch,
        *,
        cached_encoding: Tensor | None = None,
        cache: TowerCache | None = None,
    ) -> Tensor:
        """Embed all prompts with their media in place.

        Shapes: seen (sum of P, D_in) -> (sum of P, D_in)

        Args:
            cached_encoding: an earlier result for these prompts; its media are reused as constants.
            cache: outputs of frozen towers.
        """

    @property
    def frozen_towers(self) -> bool:
        """Whether no parameter of the towers is trained."""
        return not any(p.requires_grad for tower in self.towers for p in tower.parameters())

    def freeze_towers(self) -> None:
        """Freeze all parameters of the towers."""
        for tower in self.towers:
            tower.requires_grad_(False)

    def checkpoint_gradients(self) -> None:
        """Recompute activations in the backward pass, in towers and language model alike."""
        # The name changed in transformers 5.2x; the old one warns until it goes.
        enable = getattr(self.whole, "activation_checkpointing_enable", None)
        (enable or self.whole.gradient_checkpointing_enable)({"use_reentrant": False})

    def forward(
        self,
        embeddings: Tensor,
        positions: Tensor,
        *,
        cache: DynamicCache | None = None,
        **attention: object,
    ) -> Tensor:
        """Run the language model, head excluded.

        Shapes: embeddings (R, Q, D_in), or (R, Q, D) where no medium is among them,
            positions (3, R, Q) -> (R, Q, D)
        """
        states: Tensor = self.language(
            inputs_embeds=embeddings,
            position_ids=positions if self.axes == 3 else positions[0],
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
    """Load weights; raise where a tensor is missing, unexpected or misshapen.

    transformers only warns, and the run then trains a partly random model.

    Args:
        beside: prefixes of tensors that belong to other parts of a whole model, which are not read.
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


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Switch to eval mode inside."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
