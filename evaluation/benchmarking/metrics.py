"""The numbers of a benchmark: scores with intervals and baselines, comparisons, ablations.

Shares are between 0 and 1 here; tables show percent.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from configs.benchmark import parse_condition
from evaluation.benchmarking.aggregates import ClusteredScores, over_sets
from evaluation.benchmarking.datasets import BenchmarkSet
from evaluation.benchmarking.fixed_options import MacroF1
from evaluation.benchmarking.grounding import (
    AUDIO_CONDITIONS,
    SWAP_CONDITIONS,
    audio_score,
    swap_grid,
)
from evaluation.benchmarking.report import POWER, Ablation, Comparison, Grounding, Mean, ScoreRow
from evaluation.benchmarking.scoring import SetScores
from evaluation.statistics.intervals import DIFFERENCE, Interval, mean_interval
from evaluation.statistics.significance import compare_models, smallest_difference

TEXT_ONLY = ("text_only", "absent")
"""The blind condition; replaced media would still be a cue."""


def score_row(
    dataset: BenchmarkSet,
    checkpoint: str,
    scores: Mapping[str, SetScores],
    *,
    official: Mapping[str, float] | None,
    macro_f1: MacroF1 | None = None,
    described: bool,
    confidence: float,
) -> ScoreRow:
    """Compute the score of one checkpoint on one set, with its baselines.

    Args:
        scores: by condition; the first is the main one.
    """
    main = next(iter(scores.values()))
    blind = next((own for name, own in scores.items() if parse_condition(name) == TEXT_ONLY), None)
    return ScoreRow(
        set=dataset.name,
        checkpoint=checkpoint,
        score=mean_interval(main.right, dataset.clusters, confidence=confidence),
        unparsed=float(main.unparsed.mean()),
        missing=float(main.missing.mean()),
        first_option=float(main.first_option.mean()),
        longest_option=float(main.longest_option.mean()),
        text_only=None if blind is None else float(blind.right.mean()),
        clean={
            rule: mean_interval(kept.right, kept.cluster, confidence=confidence)
            for rule in dataset.views
            for kept in [_kept(dataset, main, rule)]
        },
        official=official,
        macro_f1=macro_f1,
        all_orders=float(main.all_right.mean()) if dataset.n_orders != 1 else None,
        given_away=float(main.given_away.mean()) if described else None,
    )


def _kept(dataset: BenchmarkSet, scores: SetScores, rule: str) -> ClusteredScores:
    """Take the questions of a view, without malformed rows."""
    kept = np.flatnonzero(dataset.views[rule])
    return ClusteredScores(right=scores.right[kept], cluster=dataset.clusters[kept])


def mean_of(
    checkpoint: str,
    sets: Sequence[BenchmarkSet],
    scores: Sequence[SetScores],
    *,
    confidence: float,
) -> Mean:
    """Average one checkpoint over all sets, raw and clean."""

    def both(clustered: Sequence[ClusteredScores]) -> tuple[Interval, Interval]:
        return (
            over_sets(clustered, confidence=confidence, weighted=False),
            over_sets(clustered, confidence=confidence, weighted=True),
        )

    pairs = list(zip(sets, scores, strict=True))
    macro, weighted = both(
        [ClusteredScores(right=own.right, cluster=dataset.clusters) for dataset, own in pairs]
    )
    clean = {}
    for rule in sets[0].views:
        if all(rule in dataset.views for dataset in sets):
            clean[rule] = both([_kept(dataset, own, rule) for dataset, own in pairs])
    return Mean(checkpoint=checkpoint, macro=macro, weighted=weighted, clean=clean)


def comparison(
    dataset: BenchmarkSet,
    scores: Mapping[str, SetScores],
    groups: Mapping[str, Sequence[int]],
    *,
    confidence: float,
) -> Comparison:
    """Compare two checkpoints, or list one, by group of questions."""
    rows = [
        compare_models(
            group,
            {name: own.right[list(indices)] for name, own in scores.items()},
            dataset.clusters[list(indices)],
            confidence=confidence,
        )
        for group, indices in groups.items()
    ]
    smallest = discordance = None
    if len(scores) == 2:
        first, second = (own.right for own in scores.values())
        smallest = smallest_difference(
            first, second, dataset.clusters, confidence=confidence, power=POWER
        )
        discordance = float(((second - first) ** 2).mean())
    return Comparison(set=dataset.name, rows=rows, smallest=smallest, discordance=discordance)


def ablations(
    dataset: BenchmarkSet, checkpoint: str, scores: Mapping[str, SetScores], *, confidence: float
) -> list[Ablation]:
    """Compare every condition with full, over the questions that could be shown in both."""
    if "full" not in scores:
        return []
    rows = []
    for setting in scores:
        if setting == "full":
            continue
        chosen = dataset.affected(setting) & _answered(scores, ("full", setting))
        full, left = scores["full"].right[chosen], scores[setting].right[chosen]
        names = dataset.clusters[chosen]
        rows.append(
            Ablation(
                set=dataset.name,
                setting=setting,
                checkpoint=checkpoint,
                full=mean_interval(full, names, confidence=confidence),
                left=mean_interval(left, names, confidence=confidence),
                difference=mean_interval(
                    full - left, names, confidence=confidence, reach=DIFFERENCE
                ),
            )
        )
    return rows


def groundings(
    dataset: BenchmarkSet, checkpoint: str, scores: Mapping[str, SetScores], *, confidence: float
) -> list[Grounding]:
    """Compute the grounding metrics whose conditions were run, over the affected questions.

    The swap grid takes questions with both sound and pictures, of a video or of several media.
    """
    metrics: dict[str, Interval] = {}
    if all(setting in scores for setting in AUDIO_CONDITIONS):
        chosen = dataset.affected(AUDIO_CONDITIONS[-1]) & _answered(scores, AUDIO_CONDITIONS)
        full, silent, mismatched = (scores[name].right[chosen] for name in AUDIO_CONDITIONS)
        names = dataset.clusters[chosen]
        metrics["audio score S"] = audio_score(
            full, silent, mismatched, names, confidence=confidence
        )
    if all(setting in scores for setting in SWAP_CONDITIONS):
        _, no_audio, no_visual, _ = SWAP_CONDITIONS
        chosen = dataset.affected(no_audio) & dataset.affected(no_visual)
        chosen &= _answered(scores, SWAP_CONDITIONS)
        names = dataset.clusters[chosen]
        cells = [scores[name].right[chosen] for name in SWAP_CONDITIONS]
        grid = swap_grid(cells, names, confidence=confidence)
        metrics["sound's effect E_A"] = grid.audio
        metrics["pictures' effect E_V"] = grid.visual
        metrics["interaction"] = grid.interaction
        metrics["shortcut index"] = grid.shortcut
    return [
        Grounding(set=dataset.name, checkpoint=checkpoint, measure=name, value=value)
        for name, value in metrics.items()
    ]


def _answered(scores: Mapping[str, SetScores], settings: Sequence[str]) -> NDArray[np.bool_]:
    """Mark the questions that could be shown in all of these conditions: an answer that is missing
    says nothing about what was withheld."""
    answered: NDArray[np.bool_] = np.all([scores[name].missing == 0 for name in settings], axis=0)
    return answered
