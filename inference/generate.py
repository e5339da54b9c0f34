"""Load frozen models and run them over sets of questions, under a progress bar."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from tqdm import tqdm

from configs.policy import LoraConfig
from configs.schema import Config
from datamodules.batch import Batch
from datamodules.loading.loader import Loader
from datamodules.loading.option_scoring import option_scoring
from datamodules.loading.question_set import QuestionSet, SequentialBatches
from datamodules.prompts.description_prompts import judge_batch, question_only_batch, reader_batch
from inference.loading import build_encoder, build_policy, compute_dtype, count_gpus, weights_of
from modules.grading import GradedGroup, Grader, OptionScores, answer, score
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from modules.rewards.reader import JUDGING, Judge, Reader
from modules.verifiers.verify import verify_all


def with_weights(config: Config, path: str) -> Config:
    """Return the configuration with other weights."""
    return replace(config, init_from=path)


def load_frozen(config: Config) -> OmniModel:
    """Load the policy of a configuration for inference, on the configured accelerator."""
    cuda = count_gpus(config.trainer.accelerator) > 0
    bare = replace(config, model=replace(config.model, lora=LoraConfig()))  # no new adapters
    policy = build_policy(bare, build_encoder(bare), dtype=compute_dtype(bare))
    policy = policy.eval().requires_grad_(False)
    rank = int(os.environ.get("LOCAL_RANK", 0))  # of the training run that it belongs to
    return policy.to(f"cuda:{rank}" if cuda else "cpu")


def load_reader(config: Config) -> Reader:
    """Load the model that answers from descriptions, by default the run's own weights."""
    named = with_weights(config, config.prealign.reader or weights_of(config))
    encoder = build_encoder(named)
    return Reader(
        load_frozen(named),
        partial(reader_batch, encoder),
        partial(question_only_batch, encoder),
        max_tokens=config.prealign.reader_max_tokens,
        prior_samples=config.prealign.reader_prior_samples,
        seed=config.seed,
    )


def load_judge(config: Config, path: str) -> Judge:
    """Load the model that detects descriptions which leak the answer."""
    named = with_weights(config, path)
    return Judge(load_frozen(named), partial(judge_batch, build_encoder(named), wording=JUDGING))


def question_bar(count: int, label: str) -> "tqdm[Any]":
    """Make a progress bar over questions."""
    return tqdm(total=count, desc=label, unit="question", mininterval=1.0, leave=False)


def ask(
    policy: OmniModel,
    questions: QuestionSet,
    sampling: Sampling,
    *,
    batch_size: int,
    seed: int,
    label: str,
    first: int = 0,
    grade: Grader = verify_all,
) -> Iterator[list[GradedGroup]]:
    """Yield graded answers batch by batch; questions that cannot be read are quarantined.

    Args:
        label: of the progress bar.
        first: number of the first answer, where earlier ones were drawn before.
        grade: makes the verdicts.
    """
    for batch in batches(questions, batch_size=batch_size, label=label):
        yield list(answer(policy, batch, sampling, seed=seed, first=first, grade=grade))


def batches(questions: QuestionSet, *, batch_size: int, label: str) -> Iterator[Batch]:
    """Yield the questions in order, batch by batch, under a progress bar."""
    in_order = SequentialBatches(questions, batch_size=batch_size)
    data = questions.data
    loader = Loader(iter_shard=in_order.iter_shard, workers=data.workers, patience=data.patience)
    with question_bar(in_order.count, label) as bar:
        for batch in loader:
            if batch is not None:
                yield batch
            bar.update(min(batch_size, in_order.count - bar.n))


def score_options(
    policy: OmniModel, questions: QuestionSet, *, orders: int, batch_size: int, label: str
) -> Iterator[list[OptionScores]]:
    """Yield option scores batch by batch; each question is loaded once for all orders."""
    count = len(questions.samples)
    with question_bar(count, label) as bar:
        for step, start in enumerate(range(0, count, batch_size)):
            indices = range(start, min(start + batch_size, count))
            scoring = option_scoring(questions, indices, orders=orders, step=step)
            if scoring is not None:
                yield score(policy, scoring)
            bar.update(len(indices))
