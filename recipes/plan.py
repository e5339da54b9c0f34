"""What a step of a recipe costs: optimizer steps, prompts and tokens, before it starts."""

from dataclasses import dataclass, replace

from configs.ablation import Condition, Replacement
from configs.benchmark import parse_condition
from configs.schema import SAMPLED, Config
from datamodules.contribution.presets import queries, rule_of
from recipes.lengths import Unmeasured, count_questions, measure


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """Amounts of a step; None where they cannot be known."""

    steps: int = 0
    """Optimizer steps."""

    prompts: float | None = 0
    """Times that a prompt is read."""

    prompt_tokens: float | None = 0
    completion_tokens: float | None = 0
    at_most: bool = False
    """Completions may end earlier."""

    fewer: bool = False
    """Questions may be settled, filtered or cached before they are asked, a round may need less
    refilling, or a run end by `trainer.max_tokens`."""

    n: int = 0
    """Questions that the lengths were measured on."""

    unknown: frozenset[str] = frozenset()
    """Why something cannot be known."""

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(
            steps=self.steps + other.steps,
            prompts=_sum(self.prompts, other.prompts),
            prompt_tokens=_sum(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=_sum(self.completion_tokens, other.completion_tokens),
            at_most=self.at_most or other.at_most,
            fewer=self.fewer or other.fewer,
            n=max(self.n, other.n),
            unknown=self.unknown | other.unknown,
        )


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def amounts(config: Config) -> Amounts:
    """Count what a step does: prompts by arithmetic, tokens by a few of its questions."""
    match config.stage:
        case "preview" | "audit" | "clean" | "compare" | "push" | "runs":
            return Amounts()
        case "probe":
            return _probe(config)
        case "benchmark":
            return _benchmark(config)
        case "sft":
            longest = config.sft.max_completion_tokens if config.sft.traces else None
            return _training(config, longest)
        case "distill" if config.distill.method == "self":
            longest = config.distill.rejection_sampling.max_completion_tokens
            return _traces(config) + _training(config, longest)
        case "distill":
            return _training(config, config.distill.max_completion_tokens)
        case _:
            return _training(config, config.rlvr.group_size * config.rlvr.max_completion_tokens)


def _read(
    config: Config,
    split: str,
    *,
    prompts: int,
    longest: int | None,
    condition: Condition = "full",
    limit: int = 0,
) -> Amounts:
    """Multiply prompts with their mean length.

    Args:
        longest: completion tokens of one prompt at most; None imitates what the data hold.
    """
    most = None if longest is None else prompts * longest
    try:
        lengths = measure(config, split, condition, limit)
    except Unmeasured as reason:
        return Amounts(
            prompts=prompts,
            prompt_tokens=None,
            completion_tokens=most,
            at_most=longest is not None,
            unknown=frozenset({str(reason)}),
        )
    return Amounts(
        prompts=prompts,
        prompt_tokens=prompts * lengths.prompt,
        completion_tokens=prompts * lengths.target if most is None else most,
        at_most=longest is not None,
        n=lengths.n,
    )


def _training(config: Config, longest: int | None) -> Amounts:
    """Count the prompts of all optimizer steps, or of the rounds that feed them."""
    trainer, rlvr = config.trainer, config.rlvr
    updates, batches, tries = 1, 1, 0
    if config.stage in SAMPLED:
        updates, batches, tries = rlvr.updates, rlvr.minibatches, rlvr.dynamic_sampling.max_batches
    rounds = -(-trainer.max_steps // updates)
    each = trainer.batch_size * trainer.devices * trainer.num_nodes
    prompts = rounds * (batches * trainer.accumulate_grad_batches + tries) * each
    read = _read(config, config.data.train, prompts=prompts, longest=longest)
    early = trainer.max_tokens > 0
    return replace(
        read, steps=trainer.max_steps, fewer=early or tries > 0, at_most=early or read.at_most
    )


def _traces(config: Config) -> Amounts:
    """Count the questions that traces are sampled from, before any are filtered or cached."""
    wanted = config.distill.rejection_sampling
    return _asked(
        config,
        config.data.train,
        limit=wanted.limit,
        times=1,
        longest=wanted.samples * wanted.max_completion_tokens,
    )


def _benchmark(config: Config) -> Amounts:
    """Count all that a benchmark may have to ask; of other conditions than full it may be less."""
    wanted = config.benchmark
    if wanted.option_permutations == 0:
        return _unknown(
            "benchmark.option_permutations=0 asks each question as often as it has options"
        )
    asked = [
        _asked(
            config,
            name,
            limit=wanted.limit,
            times=wanted.option_permutations * (1 + len(wanted.checkpoints)),
            longest=wanted.max_completion_tokens,
            condition=_as_long(*parse_condition(condition)),
        )
        for name in wanted.sets
        for condition in wanted.conditions
    ]
    return sum(asked, Amounts())


def _probe(config: Config) -> Amounts:
    """Count all that a probe may have to ask; of other conditions than full it may be less."""
    wanted = config.probe
    if wanted.stop_when_decided_by is None:
        each = wanted.option_permutations * (1 + len(wanted.checkpoints))
        asked = [(it, wanted.replacement, each, wanted.samples) for it in wanted.conditions]
    else:
        rule = rule_of(replace(config.data.contribution, rule=wanted.stop_when_decided_by))
        votes = [
            (ask, max(ask.choice, ask.open, key=lambda vote: vote.total)) for ask in queries(rule)
        ]
        asked = [(ask.condition, ask.how, vote.orders, vote.answers) for ask, vote in votes]
    counted = [
        _asked(
            config,
            wanted.split,
            limit=wanted.limit,
            times=times,
            longest=answers * wanted.max_completion_tokens,
            condition=_as_long(condition, how),
        )
        for condition, how, times, answers in asked
    ]
    return sum(counted, Amounts())


def _as_long(condition: Condition, how: Replacement) -> Condition:
    """Return a condition whose prompts are as long: what stands in for media is as long as they."""
    return condition if how == "absent" else "full"


def _asked(
    config: Config,
    split: str,
    *,
    limit: int,
    times: int,
    longest: int,
    condition: Condition = "full",
) -> Amounts:
    """Count a pass, or several, over the questions of a split; those that are settled, filtered or
    cached are not asked."""
    try:
        questions = count_questions(config, split, limit)
    except Unmeasured as reason:
        return _unknown(str(reason))
    prompts = questions * times
    read = _read(config, split, prompts=prompts, longest=longest, condition=condition, limit=limit)
    return replace(read, fewer=True)


def _unknown(reason: str) -> Amounts:
    """Count nothing, and say why."""
    return Amounts(
        prompts=None,
        prompt_tokens=None,
        completion_tokens=None,
        at_most=True,
        fewer=True,
        unknown=frozenset({reason}),
    )
