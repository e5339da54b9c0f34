"""Keep special tokens, which frame a chat and stand for media, out of texts from rows.

Such a text could end its own turn, open another, or name a medium that is not there. Both local
models and API endpoints take the list of a row's texts from here.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, final

from datamodules.media.files import MediaError
from datamodules.sample import Sample
from pretrained.spelling import Unspelled, spelling

Tokenizer = Callable[..., Any]  # Any: what tokenizers of transformers return has no type

FRAME = r"<\|[^<>|\s]{1,40}\|>"
TOKEN = re.compile(FRAME)
"""How nearly all models write special tokens; those of other model families are refused as well,
since a question that holds one got it by mistake from its own chat."""

LONGEST = 1_000
"""Longest special token in characters, far longer than any in use."""


@final
class SpecialTokens:
    """The special tokens that no text of a row may hold."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Take a model's own; without any, those that look like one are still found."""
        odd = {token for token in tokens if token and not TOKEN.fullmatch(token)}
        named = sorted(odd, key=len, reverse=True)
        self._pattern = re.compile("|".join((FRAME, *map(re.escape, named))))

    def first(self, text: str) -> str | None:
        """Return the first in a text; None where there is none."""
        found = self._pattern.search(text)
        return found[0] if found else None

    def without(self, text: str) -> str:
        """Remove them from a text, also those that only appear once others are removed."""
        begin = 0
        while found := self._pattern.search(text, begin):
            text = text[: found.start()] + text[found.end() :]
            begin = max(0, found.start() - LONGEST)
        return text

    def refuse(self, sample: Sample, more: Sequence[str] = ()) -> None:
        """Raise a `MediaError` where a text of the sample holds one.

        Args:
            more: other texts of its prompt, such as descriptions of its media.
        """
        for text in (*texts_of(sample), *more):
            if (found := self.first(text)) is not None:
                raise special_token_error(sample.id, found)

    def cleared(self, sample: Sample) -> Sample:
        """Remove them from all texts of a sample, for a model that it was not checked for."""
        return replace(
            sample,
            question=self.without(sample.question),
            answer=self.without(sample.answer),
            completion=self.without(sample.completion),
            evidence=self.without(sample.evidence),
            options=tuple(map(self.without, sample.options)),
            media=tuple(replace(one, text=self.without(one.text)) for one in sample.media),
        )


def texts_of(sample: Sample) -> Sequence[str]:
    """List the texts of a sample that a model reads, imitates or is judged by."""
    media = (item.text for item in sample.media)
    own = (sample.question, sample.answer, sample.completion, sample.evidence)
    return (*own, *sample.options, *media)


def tokenize(tokenizer: Tokenizer, text: str, whose: str) -> list[int]:
    """Tokenize a text; where the tokenizer fails on it, raise a `MediaError`."""
    try:
        with spelling(whose):
            return tokenizer(text, add_special_tokens=False)["input_ids"]
    except Unspelled as error:
        raise MediaError(str(error), kind="malformed", path=whose) from error


def special_token_error(sample_id: str, token: str) -> MediaError:
    """Make the error for a question that holds a special token."""
    return MediaError(
        f"{sample_id} holds {token!r}, but question, options, answer, completion, evidence and "
        "descriptions may not contain special tokens of the model: reword it, or leave it out.",
        kind="malformed",
        path=sample_id,
    )
