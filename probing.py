"""Probe: ask a frozen model with media withheld, and keep the counts."""

import hashlib
import logging
import time
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from asking import ask, load_frozen
from configs.schema import Condition, Config
from datamodules.contribution import WITHHELD, How
from datamodules.media import file_digest
from datamodules.probe_cache import ProbeRow, probe_key, read_rows, write_shard
from datamodules.prompts import PromptEncoder
from datamodules.questions import QuestionSet, load_questions
from datamodules.sample import Sample
from datamodules.selection import probe_directory
from modules.answering import Answers
from modules.omni import OmniModel
from modules.rollouts import Sampling
from runs import open_run
from training import build_encoder, weights_of

log = logging.getLogger(__name__)

HARNESS = "1"
"""Version of how questions are asked and judged; raise it when old counts no longer compare."""

BATCHES_PER_SHARD = 16
"""A killed probe repeats at most this many batches."""


def probe(config: Config) -> str:
    """Fill the cache with what is missing from it, and return the key of the probe."""
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
    log.info("probe %s in %s", key, probe_directory(config.data))
    return key


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
            "dtype": config.model.dtype,
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
    how: How = "absent" if condition == "full" else settings.how
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
