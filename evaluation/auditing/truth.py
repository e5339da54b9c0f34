"""Check a rule against what questions are known to need.

A rule makes two claims: `strong` says that a question needs what was withheld, `weak` that it can
be answered without. A rule that leaves hard questions undecided should not look better for it, so
recall is given over all questions that it applies to, and separately over those it decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.statistics.intervals import Interval, combined, mean_interval

APPLICABLE = ("strong", "weak", "undetermined")
"""Bands of the questions that a rule applies to."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One rule against the truth, over the questions that it applies to."""

    table: Mapping[str, Mapping[str, int]]
    """Questions by truth (`needs` what was withheld, or `answerable` without) and band."""

    decided: Interval
    """Share of the questions that the rule called strong or weak."""

    strong_precision: Interval
    weak_precision: Interval
    strong_recall: Interval
    """Undetermined questions count as missed, here and in `weak_recall` and `balanced`."""

    weak_recall: Interval
    balanced: Interval
    """Mean of the two recalls: 50 percent is a coin."""

    strong_recall_decided: Interval
    weak_recall_decided: Interval
    balanced_decided: Interval


def check(
    bands: NDArray[np.str_], needs: NDArray[np.bool_], cluster: Sequence[str], *, confidence: float
) -> Check:
    """Measure precision and recall of a rule, over the questions that it applies to.

    Args:
        needs: the truth: whether a question needs what the rule's condition withholds.
        cluster: what each question is about, such as its sample's `asset_id`.
    """
    applies = np.isin(bands, APPLICABLE)
    bands, needs = bands[applies], needs[applies]
    clusters = np.asarray(cluster, dtype=np.str_)[applies]
    strong, weak = bands == "strong", bands == "weak"
    decided = strong | weak

    def share(right: NDArray[np.bool_], among: NDArray[np.bool_]) -> Interval:
        return mean_interval(right[among], clusters[among], confidence=confidence)

    strong_recall, weak_recall = share(strong, needs), share(weak, ~needs)
    strong_decided, weak_decided = share(strong, needs & decided), share(weak, ~needs & decided)
    return Check(
        table={
            name: {band: int(((bands == band) & rows).sum()) for band in APPLICABLE}
            for name, rows in (("needs", needs), ("answerable", ~needs))
        },
        decided=share(decided, np.ones_like(decided)),
        strong_precision=share(needs, strong),
        weak_precision=share(~needs, weak),
        strong_recall=strong_recall,
        weak_recall=weak_recall,
        balanced=combined((strong_recall, weak_recall), (1, 1)),
        strong_recall_decided=strong_decided,
        weak_recall_decided=weak_decided,
        balanced_decided=combined((strong_decided, weak_decided), (1, 1)),
    )
