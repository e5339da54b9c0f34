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
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from datamodules.draws import draw_seed
from datamodules.sample import Sample

View = Literal["blind", "shuffled", "student", "teacher"]
"""The same prompts with media withheld, frames shuffled, or the media of a side of distillation."""

PACKED = {
    "audio": ("audio", "audio_lens", 1),
    "image": ("images", "image_grid", 0),
    "video": ("videos", "video_grid", 0),
}
"""For each kind of media: the fields of a batch that hold the values and their sizes, and the
dimension along which they are concatenated."""


@dataclass(kw_only=True)
class Batch:
    """B prompts, packed end to end, with their media once each.

    The same object feeds rollout, log-probs and update, so that they cannot disagree on what the
    model was given. Not frozen: Lightning moves it to the device, through `to`.
    """

    samples: Sequence[Sample]
    """The B questions, for verifiers and logs."""

    step: int
    """Index of its list of micro-batches in the run; part of the key of every random draw."""

    prompt_ids: Tensor
    """Token ids of all prompts, end to end, media placeholders included. (sum of P,)"""

    prompt_lens: list[int]
    positions: Tensor
    """M-RoPE positions, each prompt starting at 0: time, height, width. (3, sum of P)"""

    media: list[tuple[str, ...]]
    """Kinds of the features of each prompt; a video with audio has two."""

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

    views: dict[View, "Batch"] = field(default_factory=dict)
    """The same prompts in the same order, rendered otherwise."""

    def __len__(self) -> int:
        return len(self.prompt_lens)

    def uniforms(self, *, seed: int, group_size: int, length: int, first: int = 0) -> Tensor:
        """Draw the uniform numbers that sampling inverts, keyed by everything that identifies a
        rollout.

        A resumed run, or another batch size, draws the same numbers.

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

    def select(self, prompts: Sequence[int]) -> "Batch":
        """Take some prompts, at least one, in the order given; only their own data is copied."""
        return Batch(
            samples=[self.samples[prompt] for prompt in prompts],
            step=self.step,
            prompt_lens=[self.prompt_lens[prompt] for prompt in prompts],
            media=[self.media[prompt] for prompt in prompts],
            targets=self.targets and [self.targets[prompt] for prompt in prompts],
            views={name: view.select(prompts) for name, view in self.views.items()},
            **self._shown(prompts),
        )

    def changed(self, view: View) -> list[int]:
        """List the prompts that differ in a view."""
        pairs = ((self._shown([n]), self.views[view]._shown([n])) for n in range(len(self)))
        return [n for n, (one, other) in enumerate(pairs) if not _same(one, other)]

    def _shown(self, prompts: Sequence[int]) -> dict[str, Tensor]:
        """Take the tokens and media of some prompts, by field."""
        shown = {
            "prompt_ids": _taken(self.prompt_ids, self.prompt_lens, prompts),
            "positions": _taken(self.positions, self.prompt_lens, prompts, dim=1),
        }
        for kind, (name, sizes_name, dim) in PACKED.items():
            owners = [n for n, kinds in enumerate(self.media) for k in kinds if k == kind]
            items = [i for prompt in prompts for i, own in enumerate(owners) if own == prompt]
            if items:
                sizes: Tensor = vars(self)[sizes_name]
                lens = sizes.view(len(owners), -1).prod(1).tolist()  # mel frames, or patches
                shown[name] = _taken(vars(self)[name], lens, items, dim=dim)
                shown[sizes_name] = sizes[items]
        return shown

    @staticmethod
    def concat(batches: Sequence["Batch"]) -> "Batch":
        """Concatenate batches of one step, at least one."""
        first = batches[0]
        assert all(batch.step == first.step for batch in batches), "draws are keyed by one step"
        assert all(batch.views.keys() == first.views.keys() for batch in batches)
        targets = [batch.targets for batch in batches if batch.targets is not None]
        assert len(targets) in (0, len(batches)), "all are to be imitated, or none"
        views = {name: Batch.concat([one.views[name] for one in batches]) for name in first.views}
        media = {}
        for name, sizes_name, dim in PACKED.values():
            if having := [vars(batch) for batch in batches if vars(batch)[name] is not None]:
                media[name] = torch.cat([fields[name] for fields in having], dim)
                media[sizes_name] = torch.cat([fields[sizes_name] for fields in having])
        return Batch(
            samples=[sample for batch in batches for sample in batch.samples],
            step=first.step,
            prompt_ids=torch.cat([batch.prompt_ids for batch in batches]),
            prompt_lens=[length for batch in batches for length in batch.prompt_lens],
            positions=torch.cat([batch.positions for batch in batches], dim=1),
            media=[kinds for batch in batches for kinds in batch.media],
            targets=[ids for part in targets for ids in part] if targets else None,
            views=views,
            **media,
        )

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """Move the tensors; the samples are shared."""
        moved = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device, non_blocking=non_blocking))
        moved.views = {name: view.to(device, non_blocking) for name, view in self.views.items()}
        return moved


@dataclass(kw_only=True)
class Completions:
    """N continuations of the prompts of a batch, padded on the right.

    A continuation may fork: a trunk, then branches from its end that do not see each other.
    """

    token_ids: Tensor
    """(N, T)"""

    lens: list[int]
    """Tokens of each without padding, the end token included where there is one."""

    owner: list[int]
    """Index of the prompt that each continues."""

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
        return Completions(token_ids=_padded(ids), lens=list(map(len, ids)), owner=list(owner))

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

    def select(self, rows: Sequence[int]) -> "Completions":
        """Take some rows, at least one, in the order given, as wide as the longest of them.

        Prompts that still have a row are renumbered in the order in which they appear.
        """
        chosen, lens = list(rows), [self.lens[row] for row in rows]
        left = list(dict.fromkeys(self.owner[row] for row in rows))
        return Completions(
            token_ids=self.token_ids[chosen, : max(lens)],
            lens=lens,
            owner=[left.index(self.owner[row]) for row in rows],
            branch=None if self.branch is None else self.branch[chosen, : max(lens)],
        )

    @staticmethod
    def concat(many: Sequence["Completions"]) -> "Completions":
        """Stack the rows of several; the last prompt of each must have a row."""
        starts = accumulate((max(one.owner) + 1 for one in many), initial=0)
        forks = any(one.branch is not None for one in many)
        branches = [
            torch.zeros_like(one.token_ids) if one.branch is None else one.branch for one in many
        ]
        return Completions(
            token_ids=_padded([row for one in many for row in one.token_ids]),
            lens=[length for one in many for length in one.lens],
            owner=[own + n for one, n in zip(many, starts, strict=False) for own in one.owner],
            branch=_padded([row for part in branches for row in part]) if forks else None,
        )

    def to(self, device: torch.device | str) -> "Completions":
        """Move the tensors."""
        branch = None if self.branch is None else self.branch.to(device)
        return replace(self, token_ids=self.token_ids.to(device), branch=branch)


@dataclass(frozen=True, kw_only=True)
class OptionScoring:
    """Every option of every question under several orders, laid out to be scored in one pass.

    The common beginning of the orders of a question is a prompt of the batch, with the media. Each
    order is one continuation: the rest of its prompt, then a branch for the answer that names each
    option. Where the options are media there is no common prompt, and each order has its own.
    """

    samples: Sequence[Sample]
    """The questions, as written."""

    batch: Batch
    completions: Completions

    question: list[int]
    """Index into `samples` of the question of each continuation. N"""

    options: list[tuple[int, ...]]
    """The options that the branches of each continuation name, numbered as written. N

    The continuations of a question stand in the order of their option seeds, from 0.
    """


def _padded(rows: Sequence[Sequence[int] | Tensor]) -> Tensor:
    """Pad rows on the right with 0. Shapes: N rows -> (N, T)"""
    tensors = [torch.as_tensor(row, dtype=torch.long) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True)


def _same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    """Tell whether two prompts are bitwise equal."""
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


def _taken(packed: Tensor, lens: Sequence[int], items: Sequence[int], *, dim: int = 0) -> Tensor:
    """Take some of the items that are concatenated along one dimension."""
    parts = packed.split(list(lens), dim)  # which look at the same memory
    return torch.cat([parts[item] for item in items], dim)
