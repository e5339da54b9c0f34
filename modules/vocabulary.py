"""What a policy needs of its tokenizer."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor


@final
class Vocabulary:
    """Knows where turns end, what may be said, and how it reads."""

    def __init__(self, tokenizer: object, *, end_token: str = "<|im_end|>") -> None:
        # transformers' tokenizers share no typed base across releases
        self.tokenizer: object = tokenizer
        convert = tokenizer.convert_tokens_to_ids  # type: ignore[attr-defined]
        self.end_id: int = convert(end_token)
        self.size: int = len(tokenizer)  # type: ignore[arg-type]
        added = tokenizer.added_tokens_decoder  # type: ignore[attr-defined]
        self.special_ids: list[int] = sorted(id_ for id_, token in added.items() if token.special)

    def banned(self, rows: int) -> Tensor:
        """Mark what can never be sampled: every special token but the end of the turn, and the
        rows of the head beyond the tokenizer's last word. Shapes: -> (V,)"""
        banned = torch.zeros(rows, dtype=torch.bool)
        banned[self.special_ids] = True
        banned[self.size :] = True
        banned[self.end_id] = False
        return banned

    def text(self, ids: Sequence[int]) -> str:
        """Write token ids as text, special tokens left out."""
        decoded: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)  # type: ignore[attr-defined]
        return decoded
