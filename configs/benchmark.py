"""Settings of benchmarks, and of the clean views that their scores may rest on."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from configs.ablation import Condition, Replacement
from configs.checks import a_confidence, a_share, at_least, named_once
from configs.inputs import RuleName


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Scores with intervals, of several checkpoints on the same questions."""

    sets: list[str] = field(default_factory=lambda: ["test"])
    """Manifests to score, below `data.root`. Each has a row of its own; names without an ending
    mean `.jsonl`."""

    checkpoints: list[str] = field(default_factory=list)
    """Directories of weights that are compared with the model itself."""

    conditions: list[str] = field(default_factory=lambda: ["full", "text_only"])
    """What the checkpoints are left with, as full, no_audio or no_audio:silent. In the words of
    probes, as CONDITION or CONDITION:REPLACEMENT; the first is what checkpoints are compared by."""

    option_permutations: int = 1
    """Orders of the options to ask in, the written one first; 0 puts each at each place. That is as
    many orders as a question has options (circular evaluation)."""

    clean_view: str = "auto"
    """Which questions the clean score rests on: a rule by which stage=clean has judged the set;
    `auto` is every rule that has, `none` shows the raw score alone."""

    max_completion_tokens: int = 32
    """Answers stop after this many tokens."""

    batch_size: int = 32
    """Prompts asked at once."""

    limit: int = 0
    """Questions to score of each set, from its beginning; 0 scores all."""

    shard: str = "auto"
    """Share of the questions that this process asks, such as 3/8; `auto` takes it from a SLURM
    array, and is 1/1 elsewhere."""

    cache: str = "answers"
    """Directory of answers, inside `data.root` unless absolute: what a checkpoint has answered is
    not asked again."""

    grade_by: Literal["answer", "description"] = "answer"
    """`answer`, or `description`: whether the reader of `prealign` answers rightly by it."""

    group_by: str = "evidence"
    """What names the rows below a set: a field that the set's publisher gives its questions, such
    as task or category, or a field of `truth/SET.jsonl`."""

    confidence: float = 0.95
    """Share of intervals that hold the true value, between 0 and 1."""

    def __post_init__(self) -> None:
        at_least("benchmark", 1, self, "max_completion_tokens", "batch_size")
        at_least("benchmark", 0, self, "limit", "option_permutations")
        a_share("benchmark", self.shard)
        named_once("benchmark", self, "sets", "conditions")
        for condition in self.conditions:
            parse_condition(condition)
        a_confidence("benchmark", self.confidence)


def parse_condition(text: str) -> tuple[Condition, Replacement]:
    """Read CONDITION or CONDITION:REPLACEMENT, as in benchmark.conditions."""
    name, colon, given = text.partition(":")
    given = given if colon else "absent"
    for condition in get_args(Condition):
        for replacement in get_args(Replacement):
            if (name, given) == (condition, replacement) and (condition != "full" or not colon):
                return condition, replacement
    raise ValueError(
        f"benchmark.conditions has {text!r}, but an entry is full, or CONDITION:REPLACEMENT as in "
        f"no_audio:silent: conditions are {', '.join(get_args(Condition))}; replacements "
        f"{', '.join(get_args(Replacement))}."
    )


@dataclass(frozen=True, kw_only=True)
class CleanConfig:
    """Clean views: the benchmark questions that survive a probe; no model is run."""

    sets: list[str] = field(default_factory=lambda: ["test"])
    """Manifests to judge, below `data.root`. Names without an ending mean `.jsonl`."""

    rules: list[RuleName] = field(default_factory=lambda: ["omniclean", "calibrated"])
    """Rules that judge, each leaving a view of its own. Numbers of `data.contribution` are laid
    over the one that `data.contribution.rule` names."""

    views: str = "views"
    """Directory of the views, inside `data.root` unless absolute."""

    def __post_init__(self) -> None:
        named_once("clean", self, "sets", "rules")
