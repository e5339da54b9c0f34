"""Ask a policy questions and let the verifier judge: what probes and benchmarks have in common."""

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
"""Version of how questions are asked and judged; raise it when old counts no longer compare."""

Verdicts = Callable[[Sequence[str], Sequence[Sample]], list[Verdict]]
"""Judge each completion of the sample beside it."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a policy said to one question, and what was made of it."""

    sample: Sample
    completions: Sequence[str]
    verdicts: Sequence[Verdict]
    finished: Sequence[bool] = ()
    """Whether each ended by itself, rather than at a limit; empty where nobody can tell."""

    @property
    def n_correct(self) -> int:
        """Answers that are right."""
        return sum(verdict.correct for verdict in self.verdicts)

    @property
    def n_unparsed(self) -> int:
        """Answers that could not be read; they are wrong."""
        return sum(not verdict.parsed for verdict in self.verdicts)


@dataclass(frozen=True, kw_only=True)
class OptionScores:
    """How likely a policy held each option of one question, under each order of the options."""

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
    judge: Verdicts = verify_all,
) -> Iterator[Answers]:
    """Ask every question of a batch `sampling.group_size` times.

    A draw depends on the question and its number alone, not on the batch, so that any batch size
    gives the same answers.

    Args:
        first: number of the first answer, where earlier ones were drawn before.
        judge: who says what is right.
    """
    group = sampling.group_size
    asked = batch.to(policy.suppressed.device)
    asked.step = 0
    if sampling.temperature > 0:
        uniforms = asked.uniforms(
            seed=seed, group_size=group, length=sampling.max_tokens, first=first
        )
    else:
        uniforms = torch.zeros(len(batch) * group, sampling.max_tokens)  # greedy draws nothing
    said = policy.sample(asked, sampling, uniforms=uniforms)
    verdicts = judge(said.texts, [sample for sample in batch.samples for _ in range(group)])
    for number, sample in enumerate(batch.samples):
        own = slice(number * group, (number + 1) * group)
        yield Answers(
            sample=sample,
            completions=said.texts[own],
            verdicts=verdicts[own],
            finished=said.finished[own],
        )


@torch.no_grad()
def score(policy: OmniModel, scoring: OptionScoring) -> list[OptionScores]:
    """Compare how likely each option is, in one pass and without sampling."""
    device = policy.suppressed.device
    completions = scoring.completions.to(device)
    branch = completions.branch
    assert branch is not None
    logprobs = policy.logprobs(scoring.batch.to(device), completions, scored=branch > 0)  # (N, T)
    sums = logprobs.new_zeros(len(branch), int(branch.max()) + 1)
    if not bool(logprobs.isfinite().all()):
        raise unreadable(
            policy.backbone, scoring.batch.to(device), completions, dense=policy.dense_attention
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
