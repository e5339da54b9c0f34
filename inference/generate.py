"""Load a frozen model and ask it a whole set of questions, with a bar that shows the time left."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from tqdm import tqdm

from configs.policy import LoraConfig
from configs.schema import Config
from datamodules.batch import Batch
from datamodules.loading.loader import Loader
from datamodules.loading.option_scoring import option_scoring
from datamodules.loading.question_set import QuestionSet, SequentialBatches
from datamodules.prompts.description_prompts import judge_batch, question_only_batch, reader_batch
from inference.loading import build_encoder, build_policy, compute_dtype, weights_of
from modules.grading import Answers, OptionScores, Verdicts, answer, score
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from modules.rewards.reader import JUDGING, Judge, Reader
from modules.verifiers.verify import verify_all


def with_weights(config: Config, path: str) -> Config:
    """Point a configuration at other weights of the same model."""
    return replace(config, init_from=path)


def load_frozen(config: Config) -> OmniModel:
    """Load the policy of a configuration for asking only, where the accelerator says."""
    cuda = config.trainer.accelerator != "cpu" and torch.cuda.is_available()
    if config.trainer.accelerator == "gpu" and not cuda:
        raise ValueError(
            "trainer.accelerator=gpu, but torch finds no CUDA device: set it to auto or cpu, or "
            "mend the driver."
        )
    whole = replace(config, model=replace(config.model, lora=LoraConfig()))  # asked as they are
    policy = build_policy(whole, build_encoder(whole), dtype=compute_dtype(whole))
    policy = policy.eval().requires_grad_(False)
    own = int(os.environ.get("LOCAL_RANK", 0))  # of the processes of a run that trains beside it
    return policy.to(f"cuda:{own}" if cuda else "cpu")


def load_reader(config: Config) -> Reader:
    """Load who answers by descriptions; the run's own weights, unless others are named."""
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
    """Load who tells descriptions that give an answer away."""
    named = with_weights(config, path)
    return Judge(load_frozen(named), partial(judge_batch, build_encoder(named), wording=JUDGING))


def ask(
    policy: OmniModel,
    questions: QuestionSet,
    sampling: Sampling,
    *,
    batch_size: int,
    seed: int,
    label: str,
    first: int = 0,
    judge: Verdicts = verify_all,
) -> Iterator[list[Answers]]:
    """Yield the answers batch by batch; questions that cannot be read are quarantined, not asked.

    Args:
        label: what the bar is called.
        first: number of the first answer, where earlier ones were drawn before.
        judge: who says what is right.
    """
    for batch in batches(questions, batch_size=batch_size, label=label):
        yield list(answer(policy, batch, sampling, seed=seed, first=first, judge=judge))


def batches(questions: QuestionSet, *, batch_size: int, label: str) -> Iterator[Batch]:
    """Read questions in order, under a bar that shows how many are dealt with."""
    in_order = SequentialBatches(questions, batch_size=batch_size)
    data = questions.data
    loader = Loader(iter_shard=in_order.iter_shard, workers=data.workers, patience=data.patience)
    bar: tqdm[Any]
    with tqdm(
        total=in_order.count, desc=label, unit="question", mininterval=1.0, leave=False
    ) as bar:
        for batch in loader:
            if batch is not None:
                yield batch
            bar.update(min(batch_size, in_order.count - bar.n))


def score_options(
    policy: OmniModel, questions: QuestionSet, *, orders: int, batch_size: int, label: str
) -> Iterator[list[OptionScores]]:
    """Yield the scores of all options, batch by batch, each question read once for all orders."""
    count = len(questions.samples)
    bar: tqdm[Any]
    with tqdm(total=count, desc=label, unit="question", mininterval=1.0, leave=False) as bar:
        for step, start in enumerate(range(0, count, batch_size)):
            indices = range(start, min(start + batch_size, count))
            scoring = option_scoring(questions, indices, orders=orders, step=step)
            if scoring is not None:
                yield score(policy, scoring)
            bar.update(len(indices))
