"""Recognize preference data, whose worse answers must not be imitated, and refuse them."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.hints import is_empty, words_of

BETTER_AND_WORSE = frozenset(("chosen", "rejected", "kto"))
"""Words in field names of pairs: `chosen`, `rejected_response`, `kto_tag`."""

SCORES = frozenset(("score", "reward", "preference", "rating"))
TALK = frozenset(
    ("messages", "conversations", "instruction", "prompt", "completion", "response", "output")
)


def preference_in(row: Mapping[str, object]) -> str | None:
    """Return the field that ranks answers: of pairs, or a label of a completion."""
    for name, value in row.items():
        kind = _kind_of(name)
        if kind is None or is_empty(value):
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        truth = isinstance(value, bool) or str(value).lower() in ("true", "false")
        talk = not TALK.isdisjoint(row)
        if kind == "pair" or (truth and kind == "label") or (talk and (number or truth)):
            return name
    return None


@lru_cache(maxsize=4096)
def _kind_of(name: str) -> Literal["pair", "label", "score"] | None:
    words = {*words_of(name)}
    if words & BETTER_AND_WORSE:
        return "pair"
    if words == {"label"}:
        return "label"
    return "score" if words and words <= SCORES else None


def why_refused(name: str) -> str:
    """Return the reason why preference data are refused, with the way out."""
    return (
        f"{name!r} says which answers are better and worse, but preference data are not imitated "
        "here, since the worse would be learned like the better: keep the better ones alone, as a "
        "chat without this field."
    )


def refuse_preferences(row: Mapping[str, object]) -> None:
    """Raise a `RowError` if a row ranks answers."""
    name = preference_in(row)
    if name is not None:
        raise RowError("preference", why_refused(name))
