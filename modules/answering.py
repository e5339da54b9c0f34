"""Ask a policy questions and let the verifier judge: what probes and benchmarks have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from datamodules.batch import Batch
from datamodules.sample import Sample
from modules.omni import OmniModel
from modules.rollouts import Sampling
from modules.verifiers import Verdict, verify


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a policy said to one question, and what the verifier made of it."""

    sample: Sample
    completions: Sequence[str]
    verdicts: Sequence[Verdict]

    @property
    def n_correct(self) -> int:
        """Answers that are right."""
        return sum(verdict.correct for verdict in self.verdicts)

    @property
    def n_unparsed(self) -> int:
        """Answers that could not be read; they are wrong."""
        return sum(not verdict.parsed for verdict in self.verdicts)


def judge(text: str, sample: Sample) -> Verdict:
    """Hold one completion against the answer of its question."""
    return verify(
        text, answer=sample.answer, answer_type=sample.answer_type, options=sample.options
    )


def answer(policy: OmniModel, batch: Batch, sampling: Sampling, *, seed: int) -> Iterator[Answers]:
    """Ask every question of a batch `sampling.group_size` times.

    A draw depends on the question and its number alone, not on the batch, so that any batch size
    gives the same answers.
    """
    group = sampling.group_size
    asked = batch.to(policy.banned.device)
    asked.step = 0
    if sampling.temperature > 0:
        uniforms = asked.uniforms(seed=seed, group_size=group, length=sampling.max_tokens)
    else:
        uniforms = torch.zeros(len(batch) * group, sampling.max_tokens)  # greedy draws nothing
    texts = policy.sample(asked, sampling, uniforms=uniforms).texts
    for number, sample in enumerate(batch.samples):
        said = texts[number * group : (number + 1) * group]
        verdicts = [judge(text, sample) for text in said]
        yield Answers(sample=sample, completions=said, verdicts=verdicts)
