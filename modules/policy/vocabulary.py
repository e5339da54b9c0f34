"""What a policy needs of its tokenizer."""

from collections.abc import Sequence
from functools import cached_property
from typing import final

import torch
from torch import Tensor


@final
class Vocabulary:
    """Knows where turns end, what may be said, and how it reads."""

    def __init__(self, tokenizer: object, *, end_token: str = "<|im_end|>") -> None:
        # transformers' tokenizers share no typed base across releases
        self.tokenizer: object = tokenizer
        words: dict[str, int] = tokenizer.get_vocab()  # type: ignore[attr-defined]
        if end_token not in words:
            raise ValueError(
                f"the tokenizer has no {end_token} among its {len(words)} tokens, which is what "
                "ends a turn: only models that chat in ChatML, as Qwen's do, can be opened."
            )
        self.end_id = words[end_token]
        self.size: int = len(tokenizer)  # type: ignore[arg-type]
        added = tokenizer.added_tokens_decoder  # type: ignore[attr-defined]
        self.special_ids: list[int] = sorted(id_ for id_, token in added.items() if token.special)

    @cached_property
    def words(self) -> dict[str, int]:
        """What may be said, with its ids."""
        words: dict[str, int] = self.tokenizer.get_vocab()  # type: ignore[attr-defined]
        silent = {*self.special_ids} - {self.end_id}
        return {word: id_ for word, id_ in words.items() if id_ not in silent}

    def require_same(self, teacher: "Vocabulary") -> None:
        """Refuse a teacher that says other words, or the same ones by other ids.

        Special tokens may differ, which are never said: models of text alone have none for media.
        """
        apart = self.words.items() ^ teacher.words.items() if self.words != teacher.words else ()
        if apart:
            word, id_ = min(apart, key=lambda pair: pair[1])
            raise ValueError(
                f"teacher and student share no vocabulary: {len(apart)} entries differ (first: "
                f"{word!r}, token {id_}). Distributions are compared token by token, so that every "
                "word must have the same id in both; choose a distill.teacher with the student's "
                "tokenizer."
            )

    def banned(self, rows: int) -> Tensor:
        """Mark what can never be sampled: every special token but the end of the turn, and the
        rows of the head beyond the tokenizer's last word. Shapes: -> (V,)"""
        words: dict[str, int] = self.tokenizer.get_vocab()  # type: ignore[attr-defined]
        if max(words.values()) >= rows:
            raise ValueError(
                f"the tokenizer knows token {max(words.values())}, but the model has {rows} rows "
                "for tokens: both come from the same directory, as somebody saved them together."
            )
        banned = torch.zeros(rows, dtype=torch.bool)
        banned[self.special_ids] = True
        banned[self.size :] = True
        banned[self.end_id] = False
        return banned

    def text(self, ids: Sequence[int]) -> str:
        """Write token ids as text, special tokens left out."""
        decoded: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)  # type: ignore[attr-defined]
        return decoded
