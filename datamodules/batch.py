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

    def uniforms(self, *, seed: int, group_size: int, length: int) -> Tensor:
        """Draw the numbers that sampling inverts, each rollout's keyed by all that names it.

        A run that is killed and resumed, or another batch size, meets the same numbers.

        Shapes: -> (B * G, length)
        """
        keys = [
            draw_seed(seed, self.step, sample.id, rollout)
            for sample in self.samples
            for rollout in range(group_size)
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
    """N continuations of the prompts of a batch, padded on the right."""

    token_ids: Tensor
    """(N, T)"""

    lens: list[int]
    """Real tokens of each, the end token included where there is one."""

    owner: list[int]
    """The prompt that each continues."""

    @property
    def valid(self) -> Tensor:
        """True on real tokens. Shapes: -> (N, T)"""
        places = torch.arange(self.token_ids.shape[1], device=self.token_ids.device)
        return places < torch.tensor(self.lens, device=self.token_ids.device).unsqueeze(1)

    @staticmethod
    def of(ids: Sequence[Sequence[int]], owner: Sequence[int]) -> "Completions":
        """Pad lists of token ids into one tensor."""
        rows = [torch.tensor(row, dtype=torch.long) for row in ids]
        return Completions(
            token_ids=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
            lens=[len(row) for row in ids],
            owner=list(owner),
        )

    def to(self, device: torch.device | str) -> "Completions":
        """Move the token ids."""
        return replace(self, token_ids=self.token_ids.to(device))
