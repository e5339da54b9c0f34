"""Audio grounding: how much the scores of a model depend on hearing and on seeing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evaluation.statistics.bootstrap import Bootstrap, Clusters, clustered_means, quantile_interval
from evaluation.statistics.intervals import Interval, cluster_interval

SWAP_CONDITIONS = ("full", "no_audio:mismatched", "no_visual:mismatched", "text_only:mismatched")
"""The cells of the swap grid: unchanged, with the sound of another question, with its pictures, and
with both."""

AUDIO_CONDITIONS = ("full", "no_audio:silent", "no_audio:mismatched")
"""The conditions of the audio score."""


@dataclass(frozen=True, kw_only=True)
class SwapGrid:
    """The effects of matching sound and pictures on accuracy."""

    audio: Interval
    """Main effect of matching instead of swapped sound, E_A."""

    visual: Interval
    """Main effect of matching instead of swapped pictures, E_V."""

    interaction: Interval
    """How much larger the effect of sound is with matching pictures than with swapped ones."""

    shortcut: Interval
    """|E_V| / (|E_A| + |E_V|): 0 is audio only, 1 visual only. NaN where neither has an effect."""


def audio_score(
    full: ArrayLike,
    silent: ArrayLike,
    mismatched: ArrayLike,
    cluster: Clusters,
    bootstrap: Bootstrap,
) -> Interval:
    """Measure the effect of hearing, paired by question (arXiv 2609.04637).

    S = full - (silent + mismatched) / 2
    """
    whole, mute, other = (np.asarray(each, dtype=np.float64) for each in (full, silent, mismatched))
    return cluster_interval(whole - (mute + other) / 2, cluster, bootstrap)


def swap_grid(cells: Sequence[ArrayLike], cluster: Clusters, bootstrap: Bootstrap) -> SwapGrid:
    """Cross matching and swapped sound with matching and swapped pictures (arXiv 2609.36798).

        E_A = ((full - other sound) + (other pictures - both)) / 2
        E_V = ((full - other pictures) + (other sound - both)) / 2
        psi = (full - other sound) - (other pictures - both)

    Only these names are known to us from the paper. Our reading: a cell holds the share of answers
    that are right by the question's own key, whatever the swapped media would suggest, and all four
    cells are resampled together. The interval of the index leaves out draws in which neither has an
    effect.

    Args:
        cells: of each question, by `SWAP_CONDITIONS`.
    """
    full, sound, pictures, both = (np.asarray(cell, dtype=np.float64) for cell in cells)
    audio = ((full - sound) + (pictures - both)) / 2
    visual = ((full - pictures) + (sound - both)) / 2
    interaction = (full - sound) - (pictures - both)
    effects = [cluster_interval(each, cluster, bootstrap) for each in (audio, visual, interaction)]
    index = _index(np.array([[effects[0].mean, effects[1].mean]]))[0]
    draws = _index(clustered_means([audio, visual], cluster, bootstrap))
    low, high = quantile_interval(draws[np.isfinite(draws)], bootstrap.confidence)
    return SwapGrid(
        audio=effects[0],
        visual=effects[1],
        interaction=effects[2],
        shortcut=Interval(
            mean=float(index), low=low, high=high, n=len(full), clusters=len({*cluster})
        ),
    )


def _index(effects: np.ndarray) -> np.ndarray:
    """Shortcut index of pairs of effects; NaN where both are 0. Shapes: (R, 2) -> (R,)"""
    size = np.abs(effects)
    total = size.sum(axis=1)
    return np.divide(size[:, 1], total, out=np.full(len(size), np.nan), where=total > 0)
