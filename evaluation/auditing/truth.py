"""Compare rules with each other, and with what questions are known to need.

Where nobody wrote the truth down, rules can only agree or differ. Where somebody did, a rule makes
two claims that can be wrong: `strong` says that a question needs what was withheld, `weak` that it
can be answered without. A rule that is silent on hard questions should not look better for it, so
recall is given over all questions that it judged, and apart from that over those it decided.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from configs.ablation import LEFT, Condition, Part
from evaluation.statistics.intervals import Interval
from untrusted.json_text import json_of

ENOUGH: Mapping[str, tuple[frozenset[Part], ...]] = {
    "text": (frozenset({"text"}),),
    "audio": (frozenset({"audio", "text"}),),
    "visual": (frozenset({"visual", "text"}),),
    "both": (frozenset({"audio", "visual", "text"}),),
    "either": (frozenset({"audio", "text"}), frozenset({"visual", "text"})),
}
"""By the `evidence` of a truth file: the sets of which any one suffices for an answer."""

JUDGED = ("strong", "weak", "undetermined")
"""Bands in which a rule says something about a question, if only that it cannot tell."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One rule against the truth, over the questions that it judged."""

    table: Mapping[str, Mapping[str, int]]
    """Questions by truth (`needs` what was withheld, or `answerable` without) and band."""

    decided: Interval
    """Share of the questions that the rule called strong or weak."""

    strong_precision: Interval
    weak_precision: Interval
    strong_recall: Interval
    """Undetermined questions count as not found, here and in `weak_recall` and `balanced`."""

    weak_recall: Interval
    balanced: Interval
    """Mean of the two recalls: 50 percent is a coin."""

    strong_recall_decided: Interval
    weak_recall_decided: Interval
    balanced_decided: Interval


def known_fields(root: Path, split: str, fields: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read what was written about the questions of manifests that are joined by `+`."""
    return {
        id_: row
        for name in split.split("+")
        for id_, row in read_fields(root / "truth" / f"{name}.jsonl", fields).items()
    }


def read_fields(file: Path, fields: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read what was written about questions, by their ids; empty where there is no such file."""
    wanted = {"id", *fields}
    lines = file.read_bytes().splitlines() if file.exists() else []  # of bytes: at newlines alone
    truth = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json_of(line)
            lacking = sorted(wanted - row.keys())
        except (ValueError, AttributeError) as error:
            raise ValueError(
                f"{file}:{number} is no object of JSON ({error}), but each line of a truth file "
                "is: mend it."
            ) from error
        if lacking:
            raise ValueError(
                f"{file}:{number} has no {lacking[0]!r}, but every row of a truth file names "
                f"{', '.join(sorted(wanted))}: add it, or choose another group_by."
            )
        truth[row["id"]] = row
    return truth


def read_truth(file: Path, fields: Sequence[str] = ("evidence",)) -> dict[str, dict[str, str]]:
    """Read what questions are known to need, in words that rules can be held against."""
    truth = read_fields(file, fields)
    for id_, row in truth.items():
        if row["evidence"] not in ENOUGH:
            raise ValueError(
                f"{file}: {id_!r} has evidence {row['evidence']!r}, but evidence says what an "
                f"answer needs: choose from {', '.join(ENOUGH)}."
            )
    return truth


def answerable(evidence: str, condition: Condition) -> bool:
    """Whether what a condition leaves is enough for an answer."""
    return any(parts <= LEFT[condition] for parts in ENOUGH[evidence])


def check(
    bands: NDArray[np.str_],
    needs: NDArray[np.bool_],
    cluster: Sequence[str],
    *,
    confidence: float,
) -> Check:
    """Count where a rule is right; questions that it does not judge are left out.

    Args:
        needs: the truth: whether a question needs what the rule's condition withholds.
        cluster: what each question is about, such as its sample's `asset_id`.
    """
    judged = np.isin(bands, JUDGED)
    bands, needs = bands[judged], needs[judged]
    clusters = np.asarray(cluster, dtype=np.str_)[judged]
    strong, weak = bands == "strong", bands == "weak"
    decided = strong | weak

    def share(right: NDArray[np.bool_], among: NDArray[np.bool_]) -> Interval:
        return clustered_share(right[among], clusters[among], confidence=confidence)

    strong_recall, weak_recall = share(strong, needs), share(weak, ~needs)
    strong_decided, weak_decided = share(strong, needs & decided), share(weak, ~needs & decided)
    return Check(
        table={
            name: {band: int(((bands == band) & rows).sum()) for band in JUDGED}
            for name, rows in (("needs", needs), ("answerable", ~needs))
        },
        decided=share(decided, np.ones_like(decided)),
        strong_precision=share(needs, strong),
        weak_precision=share(~needs, weak),
        strong_recall=strong_recall,
        weak_recall=weak_recall,
        balanced=halfway(strong_recall, weak_recall),
        strong_recall_decided=strong_decided,
        weak_recall_decided=weak_decided,
        balanced_decided=halfway(strong_decided, weak_decided),
    )


def clustered_share(
    right: NDArray[np.bool_], cluster: NDArray[np.str_] | Sequence[str], *, confidence: float
) -> Interval:
    """Estimate a share with Wilson's interval, for as many questions as the clusters are worth.

        low, high = (p + z^2/2m -+ z sqrt(p (1 - p)/m + z^2/4m^2)) / (1 + z^2/m)
        m         = p (1 - p) / V,  at most n
        V         = C/(C - 1) * Σ_c (Σ_{i in c} (right_i - p))^2 / n^2

    Resampling would claim to be certain of a share of 0 or 1, and recalls come close; there, the
    questions about one asset count as one: m = C. C clusters, n questions (Korn and Graubard 1998).
    """
    names, member = np.unique(np.asarray(cluster, dtype=np.str_), return_inverse=True)
    n, clusters = len(right), len(names)
    p = float(right.mean()) if n else math.nan
    if clusters < 2:
        return Interval(mean=p, low=math.nan, high=math.nan, n=n, clusters=clusters)
    excess = np.bincount(member, right - p)
    variance = clusters / (clusters - 1) * float(excess @ excess) / n**2
    worth: float = clusters
    if 0 < p < 1:
        worth = min(n, p * (1 - p) / variance) if variance else n
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    center = p + z**2 / (2 * worth)
    half = z * math.sqrt(p * (1 - p) / worth + z**2 / (4 * worth**2))
    scale = 1 + z**2 / worth
    low, high = max(0.0, (center - half) / scale), min(1.0, (center + half) / scale)
    return Interval(mean=p, low=low, high=high, n=n, clusters=clusters)


def halfway(a: Interval, b: Interval) -> Interval:
    """Average two shares of different questions; their distances to the bounds add as squares."""
    mean = (a.mean + b.mean) / 2
    return Interval(
        mean=mean,
        low=mean - math.hypot(a.mean - a.low, b.mean - b.low) / 2,
        high=mean + math.hypot(a.high - a.mean, b.high - b.mean) / 2,
        n=a.n + b.n,
        clusters=min(a.clusters, b.clusters),
    )
