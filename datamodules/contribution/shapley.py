"""Shapley values of sound, pictures and words in the success on each question.

Withholding one part at a time misleads where parts are redundant: either alone suffices, so neither
seems to contribute. Shapley values average over all orders in which the parts could be added; the
synergy is what both add together beyond what each adds alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from configs.ablation import LEFT, Condition, Part
from datamodules.conditions import PARTS
from datamodules.contribution.calibration import Bools, Floats, Intervals, combination_interval
from datamodules.contribution.decide import Counts
from datamodules.sample import Sample

PLAYERS: tuple[Part, ...] = get_args(Part)
BIT: Mapping[Part, int] = {part: 1 << number for number, part in enumerate(PLAYERS)}
"""A subset of the parts is the sum of their bits; 0 is nothing, 7 is all."""

SYNERGY = np.array([0, 0, 0, 0, 1, -1, -1, 1])
"""Weights of v(nothing), a, v, av, t, at, vt, avt: sound with pictures, where there are words."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The Shapley value of each part of each question, and the synergy of audio and visual."""

    audio: Intervals
    visual: Intervals
    text: Intervals
    """NaN where the text is no player."""

    synergy: Intervals
    """Positive where both are needed, negative where either suffices."""


def has_part(samples: Iterable[Sample], part: Part) -> Bools:
    """Mark the questions that have sound, or something to see."""
    return np.array(
        [any(part in PARTS[media.modality] for media in sample.media) for sample in samples],
        dtype=np.bool_,
    )


def shares(
    counts: Mapping[Condition, Counts],
    has_audio: Bools,
    has_visual: Bools,
    chance: Floats,
    confidence: float,
    *,
    players: Sequence[Part] = PLAYERS,
) -> Shares:
    """Divide the success above chance among the parts of each question.

        share_i = Σ_{S without i} |S|! (P - |S| - 1)! / P! (v(S + i) - v(S)),  P players
        synergy = v(audio, visual, text) - v(visual, text) - v(audio, text) + v(text)

    v(S) is the success rate with the parts S left, and that with nothing left is chance, known
    exactly. Three shares sum to v(all) - chance. Where a question lacks a part, conditions that
    differ in it alone are the same and share one value, and the part's own share is exactly 0.
    A share is NaN where a value that it takes was not asked.

    Args:
        counts: by condition; whichever were asked.
        players: parts that are shared out among; those left out are always there. With audio and
            visual alone, full, no_audio, no_visual and text_only suffice, and the two shares sum to
            v(all) - v(text).
    """
    here = has_audio * BIT["audio"] + has_visual * BIT["visual"] + BIT["text"]  # (N,)
    n, n_correct = _values(counts, here)

    def bound(weights: NDArray[np.int64], scale: int = 1) -> Intervals:
        """Bound Σ_S weights_S v(S) / scale; whole numbers, so that what cancels leaves nothing."""
        merged = np.zeros((8, 8), dtype=np.int64)  # by the parts that are there, and a subset
        for parts in range(8):
            np.add.at(merged[parts], np.arange(8) & parts, weights)
        weight = (merged / scale)[here].T  # (8, N)
        found = combination_interval(weight[1:], n_correct[1:], n[1:], confidence)
        return Intervals(*(value + weight[0] * chance for value in found))

    unknown = Intervals(*(np.full(len(here), np.nan) for _ in range(3)))
    share = {
        part: bound(_weights(part, players), factorial(len(players)))
        if part in players
        else unknown
        for part in PLAYERS
    }
    return Shares(
        audio=share["audio"], visual=share["visual"], text=share["text"], synergy=bound(SYNERGY)
    )


def _values(
    counts: Mapping[Condition, Counts], here: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Collect the counts by the subset of parts that was really left of each question.

    Of conditions that come to the same, the first in the order of LEFT that was asked counts.

    Shapes: here (N,) -> (8, N) each
    """
    n = np.zeros((8, len(here)), dtype=np.int64)
    n_correct = np.zeros_like(n)
    for condition, left in LEFT.items():
        if condition in counts:
            count = counts[condition]
            subset = sum(BIT[part] for part in left) & here  # (N,)
            new = np.flatnonzero((count.n > 0) & (n[subset, np.arange(len(here))] == 0))
            n[subset[new], new] = count.n[new]
            n_correct[subset[new], new] = count.n_correct[new]
    return n, n_correct


def _weights(player: Part, players: Sequence[Part]) -> NDArray[np.int64]:
    """Return the weight of each v(S) in one player's Shapley value, times P!."""
    weights = np.zeros(8, dtype=np.int64)
    others = [part for part in players if part != player]
    always = sum(BIT[part] for part in PLAYERS if part not in players)
    for size in range(len(others) + 1):
        for chosen in combinations(others, size):
            subset = always + sum(BIT[part] for part in chosen)
            weights[subset + BIT[player]] = factorial(size) * factorial(len(others) - size)
            weights[subset] = -weights[subset + BIT[player]]
    return weights
