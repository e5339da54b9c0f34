"""Write a recipe as SLURM jobs, each step after those whose results it reads."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from configs.recipe_command import Command
from configs.schema import Config
from recipes.steps import Step

FILES = "configs/slurm"


def as_jobs(command: Command, chains: Sequence[Sequence[Step]], place: Path) -> str:
    """Write the shell script that submits every step that is not finished, and the comparison.

    Shared steps come first, one after the other, then the chain of each arm. Last comes the recipe
    itself, which finds its steps finished, compares the arms and marks its end.

    Args:
        chains: the steps of each arm; of one chain where there are no arms.
        place: directory of the recipe.
    """
    if not Path(FILES).is_dir():
        raise ValueError(
            f"{Path.cwd()} holds no {FILES}, but jobs start in the directory that submits them and "
            "run its .venv: give the command from the directory of this project."
        )
    if (place / "finished").is_file():
        raise ValueError(
            f"the recipe in {place} is finished, and no job is left to submit: give another "
            "run.name to run it again."
        )
    lines, taken = [], list[str]()

    def submit(step: Step, label: str, after: Sequence[str]) -> Sequence[str]:
        """Add a step, and return what comes after it waits for."""
        if step.finished:
            lines.append(f"# {label}{step.name} is finished: {step.dir}")
            return after
        taken.append(f"job{len(taken)}")
        words = [*_options(step.config, f"{label}{step.name}"), step.script, *step.words]
        lines.append(f"{taken[-1]}=$(sbatch --parsable {_after(after)}{shlex.join(words)})")
        return [taken[-1]]

    common: Sequence[str] = []
    for step in chains[0]:
        if step.shared or not command.arms:
            common = submit(step, "", common)
    ends = [] if command.arms else [*common]
    for arm, chain in zip(command.arms, chains, strict=False):
        after = common
        for step in chain:
            if not step.shared:
                after = submit(step, f"{arm.name}.", after)
        ends += [job for job in after if job not in ends]
    words = [*command.words, f"run.root={command.root}", f"run.name={place.name}"]
    last = ["--job-name=recipe", f"{FILES}/cpu.sbatch", "train.py", *words]
    head = f"#!/bin/bash\n# The steps of {command.title} as SLURM jobs; submitted by `| bash`."
    return "\n".join(
        [head, "set -euo pipefail", *lines, f"sbatch {_after(ends)}{shlex.join(last)}"]
    )


def _after(jobs: Sequence[str]) -> str:
    """Write options: begin once these have ended well, and do not wait for ever if one has not."""
    if not jobs:
        return ""
    names = ":".join(f"${job}" for job in jobs)
    return f"--dependency=afterok:{names} --kill-on-invalid-dep=yes "


def _options(config: Config, name: str) -> list[str]:
    """Choose the batch script for what a step asks for, and what it needs of the cluster."""
    trainer = config.trainer
    served = config.stage == "probe" and config.probe.backend == "openai"
    modelless = config.stage in ("preview", "audit", "clean", "compare", "push", "runs")
    if trainer.accelerator == "cpu" or served or modelless:
        file, more = "cpu", []
    elif trainer.num_nodes > 1:
        file, more = "nodes", [f"--nodes={trainer.num_nodes}"]
        more += [f"--ntasks-per-node={trainer.devices}", f"--gpus-per-node={trainer.devices}"]
    elif trainer.devices > 1:
        file, more = "node", [f"--gpus-per-node={trainer.devices}"]
    else:
        file, more = "gpu", []
    return [f"--job-name={name}", *more, f"{FILES}/{file}.sbatch"]
