"""Count what was asked of each probe, and how it answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, product
from typing import get_args

import numpy as np

from configs.ablation import Condition, How
from datamodules.conditions import withholds
from datamodules.contribution.probe_scores import Scores
from datamodules.sample import Sample


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """One probe under one condition."""

    key: str
    condition: Condition
    how: How
    asked: int
    """Questions with an answer."""

    wanted: int
    """Questions that the condition takes something from."""

    answers: int
    orders: int
    """Orders of the options that were asked of any question."""

    right: float
    """Share of the answers, as is `unparsed`."""

    unparsed: float


def coverage(key: str, scores: Scores, samples: Sequence[Sample]) -> list[Coverage]:
    """List the conditions that a probe was asked under; none if it knows none of these samples."""
    rows = []
    for condition, how in product(get_args(Condition), get_args(How)):
        counts = scores.counts(condition, how)
        answers = int(counts.n.sum())
        if not answers:
            continue
        touched = np.array([withholds(sample.media, condition, how) for sample in samples])
        rows.append(
            Coverage(
                key=key,
                condition=condition,
                how=how,
                asked=int(((counts.n > 0) & touched).sum()),
                wanted=int(touched.sum()),
                answers=answers,
                orders=next(
                    order for order in count() if not scores.done(condition, how, order).any()
                ),
                right=int(counts.n_correct.sum()) / answers,
                unparsed=int(scores.unparsed(condition, how).sum()) / answers,
            )
        )
    return rows
