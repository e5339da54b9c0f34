"""What a model owes to its ears: scores of one model, shown more and less."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evaluation.statistics.intervals import Interval, cluster_interval, resampled_means, spread

SWAPPED = ("full", "no_audio:mismatched", "no_visual:mismatched", "text_only:mismatched")
"""The cells of the swap grid: both as they are, the sound of another question, its pictures, and
both."""

MUTED = ("full", "no_audio:silent", "no_audio:mismatched")
"""What the audio score is made of."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The effects of sound and of pictures on how many answers are right."""

    audio: Interval
    """Main effect of the right sound instead of another's, E_A."""

    visual: Interval
    """Main effect of the right pictures instead of another's, E_V."""

    interaction: Interval
    """How much more the right sound is worth beside the right pictures than beside others."""

    shortcut: Interval
    """|E_V| / (|E_A| + |E_V|): 0 is all ears, 1 all eyes. NaN where neither has an effect."""


def audio_score(
    full: ArrayLike,
    silent: ArrayLike,
    mismatched: ArrayLike,
    cluster: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Interval:
    """Measure what hearing is worth, with the questions of all three paired (arXiv 2609.04637).

    S = full - (silent + mismatched) / 2
    """
    whole, mute, other = (np.asarray(each, dtype=np.float64) for each in (full, silent, mismatched))
    return cluster_interval(
        whole - (mute + other) / 2, cluster, resamples=resamples, confidence=confidence, seed=seed
    )


def swap_grid(
    cells: Sequence[ArrayLike],
    cluster: Sequence[str],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Grid:
    """Cross right and wrong sound with right and wrong pictures (arXiv 2609.36798).

        E_A = ((full - other sound) + (other pictures - both)) / 2
        E_V = ((full - other pictures) + (other sound - both)) / 2
        psi = (full - other sound) - (other pictures - both)

    Of the paper only these names are known to us. That a cell holds the share of answers that are
    right by the question's own key, whatever the other media would have made the answer, is our
    reading; so is resampling all four cells together. Draws in which neither has an effect leave
    the index undefined, and do not count towards its interval.

    Args:
        cells: of each question, by `SWAPPED`.
    """
    full, sound, pictures, both = (np.asarray(cell, dtype=np.float64) for cell in cells)
    heard = ((full - sound) + (pictures - both)) / 2
    seen = ((full - pictures) + (sound - both)) / 2
    extra = (full - sound) - (pictures - both)
    drawn = {"resamples": resamples, "seed": seed}
    heard_interval, seen_interval, interaction = (
        cluster_interval(each, cluster, confidence=confidence, **drawn)
        for each in (heard, seen, extra)
    )
    index = _index(np.array([[heard_interval.mean, seen_interval.mean]]))[0]
    draws = _index(resampled_means([heard, seen], cluster, **drawn))
    low, high = spread(draws[np.isfinite(draws)], confidence)
    return Grid(
        audio=heard_interval,
        visual=seen_interval,
        interaction=interaction,
        shortcut=Interval(
            mean=float(index), low=low, high=high, n=len(full), clusters=len({*cluster})
        ),
    )


def _index(effects: np.ndarray) -> np.ndarray:
    """Divide; NaN where there is nothing to divide. Shapes: (R, 2) -> (R,)"""
    size = np.abs(effects)
    total = size.sum(axis=1)
    return np.divide(size[:, 1], total, out=np.full(len(size), np.nan), where=total > 0)
