"""Probe: ask a frozen model with media withheld, and keep the counts."""

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from asking import ask, load_frozen
from configs.schema import Condition, Config
from datamodules.contribution import (
    PRESETS,
    WITHHELD,
    How,
    decide,
    guesser_share,
    why_undefined,
)
from datamodules.media import file_digest
from datamodules.probe_cache import ProbeRow, counts, probe_key, read_rows, write_shard
from datamodules.prompts import PromptEncoder
from datamodules.questions import QuestionSet, load_questions
from datamodules.sample import Sample
from datamodules.selection import probe_directory
from modules.answering import Answers
from modules.omni import OmniModel
from modules.rollouts import Sampling
from runs import open_run
from training import build_encoder, compute_dtype, weights_of

log = logging.getLogger(__name__)

HARNESS = "1"
"""Version of how questions are asked and judged; raise it when old counts no longer compare."""

BATCHES_PER_SHARD = 16
"""A killed probe repeats at most this many batches."""


def probe(config: Config) -> str:
    """Fill the cache with what is missing from it; return the summary that is printed."""
    with open_run(config) as run:
        encoder = build_encoder(config)
        questions = load_questions(config.data, config.probe.split, encoder, run_dir=run.dir)
        limit = config.probe.limit or len(questions.samples)
        questions.samples = questions.samples[:limit]
        key = key_of(config, encoder)
        policy = load_frozen(config)
        for condition in config.probe.conditions:
            _probe_condition(config, policy, questions, condition, key)
        run.finish()
    return summary(config, questions.samples, key)


def summary(config: Config, samples: Sequence[Sample], key: str) -> str:
    """Say how the probe answered, and what each rule that its counts suffice for would keep."""
    cache = probe_directory(config.data)
    hashes = [sample.content_hash for sample in samples]
    lines = [f"probe {key} in {cache}", "", f"{'condition':<12}{'how':<8}{'asked':>8}{'right':>8}"]
    for condition in config.probe.conditions:
        how = _how(config, condition)
        found = counts(cache, [key], hashes, condition=condition, how=how)
        right = found.n_correct.sum() / max(1, found.n.sum())
        lines.append(f"{condition:<12}{how:<8}{(found.n > 0).sum():>8}{right:>8.1%}")
    for rule in PRESETS.values():
        if rule.condition not in config.probe.conditions or rule.how != config.probe.how:
            continue
        found = counts(cache, [key], hashes, condition=rule.condition, how=rule.how)
        undefined = [why_undefined(rule, sample.media) for sample in samples]
        decided = Counter(decide(rule, found, undefined))
        if not decided["missing"]:
            kept = decided["strong"] + decided["undefined"]
            told = ", ".join(f"{count} {name}" for name, count in decided.most_common())
            lines += [
                "",
                f"data.contribution.rule={rule.name} keeps {kept} of {len(samples)}: {told}",
                f"(a blind guesser would drop {guesser_share(rule, 4):.0%} of 4-way questions)",
            ]
    return "\n".join(lines)


def _how(config: Config, condition: Condition) -> How:
    """Full withholds nothing, so it does not matter how."""
    return "absent" if condition == "full" else config.probe.how


def key_of(config: Config, encoder: PromptEncoder) -> str:
    """Name the probe that a configuration describes."""
    settings = config.probe
    return probe_key(
        model=config.model.name,
        weights_digest=weights_digest(weights_of(config), encoder),
        prompt_template=encoder.template_hash,
        decoding={
            "samples": settings.samples,
            "temperature": settings.temperature if settings.samples > 1 else 0.0,
            "max_completion_tokens": settings.max_completion_tokens,
            "seed": config.seed if settings.samples > 1 else 0,
            "dtype": str(compute_dtype(config)),
        },
        media_budget=asdict(config.data.media),
        harness_version=HARNESS,
    )


def weights_digest(path: str, encoder: PromptEncoder) -> str:
    """Name the weights in use by their bytes, or by their commit on the hub."""
    files = sorted(Path(path).glob("*.safetensors")) if Path(path).is_dir() else []
    if files:
        return hashlib.blake2b("".join(map(file_digest, files)).encode()).hexdigest()
    commit: str | None = encoder.commit
    if commit is None:
        raise ValueError(
            f"{path} holds no *.safetensors and has no commit on the hub, so its scores could not "
            "be told from another model's: save the weights as safetensors."
        )
    return commit


def _probe_condition(
    config: Config, policy: OmniModel, questions: QuestionSet, condition: Condition, key: str
) -> None:
    """Ask the questions that a condition takes something from and that the cache lacks."""
    settings, cache = config.probe, probe_directory(config.data)
    how = _how(config, condition)
    table = read_rows(cache, key).to_pydict()
    asked = zip(table["content_hash"], table["condition"], table["how"], strict=True)
    known = {content for content, *rest in asked if rest == [condition, how]}
    wanted = [sample for sample in questions.samples if _withholds(sample, condition)]
    missing = [sample for sample in wanted if sample.content_hash not in known]
    log.info(
        "%s: %d questions, %d already cached", condition, len(wanted), len(wanted) - len(missing)
    )
    if not missing:
        return
    under = questions.under(condition, settings.how)
    under.samples = missing
    greedy = settings.samples == 1
    batches = ask(
        policy,
        under,
        Sampling(
            group_size=settings.samples,
            max_tokens=settings.max_completion_tokens,
            temperature=0.0 if greedy else settings.temperature,
        ),
        batch_size=settings.batch_size,
        seed=config.seed,
        label=condition,
    )
    while group := [answers for batch in islice(batches, BATCHES_PER_SHARD) for answers in batch]:
        write_shard(cache, [_row(answers, key, condition, how) for answers in group])


def _withholds(sample: Sample, condition: Condition) -> bool:
    """Whether a condition changes what is shown of a sample; `full` is asked of all."""
    modalities = {media.modality for media in sample.media}
    return condition == "full" or bool(modalities & WITHHELD[condition])


def _row(answers: Answers, key: str, condition: Condition, how: How) -> ProbeRow:
    return ProbeRow(
        sample_id=answers.sample.id,
        content_hash=answers.sample.content_hash,
        probe_key=key,
        condition=condition,
        how=how,
        n=len(answers.verdicts),
        n_correct=answers.n_correct,
        n_unparsed=answers.n_unparsed,
        option_seed=0,
        shard="1/1",
        time=time.time(),
    )
