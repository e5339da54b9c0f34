"""Audio grounding: how much the scores of a model depend on hearing and on seeing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from evaluation.statistics.intervals import DIFFERENCE, Clusters, Floats, Interval, mean_interval

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
    *,
    confidence: float,
) -> Interval:
    """Measure the effect of hearing, paired by question (arXiv 2609.04637).

    S = full - (silent + mismatched) / 2
    """
    whole, mute, other = (np.asarray(each, dtype=np.float64) for each in (full, silent, mismatched))
    effect = whole - (mute + other) / 2
    return mean_interval(effect, cluster, confidence=confidence, reach=DIFFERENCE)


def swap_grid(cells: Sequence[ArrayLike], cluster: Clusters, *, confidence: float) -> SwapGrid:
    """Cross matching and swapped sound with matching and swapped pictures (arXiv 2609.36798).

        E_A = ((full - other sound) + (other pictures - both)) / 2
        E_V = ((full - other pictures) + (other sound - both)) / 2
        psi = (full - other sound) - (other pictures - both)

    Only these names are known to us from the paper. Our reading: a cell holds the share of answers
    that are right by the question's own key, whatever the swapped media would suggest. The index
    lies where both effects lie in their intervals, each of which misses half as often (Bonferroni).

    Args:
        cells: of each question, by `SWAP_CONDITIONS`.
    """
    full, sound, pictures, both = (np.asarray(cell, dtype=np.float64) for cell in cells)
    audio = ((full - sound) + (pictures - both)) / 2
    visual = ((full - pictures) + (sound - both)) / 2
    interaction = (full - sound) - (pictures - both)

    def effect(values: Floats, sure: float, most: float = 1.0) -> Interval:
        return mean_interval(values, cluster, confidence=sure, reach=(-most, most))

    wider = (1 + confidence) / 2
    return SwapGrid(
        audio=effect(audio, confidence),
        visual=effect(visual, confidence),
        interaction=effect(interaction, confidence, 2.0),
        shortcut=_shortcut(effect(audio, wider), effect(visual, wider)),
    )


def _shortcut(audio: Interval, visual: Interval) -> Interval:
    """Compute the shortcut index of two effects; undefined where both are 0."""

    def index(sound: float, sight: float) -> float:
        return sight / (sound + sight) if sound + sight else math.nan

    def sizes(effect: Interval) -> tuple[float, float]:
        """Bound the size of an effect, which may lie on either side of 0."""
        ends = sorted((abs(effect.low), abs(effect.high)))
        return (0.0 if effect.low <= 0 <= effect.high else ends[0]), ends[1]

    heard, seen = sizes(audio), sizes(visual)
    mean = index(abs(audio.mean), abs(visual.mean))
    low, high = index(heard[1], seen[0]), index(heard[0], seen[1])
    known = not math.isnan(mean)
    return Interval(
        mean=mean,
        low=low if known else math.nan,
        high=high if known else math.nan,
        n=audio.n,
        clusters=audio.clusters,
    )
