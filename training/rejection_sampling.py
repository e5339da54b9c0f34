"""Rejection sampling: sample traces of the training questions, keep those that pass filters.

    <data.root>/<distill.rejection_sampling.cache>/<key>.json     what the key stands for
                                       <key>.jsonl    a question a line, with all its traces
    <run directory>/traces.jsonl                      a trace a line, with the result of each filter

Samples depend on the policy, the prompts and the draws alone, and are cached under a key made of
them, so that other filters sample nothing again. The process that samples locks the file: another
that needs the same traces waits for them. Where the cache cannot be written, the same traces are
sampled without it: draws are keyed.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

from configs.distill import RejectionSamplingConfig
from configs.inputs import Task
from configs.schema import Config
from datamodules.contribution.selection import select_questions
from datamodules.draws import draw_seed
from datamodules.loading.question_set import QuestionSet, load_splits
from datamodules.sample import Sample
from inference.frozen import weights_digest
from inference.generate import ask, load_frozen
from inference.loading import build_encoder, build_gold_check, compute_dtype, weights_of
from modules.grading import HARNESS, GradedGroup
from modules.policy.sampling import Sampling
from modules.verifiers.trace_filters import Dropped, Trace, TraceDecision, filter_traces
from modules.verifiers.verify import verify_all
from runtime.runs import Run
from runtime.writing import write_text
from training.trace_cache import SampledTraces, TraceCache, read_cached

log = logging.getLogger(__name__)

FILE = "traces.jsonl"
"""In the run directory; `sft.traces` of another run may name it."""

NAMED_IN_KEYS: Mapping[Task, str] = {
    "answer": "answer",
    "describe": "evidence",
    "answer_from_description": "told",
}
"""Tasks as keys of the cache call them, which stay what they were."""

DROPPED = tuple(filter(None, get_args(Dropped)))


def traces_of(config: Config, run: Run) -> Path:
    """Write the traces to imitate into the run directory, sampling those that the cache lacks."""
    questions = asked_questions(config, run)
    return _write(config, run, questions, _sampled(config, questions))


def cached_traces(config: Config, run: Run) -> tuple[Path | None, str]:
    """Write the traces to imitate as `traces_of` does, or return in words what would be sampled
    before: no model is asked."""
    questions, own = asked_questions(config, run), config.distill.rejection_sampling
    cached, missing = read_cached(
        cache_file(config, key_facts(config, questions)), questions.samples
    )
    if next(_readable(questions, missing), None) is None:
        return _write(config, run, questions, cached), ""
    return None, (
        f"{own.samples} traces of each question are sampled first, and what the filters keep of "
        f"them is imitated: the cache has those of {len(cached):,} of {len(questions.samples):,} "
        "questions, and an epoch is of the traces that are kept"
    )


def asked_questions(config: Config, run: Run) -> QuestionSet:
    """Load the questions that traces are of."""
    encoder = build_encoder(config)
    questions, _ = load_splits(
        config.data, encoder, validate=False, run_dir=run.dir, golds=build_gold_check(config)
    )
    chosen = select_questions(
        questions.samples, config.data, seed=config.seed, run_dir=run.dir
    ).kept[: config.distill.rejection_sampling.limit or None]
    # Without its completion a question is encoded as it is where a trace takes that place.
    questions.samples = [replace(questions.samples[place], completion="") for place in chosen]
    return questions


def _write(
    config: Config, run: Run, questions: QuestionSet, sampled: Mapping[str, SampledTraces]
) -> Path:
    """Filter traces, and write all of them with what the filters say."""
    shown = [*map(questions.arrange_options, questions.samples)]
    rows = list(_rows(shown, sampled, config.distill.rejection_sampling))
    if run.lock is not None:  # this process leads
        log.info("%s", summary(rows, asked=len(questions.samples)))
    write_text(run.dir / FILE, _lines(rows))  # each process of a run writes the same
    return run.dir / FILE


def key_facts(config: Config, questions: QuestionSet) -> dict[str, object]:
    """List everything that a trace depends on, for the key and for people."""
    settings, encoder = config.distill.rejection_sampling, questions.encoder
    return {
        "model": config.model.name,
        "weights_digest": weights_digest(weights_of(config), encoder),
        "prompt_template": encoder.template(config.data.task),
        "ask": NAMED_IN_KEYS[config.data.task],
        "media_budget": asdict(config.data.media),
        "decoding": {
            "samples": settings.samples,
            "temperature": settings.temperature,
            "max_completion_tokens": settings.max_completion_tokens,
            "seed": config.seed,
            "dtype": str(compute_dtype(config)),
        },
        "harness_version": HARNESS,
    }


def summary(rows: Sequence[Mapping[str, object]], *, asked: int) -> str:
    """Count kept and dropped traces, as a table."""
    dropped = Counter(str(row["dropped"]) for row in rows if not row["kept"])
    unread = asked - len({row["id"] for row in rows})
    counts = {
        "questions": asked - unread,
        "questions that could not be shown": unread,
        "traces": len(rows),
        "right": sum(row["correct"] is True for row in rows),
        **{f"dropped: {reason}": dropped[reason] for reason in DROPPED},
        "kept": sum(row["kept"] is True for row in rows),
        "kept, repaired": sum(row["kept"] is True and row["repaired"] is True for row in rows),
        "questions with a kept trace": len({row["id"] for row in rows if row["kept"]}),
    }
    return "traces\n" + "\n".join(f"{name:<34}{count:>8}" for name, count in counts.items())


def _sampled(config: Config, questions: QuestionSet) -> dict[str, SampledTraces]:
    """Return the traces of each readable question by id; sample those that the cache lacks."""
    known = key_facts(config, questions)
    file = cache_file(config, known)
    cached, missing = read_cached(file, questions.samples)
    if not missing:
        log.info("traces: all %d questions are in %s", len(questions.samples), file)
    elif config.trainer.devices * config.trainer.num_nodes > 1:
        _check_unreadable(config, questions, missing)
    else:
        with TraceCache(file, known) as kept:
            if kept.grows:
                # another may have been faster
                cached, missing = read_cached(file, questions.samples)
            for answers in _asked(config, questions, missing):
                for group in answers:
                    texts, finished = [*group.completions], [*group.finished]
                    cached[group.sample.id] = SampledTraces(texts=texts, finished=finished)
                kept.add(_lines(map(_cached_row, answers)))
    return cached


def cache_file(config: Config, known: Mapping[str, object]) -> Path:
    """Return the place of the traces that depend on these facts."""
    key = hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=16).hexdigest()
    # an absolute cache replaces the root
    return Path(config.data.root) / config.distill.rejection_sampling.cache / f"{key}.jsonl"


def _asked(
    config: Config, questions: QuestionSet, missing: Sequence[Sample]
) -> Iterator[list[GradedGroup]]:
    """Sample traces, batch by batch; the policy is loaded only if a question can be read."""
    if next(_readable(questions, missing), None) is None:
        return
    settings, asked = config.distill.rejection_sampling, copy(questions)
    asked.samples = missing
    sampling = Sampling(
        group_size=settings.samples,
        max_tokens=settings.max_completion_tokens,
        temperature=settings.temperature,
    )
    yield from ask(
        load_frozen(config),
        asked,
        sampling,
        batch_size=settings.batch_size,
        seed=draw_seed(config.seed, "traces"),
        label="traces",
    )


def _check_unreadable(config: Config, questions: QuestionSet, missing: Sequence[Sample]) -> None:
    """Raise where several processes would have to sample, since each would do so for itself."""
    if lacking := list(_readable(questions, missing)):
        raise ValueError(
            f"{len(lacking)} of {len(questions.samples)} questions have no traces yet (first: "
            f"{lacking[0].id!r}), but traces are sampled in one process, and this run has "
            f"{config.trainer.devices} devices on {config.trainer.num_nodes} nodes: run the same "
            "command with trainer.devices=1 trainer.num_nodes=1 trainer.max_steps=1 first, which "
            "fills the cache."
        )


def _readable(questions: QuestionSet, missing: Sequence[Sample]) -> Iterator[Sample]:
    """Find the questions whose media can be read, one after the other; each may take a while."""
    subset = copy(questions)
    subset.samples = missing
    return (sample for n, sample in enumerate(missing) if subset.batch([n], step=0) is not None)


def _cached_row(answers: GradedGroup) -> dict[str, object]:
    """Make the line of one question in the cache."""
    return {
        "id": answers.sample.id,
        "content_hash": answers.sample.content_hash,
        "texts": list(answers.completions),
        "finished": list(answers.finished),
    }


def _rows(
    samples: Sequence[Sample], sampled: Mapping[str, SampledTraces], config: RejectionSamplingConfig
) -> Iterator[dict[str, object]]:
    """Verify and filter all traces, in the order of the questions."""
    shown = [sample for sample in samples if sample.id in sampled]
    pairs = [(text, sample) for sample in shown for text in sampled[sample.id].texts]
    verdicts = iter(verify_all([text for text, _ in pairs], [sample for _, sample in pairs]))
    for sample in shown:
        own = sampled[sample.id]
        traces = [
            Trace(text=text, finished=finished, verdict=next(verdicts))
            for text, finished in zip(own.texts, own.finished, strict=True)
        ]
        judged = filter_traces(traces, sample, config)
        for number, (trace, outcome) in enumerate(zip(traces, judged, strict=True)):
            yield _row(sample, number, trace, outcome)


def _row(sample: Sample, number: int, trace: Trace, judged: TraceDecision) -> dict[str, object]:
    """Make the line of one trace."""
    return {
        "id": sample.id,
        "content_hash": sample.content_hash,
        "question": sample.question,
        "answer": sample.answer,
        "answer_with": sample.answer_with,
        "number": number,
        "finished": trace.finished,
        "extracted": trace.verdict.extracted,
        "correct": trace.verdict.correct,
        **vars(judged),
    }


def _lines(rows: Iterable[Mapping[str, object]]) -> str:
    """Write a row a line."""
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
