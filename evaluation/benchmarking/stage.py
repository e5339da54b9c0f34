"""Benchmark: any sets to any checkpoints under any conditions, and tables with intervals."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from configs.benchmark import BenchmarkConfig
from configs.schema import Config
from datamodules.contamination.overlap import Overlap, find_overlap, overlap_notes
from evaluation.auditing.truth import known_fields
from evaluation.benchmarking.datasets import BenchmarkSet, load_set
from evaluation.benchmarking.metrics import (
    Comparison,
    Drawing,
    Line,
    Report,
    ablations,
    comparison,
    groundings,
    line,
    mean_of,
)
from evaluation.benchmarking.models import Contender, Readers, contenders_of, fill, lacking
from evaluation.benchmarking.scoring import Outcome, judged, official, outcome, rows
from evaluation.benchmarking.tables import check_complete, render, short_names
from inference.loading import weights_of
from modules.grading import HARNESS
from runtime.runs import Run, open_run
from runtime.writing import write_text

log = logging.getLogger(__name__)

LeaksOf = Mapping[tuple[str, str], Overlap]
"""What training and test have in common, by set and checkpoint."""

Groups = Mapping[str, Sequence[int]]
"""Questions of one set, by the name of their row."""

Found = Mapping[str, Mapping[str, Outcome]]
"""What checkpoints made of one set, by their names and by conditions."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What checkpoints made of one set."""

    found: Found
    official: Mapping[str, Mapping[str, float] | None]
    """By checkpoint."""


def benchmark(config: Config) -> str:
    """Ask what was not asked yet, and once nothing is missing return the tables to print."""
    described = config.benchmark.grade_by == "description"
    if config.data.task == "describe" and not described:
        raise ValueError(
            "data.task is describe, but benchmark.grade_by=answer judges answers, and a "
            "description is none: set benchmark.grade_by=description, or data.task=answer."
        )
    if described:
        config = replace(config, data=replace(config.data, task="describe"))
    with open_run(config) as run:
        contenders = contenders_of(config, Readers(config) if described else None)
        encoder = contenders[0].probe.encoder
        sets = [load_set(name, config, encoder, run_dir=run.dir) for name in config.benchmark.sets]
        groups = _groups(sets, config)
        for contender in contenders:
            fill(contender, sets, config)
        wanted, missing = lacking(contenders, sets)
        if missing:
            return (
                f"{missing} of {wanted} answers are still missing, those of other shares: when "
                "these have ended, the same command makes the table, and so does "
                "benchmark.shard=1/1, which asks what is then still missing."
            )
        scores = _judge(contenders, sets, run, described=described)
        root, samples = Path(config.data.root), {one.name: one.samples for one in sets}
        leaks = {
            (name, contender.name): found
            for contender in contenders
            for name, found in find_overlap(Path(contender.path), samples, root=root).items()
        }
        notes = [*_notes(sets, scores, leaks, described=described), f"per question: {run.dir}"]
        names = [contender.name for contender in contenders]
        report = _report(config, names, sets, groups, scores, notes)
        check_complete(report)
        write_text(run.dir / "results.json", _results(config, contenders, report, leaks))
        run.finish()
    return render(report)


def _judge(
    contenders: Sequence[Contender], sets: Sequence[BenchmarkSet], run: Run, *, described: bool
) -> list[Scores]:
    """Judge all answers, and leave a row for each in a file of each checkpoint."""
    found: list[dict[str, dict[str, Outcome]]] = [{} for _ in sets]
    officially: list[dict[str, Mapping[str, float] | None]] = [{} for _ in sets]
    for contender in contenders:
        answers, lines = contender.answers(), []
        for one, outcomes, summaries in zip(sets, found, officially, strict=True):
            outcomes[contender.name] = {}
            for number, setting in enumerate(one.settings):
                verdicts = judged(one, answers, setting)
                outcomes[contender.name][setting] = outcome(one, verdicts)
                if number == 0:
                    summaries[contender.name] = (
                        None if described else official(verdicts, malformed=one.malformed)
                    )
                told = rows(one, verdicts, described=described)
                lines += [json.dumps(row, ensure_ascii=False) for row in told]
        text = "".join(f"{row}\n" for row in lines)
        write_text(run.dir / f"{contender.name}.jsonl", text)
    return [
        Scores(found=own, official=summaries)
        for own, summaries in zip(found, officially, strict=True)
    ]


def _report(
    config: Config,
    names: Sequence[str],
    sets: Sequence[BenchmarkSet],
    groups: Sequence[Groups],
    scores: Sequence[Scores],
    notes: Sequence[str],
) -> Report:
    """Measure everything that the tables show."""
    settings = config.benchmark
    drawing = Drawing(
        resamples=settings.resamples, confidence=settings.confidence, seed=config.seed
    )
    pairs = list(zip(sets, scores, strict=True))
    alone = [(one, name, own.found[name]) for one, own in pairs for name in names]
    main = settings.conditions[0]
    described = settings.grade_by == "description"

    def lines(one: BenchmarkSet, own: Scores) -> list[Line]:
        return [
            line(
                one,
                name,
                own.found[name],
                official=own.official[name],
                described=described,
                drawing=drawing,
            )
            for name in names
        ]

    def comparisons(one: BenchmarkSet, own: Scores, rows: Groups) -> list[Comparison]:
        return [
            comparison(one, {n: own.found[n][main] for n in (names[0], other)}, rows, drawing)
            for other in names[1:] or names
        ]

    return Report(
        heading=_heading(config),
        lines=[each for one, own in pairs for each in lines(one, own)],
        means=[
            mean_of(name, sets, [own.found[name][main] for own in scores], drawing)
            for name in names
            if len(sets) > 1
        ],
        comparisons=[
            each
            for (one, own), rows in zip(pairs, groups, strict=True)
            for each in comparisons(one, own, rows)
        ],
        ablations=[each for asked in alone for each in ablations(*asked, drawing)],
        groundings=[each for asked in alone for each in groundings(*asked, drawing)],
        notes=notes,
    )


def _heading(config: Config) -> str:
    """Say what the numbers are, and how the questions were put."""
    settings = config.benchmark
    name = f"/{settings.sets[0]}" if len(settings.sets) == 1 else ""
    lines = [
        f"{config.data.name}{name}: accuracy in percent, {settings.confidence:.0%} intervals by "
        "bootstrap over assets; p by McNemar's exact test"
    ]
    if settings.conditions[0] != "full":
        lines.append(f"shown: {settings.conditions[0]}")
    if settings.grade_by == "description":
        reader = config.prealign.reader or weights_of(config)
        lines.append(f"answers are those of {reader} by descriptions alone")
    return "\n".join(lines)


def _notes(
    sets: Sequence[BenchmarkSet], scores: Sequence[Scores], leaks: LeaksOf, *, described: bool
) -> list[str]:
    """Say what else a reader of the tables has to know."""
    names, told, away = short_names([one.name for one in sets]), [], []
    for one, own in zip(sets, scores, strict=True):
        for name, found in own.found.items():
            share = found[one.settings[0]].given_away.mean()
            away.append(f"{name} {share:.1%}, {names[one.name]}")
            summary = own.official[name] or {}
            told += [
                f"official {measure} of {name} on {names[one.name]}: {value:.2f}"
                for measure, value in summary.items()
                if measure not in ("score", "counted")
            ]
    if described:
        told.append("descriptions that give an answer away: " + "; ".join(away))
    return told + overlap_notes({(names[one], name): each for (one, name), each in leaks.items()})


def _groups(sets: Sequence[BenchmarkSet], config: Config) -> list[Groups]:
    """Name the rows of the comparisons of each set, and see that somebody names such groups."""
    by, root = config.benchmark.group_by, Path(config.data.root)
    fields = {field for one in sets for sample in one.samples for field in sample.facts}
    fields |= {
        field
        for one in sets
        for row in known_fields(root, one.name, ()).values()
        for field in row.keys() - {"id"}
    }
    if by not in fields and by != BenchmarkConfig().group_by:
        listed = f"choose from {', '.join(sorted(fields))}, or leave it out"
        raise ValueError(
            f"benchmark.group_by is {by}, but no question of {', '.join(one.name for one in sets)} "
            "and no truth file has such a field, so that nothing would be grouped: "
            f"{listed if fields else 'leave it out, they have no fields'}."
        )
    return [_groups_of(one, by, root) for one in sets]


def _groups_of(one: BenchmarkSet, by: str, root: Path) -> Groups:
    """Take all questions, those that truly need media where that is known, and the groups that the
    publisher or a truth file makes."""
    groups: dict[str, Sequence[int]] = {"all questions": range(len(one))}
    stated = {n: sample.facts[by] for n, sample in enumerate(one.samples) if by in sample.facts}
    fields = ("evidence",) if stated else ("evidence", by)
    known = known_fields(root, one.name, fields)
    truth = {n: known[s.id] for n, s in enumerate(one.samples) if s.id in known}
    if truth:
        groups["need the media"] = [n for n, row in truth.items() if row["evidence"] != "text"]
    stated = stated or {n: row[by] for n, row in truth.items()}
    for name in sorted({*stated.values()}):
        groups[f"  {name}"] = [n for n, group in stated.items() if group == name]
    return groups


def _results(
    config: Config, contenders: Sequence[Contender], report: Report, leaks: LeaksOf
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
        "checkpoints": {contender.name: contender.path for contender in contenders},
        "answers": {contender.name: contender.key for contender in contenders},
        "leaks": [
            {"set": one, "checkpoint": name, **asdict(found)}
            for (one, name), found in leaks.items()
        ],
        **report.as_dict(),
    }
    return json.dumps(results, indent=2)
