"""Find out what each modality contributes, from the conditions that one probe was asked under."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from configs.ablation import Condition, How, Part
from datamodules.contribution.decide import question_features
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.shapley import Shares, has_part, shares
from datamodules.sample import Sample
from evaluation.statistics.intervals import Interval, cluster_interval

GAMES: tuple[tuple[Part, ...], ...] = (("audio", "visual"), ("audio", "visual", "text"))
"""Parts that the success is shared out among; the larger game takes all conditions."""

WAYS: tuple[How, ...] = ("absent", "silent", "noise", "mismatched")
"""Shuffling withholds no part, only the order of its frames."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Game:
    """What each part adds on each question, by the answers of one probe."""

    key: str
    how: How
    players: tuple[Part, ...]
    shares: Shares
    known: NDArray[np.bool_]
    """Questions whose shares are known."""

    undefined: int
    """Questions whose options are media: without them they are other questions."""

    @property
    def lacking(self) -> int:
        """Questions that lack answers under some condition."""
        return int((~self.known).sum()) - self.undefined

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of what was shared out."""
        return (*self.players, "synergy")

    def estimates(self, name: str) -> NDArray[np.float64]:
        """Return one column, over all questions."""
        estimates: NDArray[np.float64] = vars(self.shares)[name].estimate
        return estimates

    def by_question(self) -> dict[str, list[list[float]]]:
        """List estimate, lower and upper bound of each column, for every question."""
        return {
            name: np.where(self.known, np.stack(vars(self.shares)[name]), np.nan).T.tolist()
            for name in self.columns
        }


def play(
    samples: Sequence[Sample], scores: Mapping[str, Scores], *, confidence: float
) -> Game | None:
    """Share out the success of the probe that tells most: of most questions, then among most parts.

    None where no probe was asked under the four conditions that the smaller game takes.
    """
    sound, sight = has_part(samples, "audio"), has_part(samples, "visual")
    chance = question_features(samples, "text_only", "absent").chance
    options = np.array([any(item.role == "option" for item in one.media) for one in samples])
    best, most = None, (0, 0, 0)
    for (key, one), how in product(scores.items(), WAYS):
        full = one.counts("full", "absent")
        counts = {name: one.counts(name, how) for name in get_args(Condition) if name != "full"}
        answers = sum(int(count.n.sum()) for count in counts.values())
        for players in GAMES if answers else ():
            found = shares(
                {"full": full, **counts}, sound, sight, chance, confidence, players=players
            )
            game = Game(
                key=key,
                how=how,
                players=players,
                shares=found,
                known=(full.n > 0) & ~options,
                undefined=int(options.sum()),
            )
            estimates = np.stack([game.estimates(name) for name in game.columns])
            game = replace(game, known=game.known & ~np.isnan(estimates).any(axis=0))
            # Of a question without media everything is known, and nothing is told by it.
            rank = (int((game.known & (sound | sight)).sum()), len(players), answers)
            if rank[0] and rank > most:
                best, most = game, rank
    return best


def group_means(
    game: Game,
    groups: Sequence[str],
    cluster: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[tuple[str, dict[str, Interval]]]:
    """Average each column over all questions and over each group, with bootstrap intervals.

    Args:
        groups: the group of each question.
        cluster: what each question is about, such as its sample's `asset_id`.
    """
    names, assets = np.asarray(groups, dtype=np.str_), np.asarray(cluster, dtype=np.str_)
    distinct = np.unique(names[game.known]).tolist()
    rows = [("all questions", game.known)]
    if len(distinct) > 1:
        rows += [(name, game.known & (names == name)) for name in distinct]
    return [
        (
            title,
            {
                column: cluster_interval(
                    game.estimates(column)[chosen],
                    assets[chosen].tolist(),
                    resamples=resamples,
                    confidence=confidence,
                    seed=seed,
                )
                for column in game.columns
            },
        )
        for title, chosen in rows
    ]
