"""One way of asking one frozen model: what names it, and how it answers."""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from tqdm import tqdm

from asking import ask, load_frozen, score_options
from building import build_encoder, compute_dtype, weights_of
from configs.schema import Config
from datamodules.media import MediaError, file_digest
from datamodules.orders import reorder
from datamodules.probe_cache import probe_key
from datamodules.prompts import PromptEncoder
from datamodules.question_set import QuestionSet
from datamodules.sample import Sample
from datamodules.sampler import draw_seed
from datamodules.wording import SUFFIXES
from modules.answering import Answers, judge
from modules.omni import OmniModel
from modules.rollouts import Sampling
from probing.chat import Estimate, Request, check_budget, estimate, messages
from probing.remote import ask_remote

log = logging.getLogger(__name__)

HARNESS = "2"
"""Version of how questions are asked and judged; raise it when old counts no longer compare."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What is asked of a set of questions in one go."""

    option_seed: int
    first: int
    """Number of the first answer: those before it are in the cache."""

    answers: int
    greedy: bool
    label: str
    """What the progress bar is called."""

    def seed(self, seed: int, questions: QuestionSet) -> int:
        """Derive the seed of these answers, so that each condition and order has draws of its own.

        The answers of one question are then told apart by their numbers alone, however they were
        divided into goes.
        """
        return draw_seed(seed, questions.condition, questions.how, self.option_seed)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What came of asking one question: the counts of a row."""

    sample: Sample
    option_seed: int
    first: int
    n: int
    n_correct: int
    n_unparsed: int
    option_logprobs: tuple[float, ...] | None = None


class Probe(ABC):
    """A frozen model and the settings it is asked with."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @cached_property
    def encoder(self) -> PromptEncoder:
        """How this model is spoken to."""
        return build_encoder(self.config)

    @property
    def name(self) -> str:
        """What people call the model."""
        return self.config.model.name

    @abstractmethod
    def weights(self) -> str:
        """Name the very weights that answer."""

    @abstractmethod
    def prepare(self, planned: Sequence[tuple[QuestionSet, Asking]]) -> None:
        """Say what the work will cost, before it starts."""

    @abstractmethod
    def tallies(self, questions: QuestionSet, asking: Asking) -> Iterator[Tally]:
        """Ask every question of a set; one that cannot be shown is left out, and quarantined."""

    def facts(self, *, greedy: bool) -> dict[str, object]:
        """List everything that can change an answer, for the key and for people."""
        settings = self.config.probe
        decoding: dict[str, object] = {"method": settings.method, "seed": self.config.seed}
        if settings.method == "generate":
            decoding["temperature"] = 0.0 if greedy else settings.temperature
            decoding["max_completion_tokens"] = settings.max_completion_tokens
        if greedy:
            decoding["seed"] = 0  # draws nothing
        return {
            "model": self.name,
            "weights_digest": self.weights(),
            "prompt_template": f"{self.encoder.template_hash} {SUFFIXES[settings.prompt]}",
            "decoding": decoding | {"dtype": str(compute_dtype(self.config))},
            "media_budget": asdict(self.config.data.media)
            | {"silence_seconds": settings.silence_seconds},
            "harness_version": HARNESS,
        }

    def key(self, *, greedy: bool) -> str:
        """Name the probe by its facts."""
        return probe_key(**self.facts(greedy=greedy))  # type: ignore[arg-type] # as listed above


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
            seed=asking.seed(self.config.seed, questions),
            first=asking.first,
            label=asking.label,
        ):
            yield from (tally(answers, asking) for answers in batch)

    def _scored(self, questions: QuestionSet, asking: Asking) -> Iterator[Tally]:
        settings = self.config.probe
        for batch in score_options(
            self.policy,
            questions,
            orders=settings.orders,
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


ESTIMATED_FROM = 50
"""Questions of each go whose messages are written to estimate the price of all."""


@final
class ServedProbe(Probe):
    """A model behind an endpoint."""

    @property
    def name(self) -> str:
        """What the server calls the model."""
        return self.config.probe.server.model

    def weights(self) -> str:
        """Trust the name and the revision: nobody sees the weights behind an endpoint."""
        server = self.config.probe.server
        return f"{server.model}@{server.revision}"

    def prepare(self, planned: Sequence[tuple[QuestionSet, Asking]]) -> None:
        """Estimate requests, tokens and price from some questions of each go."""
        total = Estimate()
        for questions, asking in planned:
            total += self._estimate(questions, asking)
        if total.requests:
            log.info("%s: %s", self.config.probe.server.url, total)
            check_budget(self.config.probe.server, total)

    def _estimate(self, questions: QuestionSet, asking: Asking) -> Estimate:
        count = len(questions.samples)
        some = copy(questions)
        some.samples = questions.samples[:: -(-count // ESTIMATED_FROM)]
        found = estimate(
            self.config.probe.server,
            self._requests(some, asking),
            max_tokens=self.config.probe.max_completion_tokens,
        )
        share = len(some.samples) / count
        return Estimate(
            requests=round(found.requests / share),
            prompt_tokens=round(found.prompt_tokens / share),
            completion_tokens=round(found.completion_tokens / share),
            dollars=found.dollars / share,
        )

    def tallies(self, questions: QuestionSet, asking: Asking) -> Iterator[Tally]:
        """Send the questions, and count the answers in the order in which they arrive."""
        settings = self.config.probe
        answered = ask_remote(
            settings.server,
            self._requests(questions, asking),
            seed=asking.seed(self.config.seed, questions),
            temperature=0.0 if asking.greedy else settings.temperature,
            max_tokens=settings.max_completion_tokens,
        )
        bar: tqdm[Any] = tqdm(
            total=len(questions.samples),
            desc=asking.label,
            unit="question",
            mininterval=1.0,
            leave=False,
        )
        with closing(answered), bar:
            for request, texts in answered:
                verdicts = [judge(text, request.sample) for text in texts]
                bar.update()
                said = Answers(sample=request.sample, completions=texts, verdicts=verdicts)
                yield tally(said, asking)

    def _requests(self, questions: QuestionSet, asking: Asking) -> Iterator[Request]:
        """Write the messages one by one; what cannot be read is quarantined."""
        for sample in questions.samples:
            turned = reorder(sample, questions.option_seed)
            try:
                shown = questions.shown(turned)
            except MediaError as error:
                questions.quarantine.add(sample.id, error.kind, str(error), error.path)
                questions.quarantine.check(questions.manifest_rows)
                continue
            chat = messages(
                turned,
                shown,
                answer_with=self.config.model.answer_with,
                system_prompt=self.config.model.system_prompt,
                ask=questions.ask,
                suffix=questions.suffix,
            )
            yield Request(sample=turned, messages=chat, answers=asking.answers, first=asking.first)


def tally(answers: Answers, asking: Asking) -> Tally:
    """Count the verdicts on the answers to one question."""
    return Tally(
        sample=answers.sample,
        option_seed=asking.option_seed,
        first=asking.first,
        n=len(answers.verdicts),
        n_correct=answers.n_correct,
        n_unparsed=answers.n_unparsed,
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
