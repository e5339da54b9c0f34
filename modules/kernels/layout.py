"""The layout of prompts and completions in one packed row, and its attention masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.kernels.segments import Segments


@dataclass(frozen=True, kw_only=True)
class GroupLayout:
    """A packed row `[prompt_1 | .. | prompt_B | completion_1 | .. | completion_N]`.

    Each prompt stands in the row once, however many completions continue it. A completion attends
    to its own prompt and to itself, never to a sibling, so every token sees exactly the keys it
    would see if its prompt were repeated for it; that is why the gradients are the same.

    A completion may itself fork, into a trunk and branches that attend to it and never to each
    other: one more level of the same tree.

    Rollout prefill is the case N = 0, supervised fine-tuning the case of one completion per prompt.

    Shapes: prompt_lens (B,); completion_lens, owner (N,); branch (N, T); S is the sum of all
    lengths.
    """

    prompt_lens: Tensor
    completion_lens: Tensor
    owner: Tensor
    """The prompt that each completion continues."""

    group_size: int | None
    """G where completions stand prompt by prompt, G for each; None where groups are ragged."""

    branch: Tensor | None
    """0 on trunks and padding, i on the i-th branch of a completion; None where none forks."""

    @staticmethod
    def build(
        prompt_lens: Sequence[int],
        completion_lens: Sequence[int] = (),
        owner: Sequence[int] = (),
        *,
        branch: Tensor | None = None,
        device: torch.device | str = "cpu",
    ) -> "GroupLayout":
        """Lay out B prompts and N completions; `owner[n]` is the prompt of completion n."""
        assert len(completion_lens) == len(owner), "each completion has one prompt"
        assert min((*prompt_lens, *completion_lens), default=1) > 0, "a row has tokens to attend"
        group_size, rest = divmod(len(owner), len(prompt_lens))
        regular = not rest and list(owner) == [n // max(group_size, 1) for n in range(len(owner))]
        return GroupLayout(
            prompt_lens=torch.tensor(prompt_lens, device=device),
            completion_lens=torch.tensor(completion_lens, dtype=torch.long, device=device),
            owner=torch.tensor(owner, dtype=torch.long, device=device),
            group_size=group_size if regular else None,
            branch=None if branch is None else branch.to(device),
        )

    @cached_property
    def prompt_valid(self) -> Tensor:
        """True on the real tokens of the prompts padded on the right. Shapes: (B, P)"""
        return _valid(self.prompt_lens)

    @cached_property
    def completion_valid(self) -> Tensor:
        """True on the real tokens of the completions padded on the right. Shapes: (N, T)"""
        return _valid(self.completion_lens)

    @cached_property
    def segments(self) -> Segments:
        """The same tree as segments of one attention call."""
        return Segments.build(
            self.prompt_lens.tolist(),
            self.completion_lens.tolist(),
            self.owner.tolist(),
            None if self.branch is None else self.branch.tolist(),
            device=self.owner.device,
        )

    @cached_property
    def prompt_places(self) -> Tensor:
        """Where in the padded prompts, row by row, the real tokens stand. (sum of prompt_lens,)"""
        return self.prompt_valid.flatten().nonzero().squeeze(1)

    @cached_property
    def completion_places(self) -> Tensor:
        """As `prompt_places`, of the completions. Shapes: (sum of completion_lens,)"""
        return self.completion_valid.flatten().nonzero().squeeze(1)

    @cached_property
    def prompt_index(self) -> Tensor:
        """Where in the row each prompt token lies; padding points anywhere. Shapes: (B, P)"""
        return _index(self.prompt_lens, self.prompt_valid, start=0)

    @cached_property
    def completion_index(self) -> Tensor:
        """Where in the row each completion token lies; padding points anywhere. Shapes: (N, T)"""
        start = int(self.prompt_lens.sum())
        return _index(self.completion_lens, self.completion_valid, start=start)

    @cached_property
    def last_prompt_token(self) -> Tensor:
        """Where in the row each prompt ends. Shapes: (B,)"""
        return self.prompt_lens.cumsum(0) - 1

    @cached_property
    def predictor(self) -> Tensor:
        """Where in the row the state lies that predicts each completion token, in packed order.

        The first token of a completion is predicted by the last token of its prompt, and so are
        the first tokens of its branches where it has no trunk; else by the trunk's last token.

        Shapes: -> (sum of completion_lens,)
        """
        before = self.completion_index - 1  # (N, T)
        if self.branch is not None:
            trunk_end = self.completion_index[:, :1] + self._trunk_lens.unsqueeze(1) - 1  # (N, 1)
            before = torch.where(self._branch_begins, trunk_end, before)
        own_prompt = self.last_prompt_token[self.owner].unsqueeze(1)  # (N, 1)
        return torch.where(self.depth == 0, own_prompt, before)[self.completion_valid]

    @cached_property
    def depth(self) -> Tensor:
        """Count the tokens between prompt and token, sibling branches left out. Shapes: (N, T)"""
        place = torch.arange(self.completion_valid.shape[1], device=self.owner.device)
        place = place.expand_as(self.completion_valid)
        if self.branch is None:
            return place
        begin = torch.where(self._branch_begins, place, 0).cummax(1).values  # (N, T)
        along = self._trunk_lens.unsqueeze(1) + place - begin
        return torch.where(self.branch > 0, along, place)

    @cached_property
    def _trunk_lens(self) -> Tensor:
        """Shapes: (N,)"""
        return ((self.branch == 0) & self.completion_valid).sum(1)

    @cached_property
    def _branch_begins(self) -> Tensor:
        """True on the first token of each branch. Shapes: (N, T)"""
        assert self.branch is not None
        changes = self.branch.diff(dim=1, prepend=torch.zeros_like(self.branch[:, :1])) != 0
        return changes & (self.branch > 0)

    @cached_property
    def completion_mask(self) -> Tensor:
        """Which of `[prompt | completion]` a completion token may attend. Shapes: (N, 1, T, P + T)

        Padding rows stay causal, so that no row of the softmax is empty.
        """
        width = self.completion_valid.shape[1]
        causal = torch.ones(width, width, dtype=torch.bool, device=self.owner.device).tril()
        prompt = self.prompt_valid[self.owner].unsqueeze(1).expand(-1, width, -1)  # (N, T, P)
        own = causal.expand(len(self.owner), -1, -1)  # (N, T, T)
        if self.branch is not None:
            own = own & _same_branch(self.branch)
        return torch.cat([prompt, own], dim=2).unsqueeze(1)  # (N, 1, T, P + T)

    @cached_property
    def dense_mask(self) -> Tensor:
        """The whole tree as one mask over the row, for the plain twin. Shapes: (1, 1, S, S)"""
        prompts, completions = len(self.prompt_lens), len(self.owner)
        device = self.owner.device
        lens = torch.cat([self.prompt_lens, self.completion_lens])
        block = torch.arange(prompts + completions, device=device).repeat_interleave(lens)  # (S,)
        prompt_of = torch.cat([torch.arange(prompts, device=device), self.owner])[block]  # (S,)
        order = torch.arange(len(block), device=device)
        same_block = block.unsqueeze(1) == block.unsqueeze(0)
        own_prompt = prompt_of.unsqueeze(1) == block.unsqueeze(0)
        earlier = order.unsqueeze(1) >= order.unsqueeze(0)
        if self.branch is not None:
            in_prompts = self.branch.new_zeros(int(self.prompt_lens.sum()))
            branch = torch.cat([in_prompts, self.branch[self.completion_valid]])  # (S,)
            same_block = same_block & _same_branch(branch)
        return ((same_block | own_prompt) & earlier)[None, None]

    def to_completions(self, per_prompt: Tensor) -> Tensor:
        """Give each completion its prompt's entry. Shapes: (B, ...) -> (N, ...)

        Regular groups expand, so that the backward pass is a plain sum over the group.
        """
        shape = per_prompt.shape
        if self.group_size is None:
            return look_up(per_prompt.flatten(1), self.owner).reshape(-1, *shape[1:])
        expanded = per_prompt.unsqueeze(1).expand(shape[0], self.group_size, *shape[1:])
        return expanded.reshape(-1, *shape[1:])

    def pad(self, packed: Tensor, where: Tensor | None = None) -> Tensor:
        """Unpack one value per completion token, or per token that is True in `where`; 0 elsewhere.

        Shapes: packed (sum of lens,), where (N, T) -> (N, T)
        """
        padded = packed.new_zeros(self.completion_valid.shape)
        return padded.masked_scatter(self.completion_valid if where is None else where, packed)


def look_up(rows: Tensor, index: Tensor) -> Tensor:
    """Take rows by number, some of them several times.

    `rows[index]` is the same forward, but its backward pass adds up what belongs to one row in
    whatever order the CPU's threads come by; that of an embedding has one order on every device.

    Shapes: rows (R, D), index (I,) -> (I, D)
    """
    return F.embedding(index, rows)


def _same_branch(branch: Tensor) -> Tensor:
    """Mask of the tokens that each may attend to by branch alone: the trunk, and its own branch.

    Shapes: (..., T) -> (..., T, T)
    """
    other = branch.unsqueeze(-2)
    return (other == 0) | (other == branch.unsqueeze(-1))


def _valid(lens: Tensor) -> Tensor:
    """Mark the first `lens[i]` places of row i. Shapes: (R,) -> (R, max of lens)"""
    width = int(lens.max()) if len(lens) else 0
    return torch.arange(width, device=lens.device) < lens.unsqueeze(1)


def _index(lens: Tensor, valid: Tensor, *, start: int) -> Tensor:
    """Number the places of a packed row, row by row. Shapes: (R,), (R, W) -> (R, W)

    Padding points at different places of the first row: a GPU adds up the gradients of one place
    one after the other, and thousands of paddings would wait for each other.
    """
    begins = lens.cumsum(0) - lens + start
    place = torch.arange(valid.shape[1], device=lens.device)
    return torch.where(valid, begins.unsqueeze(1) + place, start + place % lens[:1])
