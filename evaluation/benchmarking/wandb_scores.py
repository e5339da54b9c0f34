"""Send the scores of a benchmark to Weights & Biases, with some questions and their answers.

All of it stands in `results.json` and the files of answers as well.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from configs.benchmark import parse_condition
from configs.schema import Config
from evaluation.benchmarking.datasets import BenchmarkSet
from evaluation.benchmarking.report import Report
from evaluation.benchmarking.tables import short_names
from evaluation.players import Showcase, showcase, spread, table
from evaluation.statistics.intervals import Interval
from runtime.runs import Run
from untrusted.json_text import json_of
from untrusted.terminal import first_line

log = logging.getLogger(__name__)

COLUMNS = (
    *("set", "checkpoint", "id", "question", "options", "media", "gold", "completion"),
    *("extracted", "correct", "missing"),
)
"""Of the table of questions, which has players of the media beside them."""


def send(
    config: Config,
    run: Run,
    begin_with: Mapping[str, Any],  # what `wandb.init` takes
    sets: Sequence[BenchmarkSet],
    report: Report,
) -> None:
    """Log all scores and a table of questions; what wandb refuses then costs a warning."""
    try:
        session = wandb.init(dir=run.dir, resume="allow", **begin_with)
        session.log(dict(scores(report)))
        if config.wandb.questions:
            with showcase(run.dir, megabytes=config.wandb.media_megabytes) as shown:
                names = [*dict.fromkeys(row.checkpoint for row in report.lines)]
                session.log({"questions": _table(config, run, sets, names, shown)})
        session.finish()
    except Exception as error:  # whatever it is: the scores are in results.json
        log.warning(
            "wandb takes no scores (%s): the benchmark goes on, and results.json has all",
            first_line(error),
        )


def scores(report: Report) -> Iterator[tuple[str, float]]:
    """List the scores by name: `benchmark/SET/CHECKPOINT/accuracy` and what stands beside it."""
    names = short_names([row.set for row in report.lines])
    for row in report.lines:
        place = f"benchmark/{names[row.set]}/{row.checkpoint}"
        values: dict[str, float | None] = {
            **_interval("accuracy", row.score),
            **{"n": row.score.n, "unparsed": row.unparsed, "missing": row.missing},
            **{"first_option": row.first_option, "longest_option": row.longest_option},
            **{"text_only": row.text_only, "all_orders": row.all_orders},
            "official": (row.official or {}).get("score"),
        }
        for rule, clean in row.clean.items():
            values |= _interval(f"accuracy_clean_{rule}", clean)
        yield from _finite(place, values)
    for mean in report.means:
        values = _interval("macro", mean.macro) | _interval("weighted", mean.weighted)
        yield from _finite(f"benchmark/mean/{mean.checkpoint}", values)


def _interval(name: str, interval: Interval) -> dict[str, float | None]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _finite(place: str, values: Mapping[str, float | None]) -> Iterator[tuple[str, float]]:
    """Leave out what was not measured."""
    for name, value in values.items():
        if value is not None and math.isfinite(value):
            yield f"{place}/{name}", float(value)


def _table(
    config: Config,
    run: Run,
    sets: Sequence[BenchmarkSet],
    names: Sequence[str],
    shown: Showcase,
) -> wandb.Table:
    """Lay out some questions of each set, with the answers of each checkpoint."""
    answered = {name: _answers(run.dir / f"{name}.jsonl", config, sets) for name in names}
    rows = []
    for dataset in sets:
        condition, how = parse_condition(dataset.settings[0])
        questions = dataset.questions.with_condition(condition, how)
        for sample in spread(dataset.samples, config.wandb.questions):
            players = shown.players(questions, sample)
            for name in names:
                row = answered[name].get((dataset.name, sample.id))
                if row is not None:
                    rows.append(
                        ([name if c == "checkpoint" else _cell(row, c) for c in COLUMNS], players)
                    )
    return table(COLUMNS, rows)


def _cell(row: Mapping[str, Any], column: str) -> object:
    """Return a cell of the table from a row of the file of answers; lists as one text."""
    value = row.get("description") if column == "completion" and column not in row else row[column]
    return " | ".join(map(str, value)) if isinstance(value, list) else value


def _answers(
    file: Path, config: Config, sets: Sequence[BenchmarkSet]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Read the answers that the table may show: under the first condition, options as written."""
    wanted = {
        (dataset.name, sample.id)
        for dataset in sets
        for sample in spread(dataset.samples, config.wandb.questions)
    }
    place = (*parse_condition(config.benchmark.conditions[0]), 0)
    rows = (json_of(line) for line in file.read_text().split("\n") if line)
    return {
        key: row
        for row in rows
        if (key := (row["set"], row["id"])) in wanted
        and (row["condition"], row["how"], row["order"]) == place
    }
