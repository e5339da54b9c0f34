"""Segments of a packed row for one attention call of variable lengths."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise

import torch
from torch import Tensor

Span = tuple[int, int]
"""Begin and end of tokens that stand together in a row."""


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Who attends to what in a packed row: a segment of queries for each prompt, completion, or
    branch of one.

    The queries of all segments, one after the other, are the row itself. A prompt's keys are its
    own tokens; those of a completion are its prompt and itself, and those of a branch its prompt,
    its trunk and itself. Causal, aligned at the end: the last query sees all keys of its segment,
    and each one before it sees one less.
    """

    query_lens: tuple[int, ...]
    key_lens: tuple[int, ...]

    key_index: Tensor
    """Where in the row the keys lie, segment by segment. (sum of key_lens,)"""

    query_ends: Tensor
    """Sums of the first 0, 1, .. lengths, int32, as kernels take them. (segments + 1,)"""

    key_ends: Tensor

    @staticmethod
    def build(
        prompt_lens: Sequence[int],
        completion_lens: Sequence[int],
        owner: Sequence[int],
        branch: Sequence[Sequence[int]] | None,
        *,
        device: torch.device,
    ) -> "Segments":
        """Lay out the segments of a row, see `GroupLayout`; all of it is counted on the CPU."""
        prompts = _spans(prompt_lens, 0)
        seen: list[list[Span]] = [[span] for span in prompts]
        queries = list(prompts)
        for number, span in enumerate(_spans(completion_lens, sum(prompt_lens))):
            runs = [span] if branch is None else _runs(branch[number], span)
            trunk = runs[:1] if branch is not None and branch[number][0] == 0 else []
            for run in runs:
                before = [] if run in trunk else trunk
                queries.append(run)
                seen.append([prompts[owner[number]], *before, run])
        query_lens = tuple(end - begin for begin, end in queries)
        key_lens = tuple(sum(end - begin for begin, end in spans) for spans in seen)
        index = [torch.arange(begin, end) for spans in seen for begin, end in spans]
        return Segments(
            query_lens=query_lens,
            key_lens=key_lens,
            key_index=torch.cat(index).to(device),
            query_ends=_ends(query_lens).to(device),
            key_ends=_ends(key_lens).to(device),
        )


def _spans(lens: Sequence[int], start: int) -> list[Span]:
    """Place pieces one after the other."""
    ends = list(accumulate(lens, initial=start))
    return list(pairwise(ends))


def _runs(branch: Sequence[int], span: Span) -> list[Span]:
    """Cut a completion into its trunk, if it has one, and its branches."""
    begin, end = span
    lens = [len(list(run)) for _, run in groupby(branch[: end - begin])]
    return _spans(lens, begin)


def _ends(lens: Sequence[int]) -> Tensor:
    return torch.tensor(list(accumulate(lens, initial=0)), dtype=torch.int32)
