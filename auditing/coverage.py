"""Count what was asked of each probe, and how it answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from configs.ablation import Condition, How
from datamodules.contribution import withholds
from datamodules.probe_scores import Scores, read_shards
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


def coverage(root: Path, key: str, scores: Scores, samples: Sequence[Sample]) -> list[Coverage]:
    """List the conditions that a probe was asked under; none if it knows none of these samples."""
    unparsed = _unparsed(root, key, samples)
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
                unparsed=unparsed[condition, how],
            )
        )
    return rows


def _unparsed(root: Path, key: str, samples: Sequence[Sample]) -> dict[tuple[str, str], float]:
    """Find the share of answers to these questions that could not be read, by condition.

    Rules need no such number, so `Scores` leaves it out. Answers that are in the cache twice count
    twice here.
    """
    columns = ("content_hash", "probe_key", "condition", "how", "n", "n_unparsed")
    _, table = read_shards(root, key, columns)
    hashes = [bytes.fromhex(sample.content_hash) for sample in samples]
    asked = pc.is_in(table["content_hash"], value_set=pa.array(hashes, pa.binary(16)))
    sums = table.filter(asked).group_by(["condition", "how"])
    rows = sums.aggregate([("n", "sum"), ("n_unparsed", "sum")]).to_pylist()
    return {(row["condition"], row["how"]): row["n_unparsed_sum"] / row["n_sum"] for row in rows}
