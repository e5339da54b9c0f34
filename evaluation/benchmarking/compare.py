"""Compare runs that exist: arms by their settings or names, paired by question and seed."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from configs.schema import Config
from evaluation.benchmarking.arms import Comparison, compare_arms
from evaluation.benchmarking.forest_plot import draw
from evaluation.benchmarking.pairing import Pairing, pair
from evaluation.benchmarking.scored import find_scored
from evaluation.statistics.intervals import without_nan
from runtime.runs import open_run
from runtime.writing import write_text
from untrusted.terminal import escaped


def compare(config: Config) -> str:
    """Write a table for each benchmark and set, with a picture and all numbers; return the text."""
    if not config.compare.runs:
        raise ValueError(
            "compare.runs is empty, but stage=compare sets finished benchmarks side by side: name "
            "their directories, those of recipes or of arms, as in runs=[runs/one,runs/other]."
        )
    found, notes = find_scored(config.compare.runs)
    tables: dict[str, tuple[Pairing, Comparison]] = {}
    for step in dict.fromkeys(each.step for each in found):
        pairing = pair([each for each in found if each.step == step], step)
        notes += pairing.notes
        tables |= {name: (pairing, table) for name, table in _tables(config, step, pairing)}
    with open_run(config) as run:
        parts = [f"{name}\n\n{table.text}" for name, (_, table) in tables.items()]
        text = "\n\n".join([*parts, *([f"left out: {'; '.join(notes)}"] if notes else [])])
        numbers = {name: _numbers(*both) for name, both in tables.items()}
        results = {"tables": without_nan(numbers), "notes": notes}
        write_text(run.dir / "results.json", json.dumps(results, indent=2))
        write_text(run.dir / "comparison.txt", f"{escaped(text)}\n")
        draw(run.dir / "comparison.png", {name: table for name, (_, table) in tables.items()})
        run.finish()
    return f"{text}\n\nnumbers, table and picture: {run.dir}"


def _tables(config: Config, step: str, pairing: Pairing) -> Iterator[tuple[str, Comparison]]:
    """Compare the arms on each set."""
    for name in pairing.sets:
        table = compare_arms(
            pairing.arms,
            config.compare.against or pairing.first,
            dataset=name,
            confidence=config.benchmark.confidence,
        )
        yield f"{step}, {name}", table


def _numbers(pairing: Pairing, table: Comparison) -> dict[str, object]:
    """Return a table as JSON values, with what it was made of."""
    files = {label: [*map(str, paths)] for label, paths in pairing.arms.items()}
    return {
        **asdict(table),
        "seeds": pairing.seeds,
        "answers": files,
        "settings": pairing.settings,
    }
