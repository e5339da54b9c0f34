"""Settings of probes and audits, which find the questions that need their media."""

import os
from dataclasses import dataclass, field
from typing import Literal, get_args

from configs.ablation import Condition, Replacement
from configs.addresses import a_variable, an_address
from configs.checks import a_confidence, a_share, at_least, positive
from configs.credentials import SHORTEST
from configs.inputs import RuleName


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """A model behind an endpoint that speaks OpenAI's chat completions."""

    url: str = "https://api.openai.com/v1"
    """Base address, without a key; a server of your own is often http://127.0.0.1:8000/v1."""

    model: str = ""
    """Name of the model as the server knows it."""

    revision: str = ""
    """Version of the weights behind that name, where you know it: part of the probe's key."""

    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key, in capitals; its value is written nowhere."""

    concurrency: int = 8
    """Requests under way at once."""

    requests_per_minute: int = 0
    """Requests started in a minute at most; 0 sets no limit."""

    retries: int = 6
    """Times that a failed request is sent again, each after a longer wait."""

    timeout: float = 120.0
    """Seconds from the beginning of a request to the end of its reply, or it counts as failed."""

    dollars_per_million_input: float = 0.0
    """Price of a million prompt tokens, for the estimate."""

    dollars_per_million_output: float = 0.0
    """Price of a million completion tokens, for the estimate."""

    budget: float | None = None
    """Dollars that the estimate may not exceed; None asks whatever it costs."""

    def __post_init__(self) -> None:
        a_variable("probe.server.key_variable", self.key_variable)
        keep = f"the environment variable {self.key_variable}"
        an_address("probe.server.url", self.url, keep=keep)
        key = os.environ.get(self.key_variable, "").strip()
        if len(key) >= SHORTEST and key in f"{self.url} {self.model} {self.revision}":
            raise ValueError(
                "probe.server holds the key itself, but its settings are written to config.yaml: "
                f"leave the key in {keep}, and nowhere else."
            )
        at_least("probe.server", 1, self, "concurrency")
        positive("probe.server", self, "timeout")
        prices = ("dollars_per_million_input", "dollars_per_million_output", "budget")
        at_least("probe.server", 0, self, *prices, "requests_per_minute", "retries")


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """A probe: questions put to a frozen model with media withheld."""

    split: str = "train"
    """Manifest to probe, without `.jsonl`."""

    conditions: list[Condition] = field(
        default_factory=lambda: ["full", "no_audio", "no_visual", "text_only"]
    )
    """What the probed model is left with, one pass each."""

    replacement: Replacement = "absent"
    """What stands in for withheld media."""

    silence_seconds: float | None = None
    """Seconds of silence that `replacement=silent` puts in place of a recording; None keeps its
    length."""

    method: Literal["generate", "options"] = "generate"
    """`generate` lets the model answer; `options` compares how likely it holds each option, which
    asks choices only, and takes one pass."""

    samples: int = 1
    """Answers per question, condition and order of options; 1 is the greedy answer."""

    option_permutations: int = 1
    """Orders of the options: the first is as written, the next ones turn it so that each option
    stands at each place once, later ones are drawn."""

    temperature: float = 1.0
    """Divides the logits where `samples` is more than 1."""

    seed: int = 0
    """Of sampled answers; apart from the run's, so that runs of all seeds read the same counts."""

    prompt: Literal["plain", "vidground", "anti_refusal"] = "plain"
    """What is said below the question where something is withheld: nothing, or one of the two
    prompts of VidGround."""

    answer_kind: Literal["all", "choice", "open"] = "all"
    """Ask all questions, or those with options, or those without."""

    stop_when_decided_by: RuleName | None = None
    """Stop asking a question once this rule's decision cannot change; None asks all `samples`."""

    samples_per_round: int = 4
    """Answers per question between two looks at `stop_when_decided_by`."""

    max_completion_tokens: int = 32
    """Sampling stops after this many tokens."""

    batch_size: int = 32
    """Prompts asked at once."""

    limit: int = 0
    """Questions to probe, from the manifest's beginning; 0 probes all. With `stop_when_decided_by`,
    these are the questions that are judged together: give audit.limit the same number."""

    shard: str = "auto"
    """Share of the questions that this process asks, such as 3/8; `auto` takes it from a SLURM
    array, and is 1/1 elsewhere."""

    checkpoints: list[str] = field(default_factory=list)
    """Directories of weights that are probed after the model itself, each a probe of its own."""

    backend: Literal["local", "openai"] = "local"
    """`openai` asks an endpoint, see probe.server, instead of a model in this process."""

    server: ServerConfig = field(default_factory=ServerConfig)

    def __post_init__(self) -> None:
        counts = ("samples", "option_permutations", "samples_per_round")
        at_least("probe", 1, self, *counts, "max_completion_tokens", "batch_size")
        at_least("probe", 0, self, "limit")
        positive("probe", self, "temperature", "silence_seconds")
        if not self.conditions or len(set(self.conditions)) < len(self.conditions):
            raise ValueError(
                f"probe.conditions is {self.conditions}, but names each condition once and at "
                f"least one: choose from [{', '.join(get_args(Condition))}]."
            )
        a_share("probe", self.shard)
        if self.method == "options" and (self.stop_when_decided_by or self.answer_kind == "open"):
            raise ValueError(
                "probe.method=options scores choices under all probe.option_permutations in one "
                f"go, but probe.stop_when_decided_by is {self.stop_when_decided_by} and "
                f"probe.answer_kind is {self.answer_kind}: leave these out, or set "
                "probe.method=generate."
            )
        if self.method == "options" and (self.samples > 1 or self.backend != "local"):
            raise ValueError(
                "probe.method=options scores each order of the options once, on a model in this "
                f"process, but probe.samples is {self.samples} and probe.backend is "
                f"{self.backend}: set probe.option_permutations instead, or probe.method=generate."
            )
        if self.backend == "openai" and (not self.server.model or self.checkpoints):
            raise ValueError(
                "probe.backend=openai asks one model by its name, but probe.server.model is "
                f"{self.server.model!r} and probe.checkpoints is {self.checkpoints}: give "
                "probe.server.model=NAME, and leave the checkpoints to a run of their own."
            )


@dataclass(frozen=True, kw_only=True)
class AuditConfig:
    """An audit: tables from cached probe counts, by every rule; no model is run."""

    split: str = "train"
    """Manifest to judge, without `.jsonl`."""

    limit: int = 0
    """Questions to judge, from the manifest's beginning; 0 judges all."""

    probes: list[str] = field(default_factory=list)
    """Keys of the probes to read, their beginnings, or `@DIRECTORY` of a run that probed; empty
    reads all in the cache."""

    compact: bool = False
    """Rewrite each probe's shards as one file first; others may read and write meanwhile."""

    plot: bool = True
    """Draw the contributions as `contribution.png` in the run directory."""

    group_by: Literal["source", "evidence", "family"] = "source"
    """What the rows of the contribution table are: the manifest's `source`, or a field of
    `truth/SPLIT.jsonl` where there is such a file."""

    confidence: float = 0.95
    """Share of intervals that hold the true value, between 0 and 1."""

    def __post_init__(self) -> None:
        at_least("audit", 0, self, "limit")
        a_confidence("audit", self.confidence)
