"""Estimate the steps of a training: epochs exactly, tokens by the questions that were measured."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from configs.schema import SAMPLED, Config


@dataclass(frozen=True, kw_only=True)
class StepBudget:
    """How many questions the steps of a training read."""

    per_list: int
    """Questions of one optimizer step, or of one round of sampling, over all processes."""

    updates: int
    """Optimizer steps that such a list feeds."""

    lists: int

    @property
    def questions(self) -> int:
        """Questions that the whole training reads; one that is read again counts again."""
        return self.lists * self.per_list

    def epoch(self, kept: int) -> int:
        """Count the optimizer steps after which every question was read once."""
        return -(-kept // self.per_list) * self.updates


def step_budget(config: Config) -> StepBudget:
    """Count what the settings of a training ask for."""
    trainer = config.trainer
    minibatches = config.rlvr.minibatches if config.stage in SAMPLED else 1
    prompts = trainer.batch_size * trainer.accumulate_grad_batches * minibatches
    return StepBudget(
        per_list=prompts * trainer.devices * trainer.num_nodes,
        updates=config.updates,
        lists=trainer.max_steps // config.updates,
    )


def step_notes(
    config: Config,
    kept: int,
    sizes: Sequence[Mapping[str, float]],
    *,
    weighted: bool = False,
    packs: int | None = None,
) -> Iterator[str]:
    """Say how long the training is, in steps, epochs and tokens.

    Args:
        kept: questions in an epoch.
        sizes: of the questions that were measured.
        weighted: some are read more often than others.
        packs: micro-batches of the first step, where `sft.pack_tokens` cuts them.
    """
    if not kept:
        return
    budget, trainer = step_budget(config), config.trainer
    rounds = config.stage in SAMPLED
    named = f"{budget.lists:,} rounds" if rounds else f"{budget.lists:,} steps"
    yield (
        f"trainer.max_steps={trainer.max_steps}: {named} of {budget.per_list:,} questions, "
        f"{budget.questions:,} in all: {budget.questions / kept:,.2f} epochs of {kept:,}"
    )
    yield f"one epoch: trainer.max_steps={budget.epoch(kept)}"
    yield from _completions(config, budget)
    if weighted:
        yield (
            "questions are read in proportion to their weights, by data.mixture or "
            "data.contribution.weighted: an epoch holds some more than once, others not at all"
        )
    if config.data.contribution.curriculum_steps:
        yield f"the first {config.data.contribution.curriculum_steps} steps read weak ones only"
    if packs is not None:
        yield (
            f"sft.pack_tokens={config.sft.pack_tokens}: the first step is packed into {packs} "
            "micro-batches"
        )
    if sizes:
        prompt, learned = (
            sum(one.get(name, 0.0) for one in sizes) / len(sizes)
            for name in ("prompt tokens", "learned tokens")
        )
        sampled = "" if not learned else f" and {learned * budget.questions:,.0f} learned"
        yield (
            f"about {prompt * budget.questions:,.0f} tokens of prompts{sampled}, by the mean of "
            f"{len(sizes)} questions"
        )
        if trainer.max_tokens and learned:
            steps = trainer.max_tokens / ((prompt + learned) * budget.per_list)
            yield (
                f"trainer.max_tokens={trainer.max_tokens:,} ends it after about {steps:,.0f} steps"
            )


def _completions(config: Config, budget: StepBudget) -> Iterator[str]:
    """Say how much is sampled on the way."""
    if config.stage in SAMPLED:
        group, longest = config.rlvr.group_size, config.rlvr.max_completion_tokens
        yield (
            f"{budget.questions * group:,} completions, {group} of each question, of at most "
            f"{longest} tokens; more where dynamic sampling draws prompts again"
        )
    if config.stage == "distill" and config.distill.method == "on_policy":
        yield (
            f"the student completes {config.distill.on_policy_share:.0%} of them itself, by at "
            f"most {config.distill.max_completion_tokens} tokens"
        )
