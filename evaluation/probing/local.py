"""Probe a model in this process."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import final

from datamodules.loading.question_set import QuestionSet
from datamodules.prompts.encoder import PromptEncoder
from evaluation.probing.probe import Probe, ProbeCounts, ProbeRequest, count_verdicts
from inference.frozen import FrozenModel
from inference.generate import ask, score_options
from modules.policy.sampling import Sampling


@final
class LocalProbe(Probe):
    """A model in this process, loaded when it is first asked."""

    @cached_property
    def frozen(self) -> FrozenModel:
        """The model of the configuration."""
        return FrozenModel(self.config)

    @property
    def encoder(self) -> PromptEncoder:
        """Its encoder."""
        return self.frozen.encoder

    def weights(self) -> str:
        """Identify the weights by their bytes, or by their commit on the hub."""
        return self.frozen.digest

    def prepare(self, planned: Sequence[tuple[QuestionSet, ProbeRequest]]) -> None:
        """Do nothing: it costs time only, which the progress bar shows."""

    def close(self) -> None:
        """Unload the model."""
        self.frozen.unload()

    def run(self, questions: QuestionSet, request: ProbeRequest) -> Iterator[ProbeCounts]:
        """Sample answers, or score the options."""
        if self.config.probe.method == "options":
            return self._scored(questions, request)
        return self._answered(questions, request)

    def _answered(self, questions: QuestionSet, request: ProbeRequest) -> Iterator[ProbeCounts]:
        settings = self.config.probe
        sampling = Sampling(
            group_size=request.answers,
            max_tokens=settings.max_completion_tokens,
            temperature=0.0 if request.greedy else settings.temperature,
        )
        for batch in ask(
            self.frozen.policy,
            questions,
            sampling,
            batch_size=settings.batch_size,
            seed=request.seed(self.config.probe.seed, questions),
            first=request.first,
            label=request.label,
        ):
            yield from (count_verdicts(group, request) for group in batch)

    def _scored(self, questions: QuestionSet, request: ProbeRequest) -> Iterator[ProbeCounts]:
        settings = self.config.probe
        for batch in score_options(
            self.frozen.policy,
            questions,
            orders=settings.option_permutations,
            batch_size=settings.batch_size,
            label=request.label,
        ):
            for scores in batch:
                for order, logprobs in enumerate(scores.logprobs):
                    yield ProbeCounts(
                        sample=scores.sample,
                        option_seed=order,
                        first=0,
                        n=1,
                        n_correct=int(scores.correct[order]),
                        n_unparsed=0,
                        option_logprobs=logprobs,
                    )
