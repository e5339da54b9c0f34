"""Completions that are longer than what may be imitated, found before a run learns from any.

A completion is never cut: a model would learn to stop there. Which ones are too long is known as
soon as the questions are, and is not left to the step that meets the first.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from configs.inputs import Task
from datamodules.loading.streams import Pool
from datamodules.media.files import MediaError
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.orders import put
from datamodules.sample import Sample

log = logging.getLogger(__name__)

AROUND = len("<answer></answer>") + 3
"""Bytes and tokens that stand around an answer: its marks, the end of the turn, a space ahead."""


@final
@dataclass(frozen=True, kw_only=True)
class Longest:
    """How long completions may be, and what becomes of longer ones."""

    tokens: int
    """With the one that ends the turn."""

    setting: str
    """Where that is said."""

    beyond: Literal["refuse", "skip"] = "refuse"


def too_long(
    samples: Sequence[Sample], places: Iterable[int], encoder: PromptEncoder, want: Task, most: int
) -> dict[int, int]:
    """Find the places whose completion has more tokens than `most`, with how many.

    A token stands for a byte at least, so that short texts are known to fit by their length alone;
    only the others are tokenized, which takes the tokenizer a minute for a million of them.
    """
    found: dict[int, int] = {}
    for place in places:
        sample = samples[place]
        texts = (sample.completion or "", sample.evidence or "", sample.answer, *sample.options)
        if max(len(text.encode()) for text in texts) + AROUND <= most:
            continue
        try:
            named = put(sample, option_seed=0, answer_with=encoder.answer_with)
            count = len(encoder.target(named, want))
        except MediaError:  # it cannot be imitated: the quarantine says so when it is read
            continue
        if count > most:
            found[int(place)] = count
    return found


def judged(found: Mapping[int, int], samples: Sequence[Sample], asked: int, rule: Longest) -> None:
    """Refuse what is too long, or say how much of it is left out."""
    if not found:
        return
    first, count = next(iter(found.items()))
    told = (
        f"{len(found)} of {asked} completions are longer than {rule.setting}={rule.tokens} tokens "
        f"(the first: {samples[first].id} with {count}; the longest: {max(found.values())})"
    )
    if rule.beyond == "skip" and len(found) < asked:
        log.warning("%s, and are left out, as sft.too_long=skip says", told)
        return
    instead = "" if rule.beyond == "skip" else ", or leave them out with sft.too_long=skip"
    raise ValueError(
        f"{told}, and a completion is never cut, as a model would learn to stop there: set "
        f"{rule.setting}={max(found.values())}{instead}."
    )


def without(pool: Pool, found: Mapping[int, int]) -> Pool:
    """Take the places of what is too long out of a pool."""
    kept: NDArray[np.bool_] = ~np.isin(pool.places, [*found])
    weights = None if pool.weights is None else pool.weights[kept]
    return Pool(places=pool.places[kept], weights=weights)
