"""Run a recipe: print the plan, run its steps in order, and compare its arms.

A finished step is not run again, so that the same command goes on at the first that is not.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from configs.recipes import CONTROLS, Arm, Command
from recipes.jobs import as_jobs
from recipes.plan import describe
from recipes.processes import NotStarted, Processes
from recipes.steps import Step, identity, resolve
from runtime.preemption import on_warning
from runtime.runs import follows, take
from runtime.writing import write_text
from untrusted.terminal import escaped

log = logging.getLogger(__name__)


def follow(command: Command, tell: Callable[[str], None]) -> None:
    """Run a recipe from its first unfinished step; print the plan first, results at the end."""
    if follows():
        raise ValueError(
            "this process is one of several that a launcher started, but a recipe is one process "
            "that starts its steps: start it once, and give steps their devices with "
            "STEP:trainer.devices=N."
        )
    known = identity(command)
    stem = f"{command.stem}-{known.hash}"
    place = command.root / (command.name or stem)
    if command.dry_run:
        return tell(describe(command, _chains(command, place), str(place)))
    if command.sbatch:
        return tell(as_jobs(command, _chains(command, place), place))
    with take(command.root, command.name, stem, known) as run:
        chains = _chains(command, run.dir)
        tell(describe(command, chains, str(run.dir)))
        with Processes(command.jobs) as processes, on_warning(processes.warn):
            for step in chains[0]:
                if step.shared or not command.arms:
                    processes.run(step)
            if command.arms:
                _side_by_side(processes, command, chains)
        if command.arms:
            tell(compare(command, chains, run.dir))
        run.finish()
    log.info("recipe directory: %s", run.dir)


def _chains(command: Command, root: Path) -> list[list[Step]]:
    """Write out the steps of every arm."""
    arms: Sequence[Arm | None] = command.arms or (None,)
    return [resolve(command, root, arm) for arm in arms]


def _side_by_side(processes: Processes, command: Command, chains: Sequence[Sequence[Step]]) -> None:
    """Run the chains of all arms, `jobs` at a time; after a failure no further step begins."""

    def run(arm: Arm, chain: Sequence[Step]) -> None:
        for step in chain:
            if not step.shared:
                processes.run(step, label=f"{arm.name}/")

    with ThreadPoolExecutor(command.jobs) as threads:
        done = [threads.submit(run, *each) for each in zip(command.arms, chains, strict=True)]
    errors = [error for future in done if (error := future.exception()) is not None]
    if reasons := [error for error in errors if not isinstance(error, NotStarted)]:
        raise reasons[0]


def compare(command: Command, chains: Sequence[Sequence[Step]], root: Path) -> str:
    """Compare the arms in one table for each benchmark, and write it to the directory."""
    from evaluation.benchmarking.arms import compare_arms  # noqa: PLC0415 - a plan does without its arrays

    tables, baseline = [], CONTROLS[0]
    for number, step in enumerate(chains[0]):
        if step.config.stage != "benchmark" or step.shared:
            continue
        arms: dict[str, list[Path]] = {}
        for arm, chain in zip(command.arms, chains, strict=True):
            arms.setdefault(arm.label, []).append(chain[number].dir)
        settings = step.config.benchmark
        for name in settings.sets:
            found = compare_arms(
                arms,
                baseline if baseline in arms else command.arms[0].label,
                dataset=name,
                confidence=settings.confidence,
            )
            several = len(settings.sets) > 1
            file = f"{step.name}-{name.replace('/', '-')}" if several else step.name
            write_text(root / f"{file}.json", found.json)
            write_text(root / f"{file}.txt", f"{escaped(found.text)}\n")
            tables.append(f"{file}: {root / file}.json\n\n{found.text}")
    return "\n\n".join(tables) or f"no benchmark is left to compare arms by, see {root}"
