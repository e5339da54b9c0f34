"""Benchmark: the same questions to several checkpoints, and one table with intervals."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from asking import ask, load_frozen, load_reader, with_weights
from auditing.truth import known_fields
from building import build_encoder, weights_of
from configs.schema import Config
from datamodules.prompts import PromptEncoder
from datamodules.question_set import QuestionSet, load_questions
from modules.answering import Answers
from modules.evidence import gives_away
from modules.reader import Reader
from modules.rollouts import Sampling
from modules.verifiers import verify_all
from report import Row, compare, table
from runs import append_jsonl, open_run, write_atomically

log = logging.getLogger(__name__)

Scored = dict[str, Answers]
"""Answers by sample id."""

_SAID = {
    "unparsed": "unparsed answers, counted as wrong",
    "given_away": "descriptions that give an answer away",
}


def benchmark(config: Config) -> str:
    """Score the model and every checkpoint on one split; return the tables that are printed."""
    settings = config.benchmark
    described = settings.by == "description"
    if config.data.ask == "evidence" and not described:
        raise ValueError(
            "data.ask is evidence, but benchmark.by=answer judges answers, and a description is "
            "none: set benchmark.by=description, or data.ask=answer."
        )
    with open_run(config) as run:
        encoder = build_encoder(config)
        data = replace(config.data, ask="evidence") if described else config.data
        questions = load_questions(data, settings.split, encoder, run_dir=run.dir)
        questions.samples = questions.samples[: settings.limit or None]
        questions = questions.under(settings.condition, settings.how)
        paths = [weights_of(config), *settings.checkpoints]
        for path in paths:  # a wrong one shows before hours of work
            _check_same_prompts(encoder, build_encoder(with_weights(config, path)), path)
        root, wanted = Path(config.data.root), ("evidence", settings.group_by)
        known = known_fields(root, settings.split, wanted)
        names = _distinct([config.model.name, *map(_name, settings.checkpoints)])
        reader = load_reader(config) if described else None
        scored = {
            name: _score(
                with_weights(config, path), questions, reader, run.dir / f"{name}.jsonl", name
            )
            for name, path in zip(names, paths, strict=True)
        }
        groups = _groups(scored[names[0]], [*known.values()], settings.group_by)
        tables = [
            _rows(config, {name: scored[name] for name in {names[0]: 0, other: 0}}, groups)
            for other in names[1:] or names
        ]
        told = {"unparsed": {name: _unparsed(answers) for name, answers in scored.items()}}
        if described:
            told["given_away"] = {name: _given_away(answers) for name, answers in scored.items()}
        results = {
            "split": settings.split,
            "condition": settings.condition,
            "how": settings.how,
            "checkpoints": dict(zip(names, paths, strict=True)),
            **told,
            "rows": [_as_dict(row) for rows in tables for row in rows],
        }
        write_atomically(run.dir / "results.json", json.dumps(results, indent=2))
        run.finish()
    shares = [
        f"{_SAID[kind]}: " + ", ".join(f"{name} {share:.1%}" for name, share in by_name.items())
        for kind, by_name in told.items()
    ]
    footer = "\n".join([*shares, f"per question: {run.dir}"])
    return "\n\n".join([_heading(config), *map(table, tables), footer])


def _heading(config: Config) -> str:
    """Say what the numbers are, and how the questions were put."""
    settings = config.benchmark
    lines = [
        f"{config.data.name}/{settings.split}: accuracy in percent, {settings.confidence:.0%} "
        "intervals by bootstrap over assets; p by McNemar's exact test"
    ]
    if settings.condition != "full":
        lines.append(f"shown: {settings.condition}, the rest {settings.how}")
    if settings.by == "description":
        reader = config.prealign.reader or weights_of(config)
        lines.append(f"answers are those of {reader} by descriptions alone")
    return "\n".join(lines)


def _score(
    config: Config, questions: QuestionSet, reader: Reader | None, file: Path, name: str
) -> Scored:
    """Let one checkpoint answer every question greedily, or describe it to a reader who does; keep
    each answer with its verdict."""
    settings = config.benchmark
    file.unlink(missing_ok=True)
    sampling = Sampling(group_size=1, max_tokens=settings.max_completion_tokens, temperature=0.0)
    scored: Scored = {}
    batches = ask(
        load_frozen(config),
        questions,
        sampling,
        batch_size=settings.batch_size,
        seed=config.seed,
        label=name,
        judge=verify_all if reader is None else reader.verdicts,
    )
    for batch in batches:
        for answers in batch:
            scored[answers.sample.id] = answers
            append_jsonl(file, _row_of(answers, described=reader is not None))
    return scored


def _row_of(answers: Answers, *, described: bool) -> dict[str, object]:
    """Write down one question, and what was said to it or read from that."""
    verdict, sample, [said] = answers.verdicts[0], answers.sample, answers.completions
    told = {"description": said, "honest": not gives_away(said, sample)}
    return {
        "id": sample.id,
        "content_hash": sample.content_hash,
        "asset_id": sample.asset_id,
        "question": sample.question,
        "answer": sample.answer,
        **(told if described else {"completion": said}),
        "extracted": verdict.extracted,
        "rule": verdict.rule,
        "correct": verdict.correct,
    }


def _check_same_prompts(encoder: PromptEncoder, other: PromptEncoder, path: str) -> None:
    """Raise where a checkpoint would read the prompts of the baseline as something else."""
    same_words = encoder.tokenizer.get_vocab() == other.tokenizer.get_vocab()
    if not same_words or encoder.template_hash != other.template_hash:
        raise ValueError(
            f"{path} has another vocabulary or chat template than the baseline, so it would not "
            "be asked the same questions: score it in a benchmark of its own with init_from."
        )


def _groups(
    scored: Scored, truth: Sequence[Mapping[str, str]], group_by: str
) -> Mapping[str, Sequence[str]]:
    """Name the rows of the table: all questions, and where it is known, what they truly need."""
    groups: dict[str, list[str]] = {"all questions": list(scored)}
    asked = [row for row in truth if row["id"] in scored]
    if asked:
        groups["need the media"] = [row["id"] for row in asked if row["evidence"] != "text"]
    for name in sorted({row[group_by] for row in asked}):
        groups[f"  {name}"] = [row["id"] for row in asked if row[group_by] == name]
    return groups


def _rows(
    config: Config, scored: Mapping[str, Scored], groups: Mapping[str, Sequence[str]]
) -> list[Row]:
    """Compare two checkpoints, or show one, group by group."""
    any_scored = next(iter(scored.values()))
    return [
        compare(
            group,
            {name: [answers[id_].n_correct for id_ in ids] for name, answers in scored.items()},
            [any_scored[id_].sample.asset_id for id_ in ids],
            resamples=config.benchmark.resamples,
            confidence=config.benchmark.confidence,
            seed=config.seed,
        )
        for group, ids in groups.items()
    ]


def _as_dict(row: Row) -> dict[str, object]:
    """Write one row as JSON does it."""
    difference = None if row.difference is None else vars(row.difference)
    scores = {name: vars(interval) for name, interval in row.scores.items()}
    group = row.questions.strip()
    return {"questions": group, "scores": scores, "difference": difference, "p": row.p}


def _unparsed(scored: Scored) -> float:
    """The share of answers that could not be read."""
    return sum(answers.n_unparsed for answers in scored.values()) / max(1, len(scored))


def _given_away(scored: Scored) -> float:
    """The share of descriptions that state an answer."""
    away = [gives_away(one.completions[0], one.sample) for one in scored.values()]
    return sum(away) / max(1, len(away))


def _name(path: str) -> str:
    """Call an export by its run, any other directory by its own name."""
    directory = Path(path)
    return directory.parent.name if directory.name == "export" else directory.name


def _distinct(names: Sequence[str]) -> list[str]:
    """Number names that occur again."""
    taken: list[str] = []
    for name in names:
        numbered = (f"{name}-{number}" for number in count(2))
        taken.append(name if name not in taken else next(n for n in numbered if n not in taken))
    return taken
