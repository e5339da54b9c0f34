"""Find completions that are too long to imitate before training begins.

A completion is never truncated: a model would learn to stop there. Which ones are too long is known
once the questions are read, and does not wait for the step that meets the first.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from configs.inputs import Task
from datamodules.loading.streams import QuestionPool
from datamodules.media.files import MediaError
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.orders import arrange_options
from datamodules.sample import Sample

log = logging.getLogger(__name__)

AROUND = len("<answer></answer>") + 3
"""Bytes and tokens around an answer: its tags, the end of the turn, a space ahead."""


@final
@dataclass(frozen=True, kw_only=True)
class LengthLimit:
    """The longest completion that is imitated, and what is done with longer ones."""

    tokens: int
    """End token included."""

    setting: str
    """The setting that the limit comes from."""

    beyond: Literal["refuse", "skip"] = "refuse"


def find_too_long(
    samples: Sequence[Sample], places: Iterable[int], encoder: PromptEncoder, task: Task, most: int
) -> dict[int, int]:
    """Find the places whose completion has more than `most` tokens, with their number of tokens.

    A token is at least a byte, so short texts fit by their length alone; only the others are
    tokenized, which takes a minute for a million of them.
    """
    found: dict[int, int] = {}
    for place in places:
        sample = samples[place]
        texts = (sample.completion or "", sample.evidence or "", sample.answer, *sample.options)
        if max(len(text.encode()) for text in texts) + AROUND <= most:
            continue
        try:
            named = arrange_options(sample, option_seed=0, answer_with=encoder.answer_with)
            count = len(encoder.target(named, task))
        except MediaError:  # it cannot be imitated: the quarantine says so when it is read
            continue
        if count > most:
            found[int(place)] = count
    return found


def enforce_limit(
    found: Mapping[int, int], samples: Sequence[Sample], asked: int, rule: LengthLimit
) -> None:
    """Refuse completions that are too long, or log how many are left out."""
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


def drop_places(pool: QuestionPool, found: Mapping[int, int]) -> QuestionPool:
    """Remove the places of too long completions from a pool."""
    kept: NDArray[np.bool_] = ~np.isin(pool.places, [*found])
    weights = None if pool.weights is None else pool.weights[kept]
    return QuestionPool(places=pool.places[kept], weights=weights)
