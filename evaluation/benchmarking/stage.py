"""Benchmark: score checkpoints on sets under conditions, and write tables with intervals."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from configs.benchmark import BenchmarkConfig
from configs.schema import Config
from datamodules.contamination.overlap import Overlap, find_overlap, overlap_notes
from datamodules.truth import known_fields
from evaluation.benchmarking.datasets import BenchmarkSet, load_set
from evaluation.benchmarking.fixed_options import MacroF1, macro_f1
from evaluation.benchmarking.metrics import ablations, comparison, groundings, mean_of, score_row
from evaluation.benchmarking.models import (
    EvaluatedModel,
    LazyReader,
    answer_missing,
    count_missing,
    evaluated_models,
)
from evaluation.benchmarking.report import Comparison, Report, ScoreRow
from evaluation.benchmarking.scoring import SetScores, grade_answers, official, rows, set_scores
from evaluation.benchmarking.tables import check_complete, render, short_names
from inference.loading import weights_of
from modules.grading import HARNESS
from runtime.loggers import sends_to_wandb
from runtime.runs import Run, open_run
from runtime.writing import write_text

log = logging.getLogger(__name__)

LeaksOf = Mapping[tuple[str, str], Overlap]
"""Overlap of training and test, by set and checkpoint."""

Groups = Mapping[str, Sequence[int]]
"""Questions of one set, by the name of their group."""


@dataclass(frozen=True, kw_only=True)
class SetResults:
    """The results of all checkpoints on one set."""

    scores: Mapping[str, Mapping[str, SetScores]]
    """By checkpoint and condition."""

    official: Mapping[str, Mapping[str, float] | None]
    """By checkpoint."""

    macro_f1: Mapping[str, MacroF1 | None]
    """By checkpoint."""


def benchmark(config: Config) -> str:
    """Generate missing answers, and once none is missing return the tables to print."""
    described = config.benchmark.grade_by == "description"
    if described:
        config = replace(config, data=replace(config.data, task="describe"))
    with open_run(config) as run:
        tell = _teller(config, run)
        models = evaluated_models(config, LazyReader(config) if described else None)
        encoder = models[0].frozen.encoder
        sets = [load_set(name, config, encoder, run_dir=run.dir) for name in config.benchmark.sets]
        groups = _groups(sets, config)
        for model in models:
            answer_missing(model, sets, config)
        wanted, missing = count_missing(models, sets)
        if missing:
            return (
                f"{missing} of {wanted} answers are still missing, those of other shares: when "
                "these have ended, the same command makes the table, and so does "
                "benchmark.shard=1/1, which asks what is then still missing."
            )
        results = _grade(models, sets, run, described=described)
        root, samples = Path(config.data.root), {dataset.name: dataset.samples for dataset in sets}
        leaks = {
            (name, model.name): overlap
            for model in models
            for name, overlap in find_overlap(Path(model.path), samples, root=root).items()
        }
        notes = [*_notes(sets, results, leaks, described=described), f"per question: {run.dir}"]
        names = [model.name for model in models]
        report = _report(config, names, sets, groups, results, notes)
        check_complete(report)
        write_text(run.dir / "results.json", _results(config, models, report, leaks))
        tell(sets, report)
        run.finish()
    return render(report)


def _teller(config: Config, run: Run) -> Callable[[Sequence[BenchmarkSet], Report], None]:
    """Return what sends scores to the configured logger, which is in reach."""
    if not sends_to_wandb(config):
        return lambda *_: None
    # Seconds that others need not wait; `keywords` checks the server before anything is asked.
    from evaluation.benchmarking.wandb_scores import send  # noqa: PLC0415
    from runtime.wandb_session import keywords  # noqa: PLC0415

    return partial(send, config, run, keywords(config, run))


def _grade(
    models: Sequence[EvaluatedModel], sets: Sequence[BenchmarkSet], run: Run, *, described: bool
) -> list[SetResults]:
    """Grade all answers, and write a row for each in a file of each checkpoint."""
    scores: list[dict[str, dict[str, SetScores]]] = [{} for _ in sets]
    summaries: list[dict[str, Mapping[str, float] | None]] = [{} for _ in sets]
    classified: list[dict[str, MacroF1 | None]] = [{} for _ in sets]
    for model in models:
        answers, lines = model.answers(), []
        for dataset, own, summary, f1 in zip(sets, scores, summaries, classified, strict=True):
            own[model.name] = {}
            for number, setting in enumerate(dataset.settings):
                graded = grade_answers(dataset, answers, setting)
                own[model.name][setting] = set_scores(dataset, graded)
                if number == 0:
                    summary[model.name] = (
                        None if described else official(graded, malformed=dataset.malformed)
                    )
                    f1[model.name] = macro_f1(graded)
                written = rows(dataset, graded, described=described)
                lines += [json.dumps(row, ensure_ascii=False) for row in written]
        text = "".join(f"{row}\n" for row in lines)
        write_text(run.dir / f"{model.name}.jsonl", text)
    return [
        SetResults(scores=own, official=summary, macro_f1=f1)
        for own, summary, f1 in zip(scores, summaries, classified, strict=True)
    ]


def _report(
    config: Config,
    names: Sequence[str],
    sets: Sequence[BenchmarkSet],
    groups: Sequence[Groups],
    results: Sequence[SetResults],
    notes: Sequence[str],
) -> Report:
    """Compute everything that the tables show."""
    settings = config.benchmark
    confidence = settings.confidence
    pairs = list(zip(sets, results, strict=True))
    alone = [(dataset, name, own.scores[name]) for dataset, own in pairs for name in names]
    main = settings.conditions[0]
    described = settings.grade_by == "description"

    def score_rows(dataset: BenchmarkSet, own: SetResults) -> list[ScoreRow]:
        return [
            score_row(
                dataset,
                name,
                own.scores[name],
                official=own.official[name],
                macro_f1=own.macro_f1[name],
                described=described,
                confidence=confidence,
            )
            for name in names
        ]

    def comparisons(dataset: BenchmarkSet, own: SetResults, rows: Groups) -> list[Comparison]:
        return [
            comparison(
                dataset,
                {n: own.scores[n][main] for n in (names[0], other)},
                rows,
                confidence=confidence,
            )
            for other in names[1:] or names
        ]

    return Report(
        heading=_heading(config),
        lines=[row for dataset, own in pairs for row in score_rows(dataset, own)],
        means=[
            mean_of(name, sets, [own.scores[name][main] for own in results], confidence=confidence)
            for name in names
            if len(sets) > 1
        ],
        comparisons=[
            each
            for (dataset, own), rows in zip(pairs, groups, strict=True)
            for each in comparisons(dataset, own, rows)
        ],
        ablations=[row for scored in alone for row in ablations(*scored, confidence=confidence)],
        groundings=[row for scored in alone for row in groundings(*scored, confidence=confidence)],
        notes=notes,
    )


def _heading(config: Config) -> str:
    """Say what the numbers are, and how questions were prompted."""
    settings = config.benchmark
    name = f"/{settings.sets[0]}" if len(settings.sets) == 1 else ""
    lines = [
        f"{config.data.name}{name}: accuracy in percent, {settings.confidence:.0%} intervals "
        "clustered by asset, and their p"
    ]
    if settings.conditions[0] != "full":
        lines.append(f"shown: {settings.conditions[0]}")
    if settings.grade_by == "description":
        reader = config.prealign.reader or weights_of(config)
        lines.append(f"answers are those of {reader} by descriptions alone")
    return "\n".join(lines)


def _notes(
    sets: Sequence[BenchmarkSet], results: Sequence[SetResults], leaks: LeaksOf, *, described: bool
) -> list[str]:
    """Write the notes below the tables."""
    names, notes, leaky = short_names([dataset.name for dataset in sets]), [], []
    for dataset, own in zip(sets, results, strict=True):
        for name, scores in own.scores.items():
            share = scores[dataset.settings[0]].given_away.mean()
            leaky.append(f"{name} {share:.1%}, {names[dataset.name]}")
            summary = own.official[name] or {}
            notes += [
                f"official {measure} of {name} on {names[dataset.name]}: {value:.2f}"
                for measure, value in summary.items()
                if measure not in ("score", "counted")
            ]
    if described:
        notes.append("descriptions that give an answer away: " + "; ".join(leaky))
    return notes + overlap_notes({(names[s], name): each for (s, name), each in leaks.items()})


def _groups(sets: Sequence[BenchmarkSet], config: Config) -> list[Groups]:
    """Group the questions of each set; raise where no question has such a group."""
    by, root = config.benchmark.group_by, Path(config.data.root)
    fields = {field for dataset in sets for sample in dataset.samples for field in sample.facts}
    fields |= {
        field
        for dataset in sets
        for row in known_fields(root, dataset.name, ()).values()
        for field in row.keys() - {"id"}
    }
    if by not in fields and by != BenchmarkConfig().group_by:
        listed = f"choose from {', '.join(sorted(fields))}, or leave it out"
        raise ValueError(
            f"benchmark.group_by is {by}, but no question of {', '.join(s.name for s in sets)} "
            "and no truth file has such a field, so that nothing would be grouped: "
            f"{listed if fields else 'leave it out, they have no fields'}."
        )
    return [_groups_of(dataset, by, root) for dataset in sets]


def _groups_of(dataset: BenchmarkSet, by: str, root: Path) -> Groups:
    """Group one set: all questions, those known to need media, and the groups of the publisher or
    of a truth file."""
    groups: dict[str, Sequence[int]] = {"all questions": range(len(dataset))}
    stated = {n: sample.facts[by] for n, sample in enumerate(dataset.samples) if by in sample.facts}
    fields = ("evidence",) if stated else ("evidence", by)
    known = known_fields(root, dataset.name, fields)
    truth = {n: known[s.id] for n, s in enumerate(dataset.samples) if s.id in known}
    if truth:
        groups["need the media"] = [n for n, row in truth.items() if row["evidence"] != "text"]
    stated = stated or {n: row[by] for n, row in truth.items()}
    for name in sorted({*stated.values()}):
        groups[f"  {name}"] = [n for n, group in stated.items() if group == name]
    return groups


def _results(
    config: Config, models: Sequence[EvaluatedModel], report: Report, leaks: LeaksOf
) -> str:
    """Write results.json, see docs/benchmarks.md."""
    settings = config.benchmark
    results = {
        "sets": settings.sets,
        "conditions": settings.conditions,
        "orders": settings.option_permutations,
        "by": settings.grade_by,
        "answer_with": config.model.answer_with,
        "harness_version": HARNESS,
        "checkpoints": {model.name: model.path for model in models},
        "answers": {model.name: model.key for model in models},
        "weights": {model.name: model.frozen.digest for model in models},
        "leaks": [
            {"set": dataset, "checkpoint": name, **asdict(overlap)}
            for (dataset, name), overlap in leaks.items()
        ],
        **report.as_dict(),
    }
    return json.dumps(results, indent=2)
