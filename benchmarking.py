"""Benchmark: the same questions to several checkpoints, and one table with intervals."""

import json
import logging
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path

from asking import ask, load_frozen, with_weights
from auditing.truth import read_fields
from building import build_encoder, weights_of
from configs.schema import Config
from datamodules.prompts import PromptEncoder
from datamodules.question_set import QuestionSet, load_questions
from modules.answering import Answers
from modules.rollouts import Sampling
from report import Row, compare, table
from runs import append_jsonl, open_run, write_atomically

log = logging.getLogger(__name__)

Scored = dict[str, Answers]
"""Answers by sample id."""


def benchmark(config: Config) -> str:
    """Score the model and every checkpoint on one split; return the tables that are printed."""
    settings = config.benchmark
    with open_run(config) as run:
        encoder = build_encoder(config)
        questions = load_questions(config.data, settings.split, encoder, run_dir=run.dir)
        questions.samples = questions.samples[: settings.limit or None]
        paths = [weights_of(config), *settings.checkpoints]
        for path in paths:  # a wrong one shows before hours of work
            _check_same_prompts(encoder, build_encoder(with_weights(config, path)), path)
        truth = Path(config.data.root) / "truth" / f"{settings.split}.jsonl"
        known = read_fields(truth, ("evidence", settings.group_by))
        names = _distinct([config.model.name, *map(_name, settings.checkpoints)])
        scored = {
            name: _score(with_weights(config, path), questions, run.dir / f"{name}.jsonl", name)
            for name, path in zip(names, paths, strict=True)
        }
        groups = _groups(scored[names[0]], [*known.values()], settings.group_by)
        tables = [
            _rows(config, {name: scored[name] for name in {names[0]: 0, other: 0}}, groups)
            for other in names[1:] or names
        ]
        results = {
            "split": settings.split,
            "checkpoints": dict(zip(names, paths, strict=True)),
            "unparsed": {name: _unparsed(answers) for name, answers in scored.items()},
            "rows": [_as_dict(row) for rows in tables for row in rows],
        }
        write_atomically(run.dir / "results.json", json.dumps(results, indent=2))
        run.finish()
    heading = (
        f"{config.data.name}/{settings.split}: accuracy in percent, {settings.confidence:.0%} "
        "intervals by bootstrap over assets; p by McNemar's exact test"
    )
    unparsed = ", ".join(f"{name} {_unparsed(scored[name]):.1%}" for name in names)
    footer = f"unparsed answers, counted as wrong: {unparsed}\nper question: {run.dir}"
    return "\n\n".join([heading, *map(table, tables), footer])


def _score(config: Config, questions: QuestionSet, file: Path, name: str) -> Scored:
    """Let one checkpoint answer every question greedily; keep each answer with its verdict."""
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
    )
    for batch in batches:
        for answers in batch:
            verdict, sample = answers.verdicts[0], answers.sample
            scored[sample.id] = answers
            append_jsonl(
                file,
                {
                    "id": sample.id,
                    "content_hash": sample.content_hash,
                    "asset_id": sample.asset_id,
                    "question": sample.question,
                    "answer": sample.answer,
                    "completion": answers.completions[0],
                    "extracted": verdict.extracted,
                    "rule": verdict.rule,
                    "correct": verdict.correct,
                },
            )
    return scored


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
