"""How often a probe was right, with an interval, and what blind choices would score."""

from collections.abc import Sequence

import numpy as np

from datamodules.contribution.decide import Counts
from datamodules.sample import Sample
from evaluation.benchmarking.baselines import first_option, longest_option
from evaluation.statistics.intervals import mean_interval
from evaluation.statistics.tables import percent, percent_alone

LEGEND = "answers: per question; right %: of all answers, with a 95% interval clustered by asset."


def right_percent(counts: Counts, samples: Sequence[Sample]) -> str:
    """Write the share of right answers; no interval where some questions were asked more often."""
    asked = counts.n > 0
    n, right = counts.n[asked], counts.n_correct[asked]
    if not n.size or n.min() < n.max():
        return percent_alone(right.sum() / max(1, n.sum()))
    assets = np.array([sample.asset_id for sample in samples])[asked]
    return percent(mean_interval(right / n, assets, confidence=0.95))


def blind_scores(samples: Sequence[Sample]) -> str:
    """Write what always taking the first option, or the longest, scores on questions with any."""
    choices = [sample for sample in samples if sample.options]
    if not choices:
        return "No question has options, so that blind choices score nothing."
    first, longest = (
        100 * sum(map(choose, choices)) / len(choices) for choose in (first_option, longest_option)
    )
    return (
        f"Blind choices score, of the {len(choices)} questions with options: the first one "
        f"{first:.1f}, the longest {longest:.1f}."
    )
