"""The tokens of a policy: the end of a turn, which of them can be sampled, and their text."""

from collections.abc import Sequence
from functools import cached_property
from typing import final

import torch
from torch import Tensor


@final
class Vocabulary:
    """The tokens of a policy, by their tokenizer."""

    def __init__(self, tokenizer: object, *, end_token: str = "<|im_end|>") -> None:
        # transformers' tokenizers share no typed base across releases
        self.tokenizer: object = tokenizer
        tokens: dict[str, int] = tokenizer.get_vocab()  # type: ignore[attr-defined]
        if end_token not in tokens:
            raise ValueError(
                f"the tokenizer has no {end_token} among its {len(tokens)} tokens, which is what "
                "ends a turn: only models that chat in ChatML, as Qwen's do, can be opened."
            )
        self.end_id = tokens[end_token]
        self.size: int = len(tokenizer)  # type: ignore[arg-type]
        added = tokenizer.added_tokens_decoder  # type: ignore[attr-defined]
        self.special_ids: list[int] = sorted(id_ for id_, token in added.items() if token.special)

    @cached_property
    def samplable_tokens(self) -> dict[str, int]:
        """The tokens that can be sampled, with their ids."""
        tokens: dict[str, int] = self.tokenizer.get_vocab()  # type: ignore[attr-defined]
        never_sampled = {*self.special_ids} - {self.end_id}
        return {token: id_ for token, id_ in tokens.items() if id_ not in never_sampled}

    def require_same(self, teacher: "Vocabulary") -> None:
        """Raise where a teacher has other tokens, or the same ones under other ids.

        Special tokens may differ, which are never sampled: models of text have none for media.
        """
        own, other = self.samplable_tokens, teacher.samplable_tokens
        apart = own.items() ^ other.items() if own != other else ()
        if apart:
            token, id_ = min(apart, key=lambda pair: pair[1])
            raise ValueError(
                f"teacher and student share no vocabulary: {len(apart)} entries differ (first: "
                f"{token!r}, token {id_}). Distributions are compared token by token, so that "
                "every word must have the same id in both; choose a distill.teacher with the "
                "student's tokenizer."
            )

    def suppressed_mask(self, rows: int) -> Tensor:
        """Mark what can never be sampled: every special token but the end of the turn, and the
        rows of the head beyond the tokenizer's last word. Shapes: -> (V,)"""
        tokens: dict[str, int] = self.tokenizer.get_vocab()  # type: ignore[attr-defined]
        if max(tokens.values()) >= rows:
            raise ValueError(
                f"the tokenizer knows token {max(tokens.values())}, but the model has {rows} rows "
                "for tokens: both come from the same directory, as somebody saved them together."
            )
        mask = torch.zeros(rows, dtype=torch.bool)
        mask[self.special_ids] = True
        mask[self.size :] = True
        mask[self.end_id] = False
        return mask

    def text(self, ids: Sequence[int]) -> str:
        """Write token ids as text, special tokens left out."""
        decoded: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)  # type: ignore[attr-defined]
        return decoded
