"""Shapley values of the modalities, from the conditions that one probe was asked under."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from configs.ablation import Condition, Part, Replacement
from datamodules.contribution.decide import question_features
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.shapley import Shares, has_part, shares
from datamodules.sample import Sample
from evaluation.statistics.intervals import DIFFERENCE, Interval, mean_interval

PLAYERS: tuple[tuple[Part, ...], ...] = (("audio", "visual"), ("audio", "visual", "text"))
"""Parts that share the accuracy; three of them take all conditions."""

WAYS: tuple[Replacement, ...] = ("absent", "silent", "noise", "mismatched")
"""Ways of withholding a part; shuffling withholds only the order of frames."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ShapleyResult:
    """The contribution of each part to each question, by the answers of one probe."""

    key: str
    how: Replacement
    players: tuple[Part, ...]
    shares: Shares
    known: NDArray[np.bool_]
    """Questions whose shares are known."""

    undefined: int
    """Questions whose options are media, which cannot be withheld."""

    @property
    def lacking(self) -> int:
        """Questions without answers under some condition."""
        return int((~self.known).sum()) - self.undefined

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the shares."""
        return (*self.players, "synergy")

    def estimates(self, name: str) -> NDArray[np.float64]:
        """Return the estimates of one column, over all questions."""
        estimates: NDArray[np.float64] = vars(self.shares)[name].estimate
        return estimates

    def by_question(self) -> dict[str, list[list[float]]]:
        """List estimate, lower and upper bound of each column, for every question."""
        return {
            name: np.where(self.known, np.stack(vars(self.shares)[name]), np.nan).T.tolist()
            for name in self.columns
        }


def shapley_values(
    samples: Sequence[Sample], scores: Mapping[str, Scores], *, confidence: float
) -> ShapleyResult | None:
    """Compute Shapley values of the probe that allows most: most questions, then most parts.

    None where no probe was asked under the four conditions that two parts take.
    """
    sound, sight = has_part(samples, "audio"), has_part(samples, "visual")
    chance = question_features(samples, "text_only", "absent").chance
    options = np.array([any(m.role == "option" for m in sample.media) for sample in samples])
    best, most = None, (0, 0, 0)
    for (key, probe), how in product(scores.items(), WAYS):
        full = probe.counts("full", "absent")
        counts = {name: probe.counts(name, how) for name in get_args(Condition) if name != "full"}
        answers = sum(int(count.n.sum()) for count in counts.values())
        for players in PLAYERS if answers else ():
            split = shares(
                {"full": full, **counts}, sound, sight, chance, confidence, players=players
            )
            result = ShapleyResult(
                key=key,
                how=how,
                players=players,
                shares=split,
                known=(full.n > 0) & ~options,
                undefined=int(options.sum()),
            )
            estimates = np.stack([result.estimates(name) for name in result.columns])
            result = replace(result, known=result.known & ~np.isnan(estimates).any(axis=0))
            # A question without media has known shares, but they are all 0.
            rank = (int((result.known & (sound | sight)).sum()), len(players), answers)
            if rank[0] and rank > most:
                best, most = result, rank
    return best


def group_means(
    result: ShapleyResult, groups: Sequence[str], cluster: Sequence[str], *, confidence: float
) -> list[tuple[str, dict[str, Interval]]]:
    """Average each column over all questions and over each group, with intervals.

    Args:
        groups: the group of each question.
        cluster: what each question is about, such as its sample's `asset_id`.
    """
    names, assets = np.asarray(groups, dtype=np.str_), np.asarray(cluster, dtype=np.str_)
    distinct = np.unique(names[result.known]).tolist()
    rows = [("all questions", result.known)]
    if len(distinct) > 1:
        rows += [(name, result.known & (names == name)) for name in distinct]
    return [
        (
            title,
            {
                column: mean_interval(
                    result.estimates(column)[chosen],
                    assets[chosen],
                    confidence=confidence,
                    reach=(-2, 2) if column == "synergy" else DIFFERENCE,
                )
                for column in result.columns
            },
        )
        for title, chosen in rows
    ]
