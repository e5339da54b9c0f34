"""Score completions in one packed row, in which each prompt stands once."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from configs.choices import AttentionKind
from datamodules.batch import Batch, Completions
from modules.backbones.base import LanguageModel
from modules.kernels.layout import GroupLayout, look_up


@dataclass(frozen=True, kw_only=True)
class TokenScores:
    """Scores of the tokens of completions; 0 on padding."""

    logprobs: Tensor
    """Of each token, given those before it. (N, T)"""

    entropy: Tensor
    """Of the tempered distribution over tokens in each token's place. (N, T)"""


@dataclass(frozen=True, kw_only=True)
class PackedStates:
    """The states that predict the tokens of completions, and the head: logits of all tokens at once
    would not fit."""

    states: Tensor
    """(scored tokens, D)"""

    weight: Tensor
    """The head; its product with the states are the logits. (V, D)"""

    targets: Tensor
    """The tokens that they predict. (scored tokens,)"""

    layout: GroupLayout
    wanted: Tensor
    """True on scored tokens. (N, T)"""

    def pad(self, packed: Tensor) -> Tensor:
        """Unpack one value per scored token, 0 elsewhere. Shapes: -> (N, T)"""
        return self.layout.pad(packed, where=self.wanted)


def packed_states(
    parts: LanguageModel,
    batch: Batch,
    completions: Completions,
    *,
    encoded: Tensor,
    scored: Tensor | None,
    attention: AttentionKind,
) -> PackedStates:
    """Run the model once over prompts and completions, and keep the states that predict tokens.

    Shapes: encoded (sum of P, D_in), scored (N, T)
    """
    hidden, layout = forward_packed(parts, batch, completions, encoded=encoded, attention=attention)
    valid = layout.completion_valid  # (N, T)
    wanted = valid if scored is None else valid & scored  # (N, T)
    return PackedStates(
        states=look_up(hidden, layout.predictor[wanted[valid]]),
        weight=parts.head.weight,
        targets=completions.token_ids[wanted],
        layout=layout,
        wanted=wanted,
    )


def forward_packed(
    parts: LanguageModel,
    batch: Batch,
    completions: Completions | None,
    *,
    encoded: Tensor,
    attention: AttentionKind,
    cache: DynamicCache | None = None,
) -> tuple[Tensor, GroupLayout]:
    """Run the language model once over prompts and their completions, if there are any.

    Shapes: encoded (sum of P, D_in) -> (S, D)

    Args:
        cache: filled with the keys and values of the row.
    """
    row, positions = encoded, batch.positions
    layout = GroupLayout.build(batch.prompt_lens, device=encoded.device)
    if completions is not None:
        layout = GroupLayout.build(
            batch.prompt_lens,
            completions.lens,
            completions.owner,
            branch=completions.branch,
            device=encoded.device,
        )
        valid = layout.completion_valid  # (N, T)
        words = parts.embedding(completions.token_ids[valid])  # (sum of T, D)
        row = torch.cat([row, pad(words, (0, row.shape[1] - words.shape[1]))])  # (S, D_in)
        start = next_position(batch, layout)[layout.owner]  # (N,)
        after = (start.unsqueeze(1) + layout.depth)[valid]  # (sum of T,)
        positions = torch.cat([positions, after.expand(3, -1)], dim=1)  # (3, S)
    hidden = parts.forward(
        row.unsqueeze(0), positions.unsqueeze(1), cache=cache, group_layout=layout, kind=attention
    )
    return hidden[0], layout  # (S, D)


def next_position(batch: Batch, layout: GroupLayout) -> Tensor:
    """Find the position after each prompt: past its highest position, which with media is not its
    length. Shapes: -> (B,)"""
    highest = batch.positions.amax(0)[layout.prompt_index]  # (B, P)
    return highest.masked_fill(~layout.prompt_valid, -1).amax(1) + 1
