"""Audit: apply every rule to the cached counts of every question; no model is run."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from configs.schema import AuditConfig, Config, DataConfig
from datamodules.contribution.probe_cache import compact, find_probe, probes
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.selection import probe_directory
from datamodules.digits.build import ensure
from datamodules.sample import Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.manifest_files import manifest_path
from datamodules.sources.quarantine import Quarantine
from datamodules.truth import read_truth
from evaluation.auditing.coverage import Coverage, coverage
from evaluation.auditing.plot import draw
from evaluation.auditing.rules import (
    RuleResult,
    UnansweredRule,
    agree,
    all_rule_results,
    check_all,
    rule_row,
)
from evaluation.auditing.shapley import ShapleyResult, group_means, shapley_values
from evaluation.auditing.tables import (
    agreement_table,
    contribution_table,
    coverage_table,
    rules_table,
    truth_tables,
    unanswered_list,
)
from evaluation.statistics.intervals import Interval, without_nan
from runtime.runs import open_run
from runtime.writing import write_text

Truth = Mapping[str, Mapping[str, str]]
"""Rows of a truth file by question id."""

Groups = list[tuple[str, dict[str, Interval]]]
"""Names of groups, and the mean share of each part."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One part of the report of an audit."""

    name: str
    text: str
    """For the terminal, readable in 100 columns."""

    numbers: object
    """For results.json."""


def audit(config: Config) -> str:
    """Audit the questions of one split from the cache; return the tables to print."""
    settings, cache = config.audit, probe_directory(config.data)
    with open_run(config) as run:
        samples = questions_of(config.data, settings.split, run_dir=run.dir)
        samples = samples[: settings.limit or None]
        facts = _probes(cache, settings.probes)
        truth = _truth(config)
        notes = [_compacted(cache, key) for key in facts] if settings.compact else []
        scores = load_scores(cache, facts, samples)
        rows = [row for key in scores for row in coverage(key, scores[key], samples)]
        _check_answers(rows, cache, facts, settings.split)
        results, lacking = all_rule_results(config.data.contribution, cache, samples, scores)
        shapley = shapley_values(samples, scores, confidence=settings.confidence)
        shared, means = _contribution(config, samples, shapley, _groups(settings, samples, truth))
        sections = [
            Section(name="probes", text=coverage_table(facts, rows), numbers=_plain(rows)),
            *_rules(config, samples, results, truth),
            shared,
        ]
        if lacking:
            asked = config.data.contribution.rule
            text = unanswered_list(lacking, split=settings.split, asked=asked)
            sections.append(Section(name="not_judged", text=text, numbers=_plain(lacking)))
        files = ["results.json", "contribution.jsonl"]
        if shapley is not None and settings.plot:
            files.append("contribution.png")
            model = facts[shapley.key].get("model", shapley.key[:8])
            title = f"{config.data.name}/{settings.split}: what each part adds for {model}"
            draw(run.dir / "contribution.png", means, shapley, title=title)
        _write_questions(run.dir / "contribution.jsonl", samples, results, shapley)
        numbers = {"split": settings.split, "questions": len(samples)}
        numbers |= {section.name: section.numbers for section in sections}
        write_text(run.dir / "results.json", json.dumps(without_nan(numbers), indent=2))
        run.finish()
    heading = f"{config.data.name}/{settings.split}: {len(samples)} questions, answers in {cache}"
    parts = ["\n".join([heading, *notes]), *(section.text for section in sections)]
    return "\n\n".join([*parts, f"{', '.join(files)} in {run.dir}"])


def questions_of(data: DataConfig, split: str, *, run_dir: Path) -> list[Sample]:
    """Read the manifest, without a model or a tokenizer."""
    root = Path(data.root)
    if data.embedded:
        ensure(root)
    quarantine = Quarantine(max_bad_share=data.max_bad_share, run_dir=run_dir)
    path = manifest_path(root, split)
    samples = read_manifest(
        path,
        root,
        quarantine,
        format=data.format,
        verifiers=data.verifiers,
        outside_root=data.outside_root,
    )
    quarantine.check(len(samples) + len(quarantine))
    if not samples:
        raise ValueError(
            f"{path} holds no question, but there is none to judge without: name another manifest."
        )
    return samples


def load_scores(cache: Path, keys: Iterable[str], samples: Sequence[Sample]) -> dict[str, Scores]:
    """Read what each probe has answered to these questions."""
    hashes = [sample.content_hash for sample in samples]
    return {key: Scores.load(cache, key, hashes) for key in keys}


def _probes(cache: Path, named: Sequence[str]) -> dict[str, dict[str, object]]:
    """List the probes to read: the named ones in order, or all."""
    known = probes(cache)
    if not known:
        raise ValueError(
            f"There is no probe in {cache}, but an audit reads what probes have counted: run "
            "`python eval.py stage=probe` with the same data first, or name another directory "
            "with data.contribution.cache=..."
        )
    keys = dict.fromkeys(find_probe(cache, name) for name in named) or known
    return {key: known[key] for key in keys}


def _truth(config: Config) -> Truth:
    """Read the truth file of the split; it may be absent unless groups are named by it."""
    settings = config.audit
    file = Path(config.data.root) / "truth" / f"{settings.split}.jsonl"
    if settings.group_by == "source":
        return read_truth(file)
    if not file.exists():
        raise ValueError(
            f"audit.group_by is {settings.group_by}, but there is no {file} that says it of each "
            "question: write it there, or set audit.group_by=source."
        )
    return read_truth(file, ("evidence", settings.group_by))


def _groups(settings: AuditConfig, samples: Sequence[Sample], truth: Truth) -> list[str]:
    """Group of each question."""
    if settings.group_by == "source":
        return [sample.source for sample in samples]
    return [truth.get(sample.id, {}).get(settings.group_by, "unknown") for sample in samples]


def _compacted(cache: Path, key: str) -> str:
    """Merge the shards of a probe into one, and say so."""
    shards = len(list((cache / f"probe={key}").glob("*.parquet")))
    merged = compact(cache, key) is not None
    return f"{key[:8]}: {f'{shards} shards became one' if merged else 'nothing to compact'}"


def _check_answers(
    rows: Sequence[Coverage], cache: Path, keys: Mapping[str, object], split: str
) -> None:
    """Raise where the cache has no answer to these questions."""
    if not rows:
        raise ValueError(
            f"{cache} holds probes ({', '.join(key[:8] for key in keys)}) that have answered no "
            f"question of {split}, but an audit reads answers: run `python eval.py "
            f"stage=probe probe.split={split}`, or choose another audit.split."
        )


def _rules(
    config: Config, samples: Sequence[Sample], results: Sequence[RuleResult], truth: Truth
) -> Iterator[Section]:
    """Report the bands by rule, the agreement of rules, and how right they are."""
    confidence = config.audit.confidence
    assets = [sample.asset_id for sample in samples]
    rows = [rule_row(result, assets, confidence=confidence) for result in results]
    if rows:
        numbers: object = [asdict(row) for row in rows]
        yield Section(name="rules", text=rules_table(rows), numbers=numbers)
    if len(results) > 1:
        agreement = agree(results)
        yield Section(name="agreement", text=agreement_table(agreement), numbers=asdict(agreement))
    if checks := check_all(results, samples, truth, confidence=confidence):
        numbers = {name: asdict(check) for name, check in checks.items()}
        yield Section(name="truth", text=truth_tables(checks), numbers=numbers)


def _contribution(
    config: Config, samples: Sequence[Sample], result: ShapleyResult | None, groups: Sequence[str]
) -> tuple[Section, Groups]:
    """Report the contribution of each part, by group."""
    settings = config.audit
    numbers: dict[str, object] = {}
    means: Groups = []
    if result is not None:
        means = group_means(
            result,
            groups,
            [sample.asset_id for sample in samples],
            confidence=settings.confidence,
        )
        numbers |= {"probe": result.key, "how": result.how, "players": result.players}
        numbers["groups"] = {
            title: {name: asdict(mean) for name, mean in row.items()} for title, row in means
        }
    text = contribution_table(result, means, split=settings.split)
    return Section(name="contribution", text=text, numbers=numbers), means


def _write_questions(
    path: Path,
    samples: Sequence[Sample],
    results: Sequence[RuleResult],
    shapley: ShapleyResult | None,
) -> None:
    """Write a line for every question: its bands by rule, and the contribution of each part."""
    bands = {result.name: result.bands.tolist() for result in results}
    shares = {} if shapley is None else shapley.by_question()
    lines = []
    for i, sample in enumerate(samples):
        row: dict[str, object] = {"id": sample.id}
        row["bands"] = {name: own[i] for name, own in bands.items()}
        row |= {name: without_nan(values[i]) for name, values in shares.items()}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_text(path, "".join(lines))


def _plain(rows: Sequence[Coverage] | Sequence[UnansweredRule]) -> list[dict[str, object]]:
    """Convert rows to JSON objects."""
    return [asdict(row) for row in rows]
