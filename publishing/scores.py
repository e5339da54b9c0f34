"""Take the scores of one export out of a finished benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from configs.files import read_yaml
from configs.names import flatten
from evaluation.statistics.intervals import Interval
from untrusted.json_text import json_of


@dataclass(frozen=True, kw_only=True)
class SetScore:
    """The score of an export on one set, beside that of what it was compared with."""

    data: str
    set: str
    own: Interval
    base: Interval | None
    """None where the export itself was the baseline."""

    text_only: float | None
    """Score of the export without any media; None where that was not asked."""


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """All scores of one export in one benchmark."""

    rows: Sequence[SetScore]
    condition: str
    by: str
    """Whether answers were graded, or descriptions."""

    confidence: float
    base: str
    """Name of what it was compared with."""

    limit: int
    """Questions of each set that were scored, from its beginning; 0 is all."""


def scores_of(digest: str, benchmark: Path) -> ScoreTable:
    """Find the scores of weights in the directory of a benchmark.

    Args:
        digest: of the weights: an export that was trained anew has other scores.
    """
    file = benchmark / "results.json"
    if not file.is_file():
        raise ValueError(
            f"{benchmark} holds no results.json, but a finished stage=benchmark leaves one: name "
            "its run directory with push.benchmark, or leave that out for a card without scores."
        )
    settings = flatten(read_yaml(benchmark / "config.yaml"))
    try:
        results = json_of(file.read_text())
        table, scored = _table(results, settings, digest), ", ".join(results["checkpoints"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{file} is damaged ({type(error).__name__}: {error}), but scores are taken from it: "
            "restore it, or repeat the benchmark under another run.name; kept answers are not "
            "asked again."
        ) from None
    if table is None:
        raise ValueError(
            f"{benchmark} scored {scored}, and none of these are the weights that are pushed (or "
            "an earlier version scored them, which did not say), but a card shows scores of its "
            "own weights alone: score them with stage=benchmark benchmark.checkpoints=[RUN/export] "
            "and name that run with push.benchmark. Answers that are kept are not asked again."
        )
    return table


def _table(
    results: Mapping[str, Any], settings: Mapping[str, Any], digest: str
) -> ScoreTable | None:
    """Find the rows of the weights; None where they were not scored."""
    weights: Mapping[str, str] = results.get("weights", {})
    names = [name for name, found in weights.items() if found == digest]
    if not names:
        return None
    first, name = next(iter(weights)), names[-1]
    lines = {(line["set"], line["checkpoint"]): line for line in results["lines"]}
    return ScoreTable(
        rows=[
            SetScore(
                data=str(settings["data.name"]),
                set=dataset,
                own=_score(lines[dataset, name]["score"]),
                base=None if name == first else _score(lines[dataset, first]["score"]),
                text_only=lines[dataset, name]["text_only"],
            )
            for dataset in results["sets"]
        ],
        condition=results["conditions"][0],
        by=results["by"],
        confidence=float(settings["benchmark.confidence"]),
        base=first,
        limit=int(settings["benchmark.limit"]),
    )


def _score(line: Mapping[str, Any]) -> Interval:  # of JSON
    """Read a score, whose bounds are null where the benchmark could give no interval."""
    low, high = (nan if line[name] is None else line[name] for name in ("low", "high"))
    return Interval(mean=line["mean"], low=low, high=high, n=line["n"], clusters=line["clusters"])
