"""Prompts packed for a model: the contract between data and modules.

Legend of shape letters, used by every function on tensors in this project:

    B  prompts in a batch              G  continuations of one prompt (the group)
    N  continuations in all, B * G     T  tokens of one continuation, padded on the right
    P  tokens of one prompt            S  tokens of one packed row, P + sum of its continuations
    V  vocabulary                      D  width of the hidden states
    H  attention heads                 K  key-value heads              E  width of one head
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from datamodules.sample import Sample
from datamodules.sampler import draw_seed


@dataclass(kw_only=True)
class Batch:
    """B prompts, packed end to end, with their media once each.

    The same object feeds rollout, log-probs and update, so they cannot disagree on what the model
    was shown. Not frozen: Lightning moves it to the device, through `to`.
    """

    samples: Sequence[Sample]
    """The B questions, for verifiers and logs."""

    step: int
    """The micro-batch this is, counted from the start of the run: part of the key of every draw."""

    prompt_ids: Tensor
    """Token ids of all prompts, one after the other, media placeholders included. (sum of P,)"""

    prompt_lens: list[int]
    positions: Tensor
    """M-RoPE positions, each prompt starting at 0: time, height, width. (3, sum of P)"""

    audio: Tensor | None = None
    """Mel frames of all clips, in the order of their placeholders. (mel bins, sum of frames)"""

    audio_lens: Tensor | None = None
    """Mel frames of each clip. (clips,)"""

    images: Tensor | None = None
    """Flattened patches of all images. (sum of patches, channels * patch volume)"""

    image_grid: Tensor | None = None
    """Patches of each image along time, height and width. (images, 3)"""

    videos: Tensor | None = None
    """Flattened patches of all videos. (sum of patches, channels * patch volume)"""

    video_grid: Tensor | None = None
    """Patches of each video along time, height and width. (videos, 3)"""

    targets: list[list[int]] | None = None
    """Token ids of the completion to imitate for each prompt, end token included; None outside
    supervised training."""

    def __len__(self) -> int:
        return len(self.prompt_lens)

    def uniforms(self, *, seed: int, group_size: int, length: int, first: int = 0) -> Tensor:
        """Draw the numbers that sampling inverts, each rollout's keyed by all that names it.

        A run that is killed and resumed, or another batch size, meets the same numbers.

        Shapes: -> (B * G, length)

        Args:
            first: number of each prompt's first rollout, where earlier ones were drawn before.
        """
        keys = [
            draw_seed(seed, self.step, sample.id, rollout)
            for sample in self.samples
            for rollout in range(first, first + group_size)
        ]
        rows = [np.random.Generator(np.random.Philox(key=key)).random(length) for key in keys]
        return torch.from_numpy(np.stack(rows))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Move the tensors; the questions stay where they are."""
        moved = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device, non_blocking=non_blocking))
        return moved


@dataclass(kw_only=True)
class Completions:
    """N continuations of the prompts of a batch, padded on the right.

    A continuation may fork: a trunk, then branches that each go on from the trunk's end and do not
    see each other.
    """

    token_ids: Tensor
    """(N, T)"""

    lens: list[int]
    """Real tokens of each, the end token included where there is one."""

    owner: list[int]
    """The prompt that each continues."""

    branch: Tensor | None = None
    """0 on trunks and padding, i on the i-th branch of a row, which stand one after the other;
    None where nothing forks. (N, T)"""

    @property
    def valid(self) -> Tensor:
        """True on real tokens. Shapes: -> (N, T)"""
        places = torch.arange(self.token_ids.shape[1], device=self.token_ids.device)
        return places < torch.tensor(self.lens, device=self.token_ids.device).unsqueeze(1)

    @staticmethod
    def of(ids: Sequence[Sequence[int]], owner: Sequence[int]) -> "Completions":
        """Pad lists of token ids into one tensor."""
        return Completions(
            token_ids=_padded(ids), lens=[len(row) for row in ids], owner=list(owner)
        )

    @staticmethod
    def forked(
        trunks: Sequence[Sequence[int]],
        branches: Sequence[Sequence[Sequence[int]]],
        owner: Sequence[int],
    ) -> "Completions":
        """Put each trunk, which may be empty, and its branches into one row."""
        rows = [
            [*trunk, *(token for branch in group for token in branch)]
            for trunk, group in zip(trunks, branches, strict=True)
        ]
        numbers = [
            [0] * len(trunk) + [n for n, branch in enumerate(group, start=1) for _ in branch]
            for trunk, group in zip(trunks, branches, strict=True)
        ]
        return replace(Completions.of(rows, owner), branch=_padded(numbers))

    def to(self, device: torch.device | str) -> "Completions":
        """Move the tensors."""
        branch = None if self.branch is None else self.branch.to(device)
        return replace(self, token_ids=self.token_ids.to(device), branch=branch)


@dataclass(frozen=True, kw_only=True)
class OptionScoring:
    """Every option of every question under several orders, laid out to be scored in one pass.

    What the orders of a question have in common is a prompt of the batch, with the media. Each
    order is one continuation: the rest of its prompt, then a branch for the answer that names each
    option. Where the options are media, there is no such prompt, and each order has its own.
    """

    samples: Sequence[Sample]
    """The questions, as written."""

    batch: Batch
    completions: Completions

    question: list[int]
    """The question that each continuation asks, an index into `samples`. N"""

    options: list[tuple[int, ...]]
    """The options that the branches of each continuation name, numbered as written. N

    The continuations of a question stand in the order of their option seeds, from 0."""


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Pad rows on the right with 0. Shapes: N rows -> (N, T)"""
    tensors = [torch.tensor(row, dtype=torch.long) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)
