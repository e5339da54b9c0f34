"""One way of asking one frozen model: what names it, and how it answers."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from configs.schema import Config
from datamodules.contribution.probe_cache import probe_key
from datamodules.draws import draw_seed
from datamodules.loading.question_set import QuestionSet
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.wording import SUFFIXES
from datamodules.sample import Sample
from inference.loading import build_encoder, compute_dtype
from modules.grading import HARNESS, GradedGroup


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
    def model(self) -> str:
        """Which model this is, whatever its weights."""
        return self.config.model.name

    @property
    def name(self) -> str:
        """What people call it: the model, or the run that its weights are from."""
        weights = Path(self.config.init_from or self.model)
        return weights.parent.name if weights.name == "export" else weights.name

    @abstractmethod
    def weights(self) -> str:
        """Name the very weights that answer."""

    @abstractmethod
    def prepare(self, planned: Sequence[tuple[QuestionSet, Asking]]) -> None:
        """Say what the work will cost, before it starts."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the memory that asking took."""

    @abstractmethod
    def tallies(self, questions: QuestionSet, asking: Asking) -> Iterator[Tally]:
        """Ask every question of a set; one that cannot be shown is left out, and quarantined."""

    def facts(self, *, greedy: bool) -> dict[str, object]:
        """List everything that can change an answer, for the key and for people."""
        settings = self.config.probe
        template = self.encoder.template(self.config.data.ask)
        decoding: dict[str, object] = {"method": settings.method, "seed": self.config.probe.seed}
        if settings.method == "generate":
            decoding["temperature"] = 0.0 if greedy else settings.temperature
            decoding["max_completion_tokens"] = settings.max_completion_tokens
        if greedy:
            decoding["seed"] = 0  # draws nothing
        return {
            "model": self.model,
            "weights_digest": self.weights(),
            "prompt_template": f"{template} {SUFFIXES[settings.prompt]}",
            "decoding": decoding | {"dtype": str(compute_dtype(self.config))},
            "media_budget": asdict(self.config.data.media)
            | {"silence_seconds": settings.silence_seconds},
            "harness_version": HARNESS,
        }

    def key(self, *, greedy: bool) -> str:
        """Name the probe by its facts."""
        return probe_key(**self.facts(greedy=greedy))  # type: ignore[arg-type] # as listed above


def tally(answers: GradedGroup, asking: Asking) -> Tally:
    """Count the verdicts on the answers to one question."""
    return Tally(
        sample=answers.sample,
        option_seed=asking.option_seed,
        first=asking.first,
        n=len(answers.verdicts),
        n_correct=answers.n_correct,
        n_unparsed=answers.n_unparsed,
    )
