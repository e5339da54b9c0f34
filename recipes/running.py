"""Run a recipe: print the plan, run its steps in order, and compare its arms.

A finished step is not run again, so that the same command goes on at the first that is not.
"""

import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from configs.arms import Arm
from configs.comparing import ARMS
from configs.recipe_command import Command
from recipes.arms import check_arms, comparison
from recipes.jobs import as_jobs
from recipes.outline import describe
from recipes.processes import NotStarted, Processes
from recipes.steps import Step, identity, resolve
from runtime.preemption import on_warning
from runtime.runs import follows, take
from runtime.writing import write_text

log = logging.getLogger(__name__)


def follow(command: Command, tell: Callable[[str], None]) -> None:
    """Run a recipe from its first unfinished step; print the plan first, results at the end."""
    if follows():
        raise ValueError(
            "this process is one of several that a launcher started, but a recipe is one process "
            "that starts its steps: start it once, and give steps their devices with "
            "STEP:trainer.devices=N."
        )
    check_arms(command)
    known = identity(command)
    stem = f"{command.stem}-{known.hash}"
    place = command.root / (command.name or stem)
    if command.dry_run:
        return tell(describe(command, _chains(command, place), str(place)))
    if command.sbatch:
        return tell(as_jobs(command, _chains(command, place), place))
    with take(command.root, command.name, stem, known) as run:
        chains = _chains(command, run.dir)
        if command.arms:
            write_text(run.dir / ARMS, listed_arms(command))
        tell(describe(command, chains, str(run.dir)))
        with Processes(command.jobs) as processes, on_warning(processes.warn):
            for step in chains[0]:
                if step.shared or not command.arms:
                    processes.run(step)
            if command.arms:
                _side_by_side(processes, command, chains)
        if last := comparison(command, chains, run.dir):
            with Processes(jobs=1) as processes, on_warning(processes.warn):
                processes.run(last)
        elif command.arms:
            tell(f"no benchmark is left to compare arms by, see {run.dir}")
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


def listed_arms(command: Command) -> str:
    """List the directory of each chain by its arm and seed, as stage=compare reads them."""
    listed: dict[str, dict[str, str]] = {}
    for arm in command.arms:
        listed.setdefault(arm.label, {})[str(arm.seed)] = arm.name
    return json.dumps(listed, indent=2)
