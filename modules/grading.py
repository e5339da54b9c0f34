"""Generate answers with a policy and grade them, for validation, probes and benchmarks."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from datamodules.batch import Batch, OptionScoring
from datamodules.sample import LETTERS, Sample
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from modules.policy.unreadable import unreadable
from modules.verifiers.verify import Verdict, verify_all

HARNESS = "4"
"""Version of prompting and grading; raise it when older counts are no longer comparable."""

Grader = Callable[[Sequence[str], Sequence[Sample]], list[Verdict]]
"""Grades each completion by the sample beside it."""


@dataclass(frozen=True, kw_only=True)
class GradedGroup:
    """The completions of one question, and their verdicts."""

    sample: Sample
    completions: Sequence[str]
    verdicts: Sequence[Verdict]
    finished: Sequence[bool] = ()
    """Whether each ended with an end token, not at the length limit; empty where unknown."""

    @property
    def n_correct(self) -> int:
        """Correct completions."""
        return sum(verdict.correct for verdict in self.verdicts)

    @property
    def n_unparsed(self) -> int:
        """Completions without an answer of the expected type; they are wrong."""
        return sum(not verdict.parsed for verdict in self.verdicts)


@dataclass(frozen=True, kw_only=True)
class OptionScores:
    """Log-probs of all options of one question, under each order of the options."""

    sample: Sample
    """The question, as written."""

    logprobs: tuple[tuple[float, ...], ...]
    """For each order the options as numbered in `sample`: the log-prob of the whole answer that
    names the option, end of turn included, summed over its tokens. Letters are all of one length;
    of options spelled out, longer ones score lower: this is the `acc` of lm-evaluation-harness,
    not its `acc_norm`."""

    @property
    def correct(self) -> tuple[bool, ...]:
        """Whether each order's likeliest option is a right one; a tie with a wrong one is wrong."""
        right = [LETTERS.index(letter) for letter in self.sample.right]
        return tuple(
            max(scores[n] for n in right)
            > max((score for n, score in enumerate(scores) if n not in right), default=-math.inf)
            for scores in self.logprobs
        )


def answer(
    policy: OmniModel,
    batch: Batch,
    sampling: Sampling,
    *,
    seed: int,
    first: int = 0,
    grade: Grader = verify_all,
) -> Iterator[GradedGroup]:
    """Sample `sampling.group_size` completions for every question of a batch, and grade them.

    A draw depends on the question and the number of the completion alone, so that any batch size
    gives the same ones.

    Args:
        first: number of the first completion, where earlier ones were drawn before.
        grade: makes the verdicts; rules by default.
    """
    group = sampling.group_size
    batch = batch.to(policy.suppressed.device)
    batch.step = 0
    if sampling.temperature > 0:
        uniforms = batch.uniforms(
            seed=seed, group_size=group, length=sampling.max_tokens, first=first
        )
    else:
        uniforms = torch.zeros(len(batch) * group, sampling.max_tokens)  # greedy draws nothing
    rollout = policy.sample(batch, sampling, uniforms=uniforms)
    verdicts = grade(rollout.texts, [sample for sample in batch.samples for _ in range(group)])
    for number, sample in enumerate(batch.samples):
        own = slice(number * group, (number + 1) * group)
        yield GradedGroup(
            sample=sample,
            completions=rollout.texts[own],
            verdicts=verdicts[own],
            finished=rollout.finished[own],
        )


@torch.no_grad()
def score(policy: OmniModel, scoring: OptionScoring) -> list[OptionScores]:
    """Score all options of each question in one forward pass, without sampling."""
    device = policy.suppressed.device
    completions = scoring.completions.to(device)
    branch = completions.branch
    assert branch is not None
    logprobs = policy.logprobs(scoring.batch.to(device), completions, scored=branch > 0)  # (N, T)
    sums = logprobs.new_zeros(len(branch), int(branch.max()) + 1)
    if not bool(logprobs.isfinite().all()):
        raise unreadable(
            policy.backbone, scoring.batch.to(device), completions, attention=policy.attention
        )
    by_branch = sums.scatter_add(1, branch, logprobs)[:, 1:].tolist()  # (N, O)
    orders: list[list[tuple[float, ...]]] = [[] for _ in scoring.samples]
    rows = zip(scoring.question, scoring.options, by_branch, strict=True)
    for question, options, scores in rows:
        as_written = dict(zip(options, scores, strict=False))  # rows are as wide as the widest
        orders[question].append(tuple(as_written[n] for n in range(len(options))))
    return [
        OptionScores(sample=sample, logprobs=tuple(scores))
        for sample, scores in zip(scoring.samples, orders, strict=True)
    ]
