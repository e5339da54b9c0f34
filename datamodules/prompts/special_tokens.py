"""Keep what rows say apart from the tokens that frame a chat and stand for media.

A text that holds one could end its own turn, open another, or name a medium that is not there. Here
is the one list of what a row says, for models in this process and behind an endpoint.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, final

from datamodules.media.files import MediaError
from datamodules.sample import Sample
from pretrained.spelling import Unspelled, spelling

Spells = Callable[..., Any]  # Any: what tokenizers of transformers return has no type

FRAME = r"<\|[^<>|\s]{1,40}\|>"
TOKEN = re.compile(FRAME)
"""How nearly all models write such tokens; those of other families are refused as well, since a
question that holds one lost it from its own chat."""

LONGEST = 1_000
"""Characters that a token has at most, far more than any has."""


@final
class SpecialTokens:
    """The tokens that no text of a row may hold."""

    def __init__(self, tokens: Iterable[str] = ()) -> None:
        """Take a model's own; without any, those that look like one are known all the same."""
        odd = {token for token in tokens if token and not TOKEN.fullmatch(token)}
        named = sorted(odd, key=len, reverse=True)
        self._pattern = re.compile("|".join((FRAME, *map(re.escape, named))))

    def first(self, text: str) -> str | None:
        """Find the first in a text; None where there is none."""
        found = self._pattern.search(text)
        return found[0] if found else None

    def without(self, text: str) -> str:
        """Take them out of a text, also those that come to be when others are taken out."""
        begin = 0
        while found := self._pattern.search(text, begin):
            text = text[: found.start()] + text[found.end() :]
            begin = max(0, found.start() - LONGEST)
        return text

    def refuse(self, sample: Sample, more: Sequence[str] = ()) -> None:
        """Set a sample aside, like a file that cannot be shown, where what it says holds one.

        Args:
            more: what else is put into its prompt, as descriptions of its media.
        """
        for text in (*said_by(sample), *more):
            if (found := self.first(text)) is not None:
                raise held(sample.id, found)

    def cleared(self, sample: Sample) -> Sample:
        """Take them out of all that a sample says, for a model that it was not checked for."""
        return replace(
            sample,
            question=self.without(sample.question),
            answer=self.without(sample.answer),
            completion=self.without(sample.completion),
            evidence=self.without(sample.evidence),
            options=tuple(map(self.without, sample.options)),
            media=tuple(replace(one, text=self.without(one.text)) for one in sample.media),
        )


def said_by(sample: Sample) -> Sequence[str]:
    """List the texts of a sample that a model reads, imitates or is judged by."""
    media = (item.text for item in sample.media)
    own = (sample.question, sample.answer, sample.completion, sample.evidence)
    return (*own, *sample.options, *media)


def spelled(tokenizer: Spells, text: str, whose: str) -> list[int]:
    """Make tokens of a text; of one that the tokenizer gives up over, one bad row."""
    try:
        with spelling(whose):
            return tokenizer(text, add_special_tokens=False)["input_ids"]
    except Unspelled as error:
        raise MediaError(str(error), kind="malformed", path=whose) from error


def held(sample_id: str, token: str) -> MediaError:
    """Say that a question holds a token that it must not."""
    return MediaError(
        f"{sample_id} holds {token!r}, but question, options, answer, completion, evidence and "
        "descriptions may not contain special tokens of the model: reword it, or leave it out.",
        kind="malformed",
        path=sample_id,
    )
