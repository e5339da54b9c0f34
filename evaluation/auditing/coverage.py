"""Count the questions and answers of each probe."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import get_args

import numpy as np

from configs.ablation import Condition, Replacement
from datamodules.conditions import withholds
from datamodules.contribution.probe_scores import Scores
from datamodules.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """One probe under one condition."""

    key: str
    condition: Condition
    how: Replacement
    asked: int
    """Questions with an answer."""

    wanted: int
    """Questions that the condition withholds something from."""

    answers: int
    orders: int
    """Orders of the options that any question was asked in."""

    right: float
    """Share of the answers; so is `unparsed`."""

    unparsed: float


def coverage(key: str, scores: Scores, samples: Sequence[Sample]) -> list[Coverage]:
    """List the conditions that a probe was asked under, over these samples."""
    rows = []
    for condition, how in product(get_args(Condition), get_args(Replacement)):
        counts = scores.counts(condition, how)
        answers = int(counts.n.sum())
        if not answers:
            continue
        affected = np.array([withholds(sample.media, condition, how) for sample in samples])
        rows.append(
            Coverage(
                key=key,
                condition=condition,
                how=how,
                asked=int(((counts.n > 0) & affected).sum()),
                wanted=int(affected.sum()),
                answers=answers,
                orders=next(
                    order for order in count() if not scores.done(condition, how, order).any()
                ),
                right=int(counts.n_correct.sum()) / answers,
                unparsed=int(scores.unparsed(condition, how).sum()) / answers,
            )
        )
    return rows
