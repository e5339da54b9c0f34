"""The interface of probes: a frozen model, the settings it is asked with, and its key."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from configs.schema import Config, ProbeConfig
from datamodules.contribution.presets import RuleQuery
from datamodules.contribution.probe_cache import probe_key
from datamodules.draws import draw_seed
from datamodules.loading.question_set import QuestionSet
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.templates import SUFFIXES
from datamodules.sample import Sample
from inference.loading import build_encoder, compute_dtype, name_of_weights
from modules.grading import HARNESS, GradedGroup


@dataclass(frozen=True, kw_only=True)
class ProbeRequest:
    """How a set of questions is asked in one pass."""

    option_seed: int
    first: int
    """Number of the first answer; those before it are cached."""

    answers: int
    greedy: bool
    label: str
    """Of the progress bar."""

    def seed(self, seed: int, questions: QuestionSet) -> int:
        """Derive the seed, so that each condition and order has draws of its own.

        The draws of one question then depend on the numbers of its answers alone, however these are
        divided into requests.
        """
        return draw_seed(seed, questions.condition, questions.how, self.option_seed)


@dataclass(frozen=True, kw_only=True)
class ProbeCounts:
    """The counts of one question: a row of the cache."""

    sample: Sample
    option_seed: int
    first: int
    n: int
    n_correct: int
    n_unparsed: int
    option_logprobs: tuple[float, ...] | None = None


class Probe(ABC):
    """A frozen model and the settings that it is asked with."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @cached_property
    def encoder(self) -> PromptEncoder:
        """Tokenizer and processor."""
        return build_encoder(self.config)

    @property
    def model(self) -> str:
        """Name of the model in the settings."""
        return self.config.model.name

    @property
    def name(self) -> str:
        """Name for people: the model, or the run that exported its weights."""
        return name_of_weights(self.config.init_from or self.model)

    @abstractmethod
    def weights(self) -> str:
        """Identify the weights."""

    @abstractmethod
    def prepare(self, planned: Sequence[tuple[QuestionSet, ProbeRequest]]) -> None:
        """Estimate the cost of the work, before it starts."""

    @abstractmethod
    def close(self) -> None:
        """Free memory."""

    @abstractmethod
    def run(self, questions: QuestionSet, request: ProbeRequest) -> Iterator[ProbeCounts]:
        """Ask every question of a set; those that cannot be shown are quarantined."""

    def facts(self, *, greedy: bool) -> dict[str, object]:
        """List everything that can change an answer, for the key and for people."""
        return probe_facts(
            self.config,
            model=self.model,
            weights=self.weights(),
            encoder=self.encoder,
            greedy=greedy,
        )

    def key(self, *, greedy: bool) -> str:
        """The key of the probe: a hash of its facts."""
        return probe_key(**self.facts(greedy=greedy))  # type: ignore[arg-type] # as probe_facts lists them


def probe_facts(
    config: Config, *, model: str, weights: str, encoder: PromptEncoder, greedy: bool
) -> dict[str, object]:
    """List everything that can change an answer of a model to the prompts of a configuration."""
    settings = config.probe
    decoding: dict[str, object] = {"method": settings.method, "seed": settings.seed}
    if settings.method == "generate":
        decoding["temperature"] = 0.0 if greedy else settings.temperature
        decoding["max_completion_tokens"] = settings.max_completion_tokens
    if greedy:
        decoding["seed"] = 0  # draws nothing
    return {
        "model": model,
        "weights_digest": weights,
        "prompt_template": f"{encoder.template(config.data.task)} {SUFFIXES[settings.prompt]}",
        "decoding": decoding | {"dtype": str(compute_dtype(config))},
        "media_budget": asdict(config.data.media) | {"silence_seconds": settings.silence_seconds},
        "harness_version": HARNESS,
    }


def as_probed(
    questions: QuestionSet, query: RuleQuery, settings: ProbeConfig, *, order: int
) -> QuestionSet:
    """Show questions as one query of a rule asks for them, with options in one order."""
    return questions.with_condition(
        query.condition,
        query.how,
        option_seed=order,
        suffix=SUFFIXES[settings.prompt],
        silence_seconds=settings.silence_seconds,
    )


def count_verdicts(group: GradedGroup, request: ProbeRequest) -> ProbeCounts:
    """Count the verdicts on the answers to one question."""
    return ProbeCounts(
        sample=group.sample,
        option_seed=request.option_seed,
        first=request.first,
        n=len(group.verdicts),
        n_correct=group.n_correct,
        n_unparsed=group.n_unparsed,
    )
