"""Write the plan of a recipe: what each step costs, its command, and what arms change."""

import shlex
from collections.abc import Sequence

from configs.recipe_command import Command
from recipes.plan import Amounts, amounts
from recipes.steps import Step

HEAD = ("step", "optimizer steps", "prompts", "prompt tokens", "completion tokens")
MEASURED = "Tokens are means over up to {n} questions, times prompts."
NOTE = (
    "At most: what is sampled may end earlier, what is settled, filtered out or cached is not "
    "asked, and refilling ends once it has found enough. What rewards, readers, judges, teachers "
    "and validations read comes on top."
)


def describe(command: Command, chains: Sequence[Sequence[Step]], place: str) -> str:
    """Write the plan: what every step costs, and its command.

    Args:
        chains: the steps of each arm; one chain where nothing is compared.
        place: the directory of the recipe, as far as it is known.
    """
    rows: list[Sequence[str]] = [HEAD]
    total = Amounts()
    for number in range(len(chains[0])):
        for name, running, each in _alike(command, chains, number):
            total = sum([each] * len(running), total)
            finished = sum(step.finished for step in running)
            many = f" x {len(running)}" if len(running) > 1 else ""
            state = f" ({finished} finished)" if many and finished else " (finished)" * finished
            rows.append(_row(f"{name}{many}{state}", each))
    rows.append(_row("in all", total))
    what = command.recipe.name + (
        f" at scale {command.recipe.scale}" if command.recipe.scale else " and its benchmark"
    )
    lines = [f"{what}, in {place}", "", *_aligned(rows), ""]
    lines += [f"unknown: {reason}" for reason in sorted(total.unknown)]
    lines += [MEASURED.format(n=total.n)] if total.n else []
    lines += [NOTE, "", *map(str, chains[0])]
    if len(chains) > 1:
        others = ", ".join(arm.name for arm in command.arms[1:])
        lines += ["", f"The same in {others}, but for what the first and all have in common:"]
        lines += [f"  {label}: {words}" for label, words in _changes(command).items()]
    return "\n".join(lines)


def _alike(
    command: Command, chains: Sequence[Sequence[Step]], number: int
) -> list[tuple[str, list[Step], Amounts]]:
    """Sort the runs of one step by what they cost: all together, or those of each arm."""
    step = chains[0][number]
    if step.shared or not command.arms:
        return [(step.name, [step], amounts(step.config))]
    of_arm: dict[str, list[Step]] = {}
    for arm, chain in zip(command.arms, chains, strict=True):
        of_arm.setdefault(arm.label, []).append(chain[number])
    costs = {label: amounts(running[0].config) for label, running in of_arm.items()}
    first, *others = costs.values()
    if all(each == first for each in others):
        return [(step.name, [chain[number] for chain in chains], first)]
    return [(f"{label}/{step.name}", running, costs[label]) for label, running in of_arm.items()]


def _changes(command: Command) -> dict[str, str]:
    """Write what each arm changes, by its label."""
    return {
        arm.label: shlex.join(
            [
                *(f"{key}={value}" for key, value in arm.everywhere.items()),
                *(
                    f"{step}:{key}={value}"
                    for step, given in arm.of_step.items()
                    for key, value in given.items()
                ),
            ]
        )
        or "as it is"
        for arm in command.arms
    }


def _row(name: str, amounts: Amounts) -> tuple[str, ...]:
    """Write what one step does."""
    asked, most = ("<= " if early else "" for early in (amounts.fewer, amounts.at_most))
    return (
        name,
        f"{amounts.steps:,}" if amounts.steps else "-",
        "?" if amounts.prompts is None else f"{asked}{amounts.prompts:,.0f}",
        _tokens(asked, amounts.prompt_tokens),
        _tokens(most, amounts.completion_tokens),
    )


def _tokens(most: str, count: float | None) -> str:
    """Round a number of tokens to three digits or so."""
    if count is None:
        return "?"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{most}{count / size:.3g} {unit}"
    return f"{most}{count:.0f}" if count else "-"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Align columns: names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "   ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
    return [lines[0], "-" * len(lines[0]), *lines[1:]]
