"""A model in this process, probed."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import final

from datamodules.loading.question_set import QuestionSet
from datamodules.media.files import file_digest
from datamodules.prompts.encoder import PromptEncoder
from evaluation.probing.probe import Asking, Probe, Tally, tally
from inference.generate import ask, load_frozen, score_options
from inference.loading import weights_of
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling

SETTINGS = ("config.json", "preprocessor_config.json")
"""Files beside the weights that change what they compute."""


@final
class LocalProbe(Probe):
    """A model in this process, loaded when it is first asked."""

    @cached_property
    def policy(self) -> OmniModel:
        """The frozen model."""
        return load_frozen(self.config)

    def weights(self) -> str:
        """Hash the bytes of the weights, or take their commit on the hub."""
        return weights_digest(weights_of(self.config), self.encoder)

    def prepare(self, planned: Sequence[tuple[QuestionSet, Asking]]) -> None:
        """Say nothing: it costs time only, and the bar shows that."""

    def close(self) -> None:
        """Drop the model; asked again, it is loaded again."""
        vars(self).pop("policy", None)

    def tallies(self, questions: QuestionSet, asking: Asking) -> Iterator[Tally]:
        """Let the model answer, or compare how likely it holds each option."""
        if self.config.probe.method == "options":
            return self._scored(questions, asking)
        return self._answered(questions, asking)

    def _answered(self, questions: QuestionSet, asking: Asking) -> Iterator[Tally]:
        settings = self.config.probe
        sampling = Sampling(
            group_size=asking.answers,
            max_tokens=settings.max_completion_tokens,
            temperature=0.0 if asking.greedy else settings.temperature,
        )
        for batch in ask(
            self.policy,
            questions,
            sampling,
            batch_size=settings.batch_size,
            seed=asking.seed(self.config.probe.seed, questions),
            first=asking.first,
            label=asking.label,
        ):
            yield from (tally(answers, asking) for answers in batch)

    def _scored(self, questions: QuestionSet, asking: Asking) -> Iterator[Tally]:
        settings = self.config.probe
        for batch in score_options(
            self.policy,
            questions,
            orders=settings.option_permutations,
            batch_size=settings.batch_size,
            label=asking.label,
        ):
            for scores in batch:
                for order, logprobs in enumerate(scores.logprobs):
                    yield Tally(
                        sample=scores.sample,
                        option_seed=order,
                        first=0,
                        n=1,
                        n_correct=int(scores.correct[order]),
                        n_unparsed=0,
                        option_logprobs=logprobs,
                    )


def weights_digest(path: str, encoder: PromptEncoder) -> str:
    """Name the weights in use by their bytes, or by their commit on the hub."""
    files = sorted(Path(path).glob("*.safetensors")) if Path(path).is_dir() else []
    if files:
        files += [file for name in SETTINGS if (file := Path(path) / name).exists()]
        return hashlib.blake2b("".join(map(file_digest, files)).encode()).hexdigest()
    commit: str | None = encoder.commit
    if commit is None:
        raise ValueError(
            f"{path} holds no *.safetensors and has no commit on the hub, so its scores could not "
            "be told from another model's: save the weights as safetensors."
        )
    return commit
