"""Scoring: prompts and their completions are read as one packed row."""

from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.batch import Batch, Completions
from modules.backbone import Backbone
from modules.kernels.layout import GroupLayout


@dataclass(frozen=True, kw_only=True)
class TokenScores:
    """What a policy makes of completions, token by token; 0 on padding."""

    logprobs: Tensor
    """Of each token, given those before. (N, T)"""

    entropy: Tensor
    """Of the tempered distribution over what may be said in each token's place. (N, T)"""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The states that predict the tokens of completions, and those tokens, packed."""

    states: Tensor
    """(scored tokens, D)"""

    targets: Tensor
    """(scored tokens,)"""

    layout: GroupLayout
    wanted: Tensor
    """True where a scored token stands. (N, T)"""

    def pad(self, packed: Tensor) -> Tensor:
        """Put one value per scored token where it belongs, 0 elsewhere. Shapes: -> (N, T)"""
        return self.layout.pad(packed, where=self.wanted)


def read_completions(
    parts: Backbone,
    batch: Batch,
    completions: Completions,
    *,
    encoded: Tensor,
    scored: Tensor | None,
    dense: bool,
) -> Reading:
    """Run the language model once, each prompt shared by its completions.

    Shapes: encoded (sum of P, D), scored (N, T)
    """
    layout = GroupLayout.build(
        batch.prompt_lens,
        completions.lens,
        completions.owner,
        branch=completions.branch,
        device=encoded.device,
    )
    valid = layout.completion_valid  # (N, T)
    targets = completions.token_ids[valid]  # (sum of T,)
    row = torch.cat([encoded, parts.embedding(targets)])  # (S, D)
    start = next_position(batch, layout)[layout.owner]  # (N,)
    after = (start.unsqueeze(1) + layout.depth)[valid]  # (sum of T,)
    positions = torch.cat([batch.positions, after.expand(3, -1)], dim=1)  # (3, S)
    hidden = parts.read(row.unsqueeze(0), positions.unsqueeze(1), group_layout=layout, dense=dense)[
        0
    ]  # (S, D)
    wanted = valid if scored is None else valid & scored  # (N, T)
    kept = wanted[valid]  # (sum of T,)
    return Reading(
        states=hidden[layout.predictor[kept]], targets=targets[kept], layout=layout, wanted=wanted
    )


def next_position(batch: Batch, layout: GroupLayout) -> Tensor:
    """Where each prompt's continuations start: past its own maximum, which with media is not its
    length. Shapes: -> (B,)"""
    highest = batch.positions.amax(0)[layout.prompt_index]  # (B, P)
    return highest.masked_fill(~layout.prompt_valid, -1).amax(1) + 1
