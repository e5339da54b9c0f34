"""Reading: prompts and their completions stand in one packed row, each prompt once."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache

from datamodules.batch import Batch, Completions
from modules.backbones.base import LanguageModel
from modules.kernels.layout import GroupLayout, look_up


@dataclass(frozen=True, kw_only=True)
class TokenScores:
    """What a policy makes of completions, token by token; 0 on padding."""

    logprobs: Tensor
    """Of each token, given those before. (N, T)"""

    entropy: Tensor
    """Of the tempered distribution over what may be said in each token's place. (N, T)"""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a model expects in the place of each token of completions, as states and a head: logits
    of all places at once would not fit."""

    states: Tensor
    """(scored tokens, D)"""

    weight: Tensor
    """The head; its product with the states are the logits. (V, D)"""

    targets: Tensor
    """The tokens that stand in these places. (scored tokens,)"""

    layout: GroupLayout
    wanted: Tensor
    """True where a scored token stands. (N, T)"""

    def pad(self, packed: Tensor) -> Tensor:
        """Put one value per scored token where it belongs, 0 elsewhere. Shapes: -> (N, T)"""
        return self.layout.pad(packed, where=self.wanted)


def predict_completions(
    parts: LanguageModel,
    batch: Batch,
    completions: Completions,
    *,
    encoded: Tensor,
    scored: Tensor | None,
    dense: bool,
) -> Prediction:
    """Read each prompt once for all of its completions, and keep what predicts their tokens.

    Shapes: encoded (sum of P, W), scored (N, T)
    """
    hidden, layout = read_row(parts, batch, completions, encoded=encoded, dense=dense)
    valid = layout.completion_valid  # (N, T)
    wanted = valid if scored is None else valid & scored  # (N, T)
    return Prediction(
        states=look_up(hidden, layout.predictor[wanted[valid]]),
        weight=parts.head.weight,
        targets=completions.token_ids[wanted],
        layout=layout,
        wanted=wanted,
    )


def read_row(
    parts: LanguageModel,
    batch: Batch,
    completions: Completions | None,
    *,
    encoded: Tensor,
    dense: bool,
    cache: DynamicCache | None = None,
) -> tuple[Tensor, GroupLayout]:
    """Run the language model once over prompts and what continues them, if anything does.

    Shapes: encoded (sum of P, W) -> (S, D)

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
        row = torch.cat([row, pad(words, (0, row.shape[1] - words.shape[1]))])  # (S, W)
        start = next_position(batch, layout)[layout.owner]  # (N,)
        after = (start.unsqueeze(1) + layout.depth)[valid]  # (sum of T,)
        positions = torch.cat([positions, after.expand(3, -1)], dim=1)  # (3, S)
    hidden = parts.read(
        row.unsqueeze(0), positions.unsqueeze(1), cache=cache, group_layout=layout, dense=dense
    )
    return hidden[0], layout  # (S, D)


def next_position(batch: Batch, layout: GroupLayout) -> Tensor:
    """Where each prompt's continuations start: past its own maximum, which with media is not its
    length. Shapes: -> (B,)"""
    highest = batch.positions.amax(0)[layout.prompt_index]  # (B, P)
    return highest.masked_fill(~layout.prompt_valid, -1).amax(1) + 1
