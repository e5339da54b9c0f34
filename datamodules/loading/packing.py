"""Repack the prompts of one step into as few micro-batches as a token budget allows."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from datamodules.batch import Batch


class _Item(NamedTuple):
    """One prompt and its cost in tokens."""

    batch: int
    prompt: int
    tokens: int


def pack_batches(batches: Sequence[Batch], *, budget: int) -> list[Batch]:
    """Pack all prompts of a list into few micro-batches of similar size, of at most `budget`
    tokens.

    A prompt costs its tokens and those of its target. Nothing is padded and samples do not attend
    to each other, so packing affects memory and time, never a gradient. Prompts keep their order
    within each micro-batch.
    """
    items = [
        _Item(b, p, length + (len(batch.targets[p]) if batch.targets else 0))
        for b, batch in enumerate(batches)
        for p, length in enumerate(batch.prompt_lens)
    ]
    longest = max(items, key=lambda item: item.tokens)
    if longest.tokens > budget:
        sample = batches[longest.batch].samples[longest.prompt]
        raise ValueError(
            f"{sample.id} has {longest.tokens} tokens with its target, but a whole micro-batch may "
            f"have sft.pack_tokens={budget}, and no prompt is cut: raise sft.pack_tokens, or show "
            "less with data.media."
        )
    ordered = sorted(items, key=lambda item: -item.tokens)  # stable: ties keep their order
    fitted = _first_fit(ordered, budget)
    even = _least_loaded(ordered, len(fitted))
    fits = max(map(_load, even)) <= budget
    return [_concat_pack(batches, pack) for pack in (even if fits else fitted)]


def _first_fit(items: Sequence[_Item], budget: int) -> list[list[_Item]]:
    """Put each item into the first pack with room; by falling size, at most 2/9 more packs than
    needed."""
    packs: list[list[_Item]] = []
    for item in items:
        room = (pack for pack in packs if _load(pack) + item.tokens <= budget)
        if (pack := next(room, None)) is None:
            packs.append(pack := [])
        pack.append(item)
    return packs


def _least_loaded(items: Sequence[_Item], count: int) -> list[list[_Item]]:
    """Put each item into the pack that holds least so far."""
    packs: list[list[_Item]] = [[] for _ in range(count)]
    for item in items:
        min(packs, key=_load).append(item)
    return packs


def _load(pack: Sequence[_Item]) -> int:
    return sum(item.tokens for item in pack)


def _concat_pack(batches: Sequence[Batch], pack: Sequence[_Item]) -> Batch:
    """Take the prompts of one pack out of their batches."""
    parts = groupby(sorted(pack), key=lambda item: item.batch)
    return Batch.concat([batches[b].select([item.prompt for item in part]) for b, part in parts])
