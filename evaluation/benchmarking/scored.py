"""Find which checkpoints were scored in runs that exist, and of which arm and seed each is."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from configs.comparing import ARMS
from configs.files import read_yaml
from configs.load import PLACEMENT
from configs.names import flatten
from evaluation.benchmarking.results import lineage
from untrusted.json_text import json_of

STEP = "benchmark"
"""What a benchmark that is no step of a recipe counts as."""

UNREAD = ("preview.", "probe.", "audit.", "clean.", "benchmark.", "compare.", "push.")
"""Sections that no training reads."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One checkpoint that a benchmark scored."""

    file: Path
    """Its answers."""

    sets: Sequence[str]
    step: str
    """The benchmark's step of a recipe."""

    digest: str
    """Identity of the weights."""

    seed: int | None = None
    """None for weights that no run has trained, and for those that a benchmark begins with."""

    label: str | None = None
    """Name of the arm, where a recipe gave it one."""

    settings: Mapping[str, object]
    """Settings of the trainings behind the weights, but for seeds and places."""


def find_scored(patterns: Iterable[str]) -> tuple[list[Scored], list[str]]:
    """Find what the benchmarks in some directories have scored, and say what was passed over."""
    found: list[Scored] = []
    notes: list[str] = []
    for pattern in patterns:
        places = sorted(path for path in map(Path, glob(pattern)) if path.is_dir())
        several = {place: list(_inside(place, notes)) for place in places}
        if not any(several.values()):
            raise ValueError(
                f"compare.runs has {pattern!r}, and of the {len(places)} directories of that name "
                "none holds a finished benchmark, but arms are compared by those: score trainings "
                "first, with "
                "`python eval.py stage=benchmark 'benchmark.checkpoints=[RUN]'`, or name the "
                "directory of a recipe."
            )
        if empty := [str(place) for place, own in several.items() if not own]:
            notes.append(f"{len(empty)} of {pattern} hold no benchmark, such as {empty[0]}")
        found += [scored for own in several.values() for scored in own]
    return found, notes


def _inside(place: Path, notes: list[str]) -> Iterator[Scored]:
    """Walk what a directory holds: the arms of a recipe, one benchmark, or a recipe's benchmarks.

    Of a benchmark that is a recipe's step, the first and the last checkpoint count: what the recipe
    started from, and what it made of that.
    """
    if (place / ARMS).is_file():
        for label, chains in json_of((place / ARMS).read_text()).items():
            first: dict[str, Mapping[str, object]] = {}
            for seed, name in chains.items():
                steps = list(_steps(place / name))
                for step in steps:
                    own = first.setdefault(step.name, _settings(_checkpoints(step)[-1][1]))
                    yield from _ends(step, label=label, seed=int(seed), settings=own)
                if not steps:
                    notes.append(f"{place / name} has no finished benchmark, and is left out")
    elif (checkpoints := _checkpoints(place)) and len(checkpoints) == 1:
        yield _scored(place, STEP, *checkpoints[0])
    elif checkpoints:
        yield _scored(place, STEP, *checkpoints[0], seed=None)
        yield from (_scored(place, STEP, *each) for each in checkpoints[1:])
    else:
        for step in _steps(place):
            yield from _ends(step)


def _steps(chain: Path) -> Iterator[Path]:
    """List the benchmarks among the steps in a directory."""
    return (step for step in sorted(chain.iterdir()) if step.is_dir() and _checkpoints(step))


def _checkpoints(folder: Path) -> list[tuple[str, str]]:
    """List the checkpoints that a benchmark scored, each with its weights; none elsewhere."""
    file = folder / "results.json"
    results = json_of(file.read_text()) if file.is_file() else None
    return [*results.get("checkpoints", {}).items()] if isinstance(results, dict) else []


def _ends(step: Path, **known: Any) -> Iterator[Scored]:  # Any: fields of `Scored`
    """Take the first checkpoint of a recipe's benchmark and the last."""
    checkpoints = _checkpoints(step)
    if len(checkpoints) > 1:
        yield _scored(step, step.name, *checkpoints[0], seed=None)
    yield _scored(step, step.name, *checkpoints[-1], **known)


def _scored(folder: Path, step: str, name: str, weights: str, **known: Any) -> Scored:  # as above
    """Describe a checkpoint; what is not known of it is read from the trainings behind it."""
    results = json_of((folder / "results.json").read_text())
    found = {"seed": _seed(weights), "settings": _settings(weights)} | known
    return Scored(
        file=folder / f"{name}.jsonl",
        sets=results["sets"],
        step=step,
        digest=results.get("weights", {}).get(name, weights),
        **found,
    )


def _seed(weights: str) -> int | None:
    """Read the seed of the last training behind some weights."""
    return next((int(own["seed"]) for own in _trainings(weights)), None)


def _settings(weights: str) -> dict[str, object]:
    """Read the settings of all trainings behind some weights, with places inside their root."""
    flat: dict[str, object] = {}
    for number, own in enumerate(_trainings(weights)):
        prefix = f"{own['stage']}{number}:" if number else ""
        kept = {
            key: value
            for key, value in own.items()
            if key not in {*PLACEMENT, "seed", "init_from"} and not key.startswith(UNREAD)
        }
        text = json.dumps(kept).replace(f"{own.get('run.root')}/", "")
        flat |= {f"{prefix}{key}": value for key, value in json_of(text).items()}
    return flat


def _trainings(weights: str) -> Iterator[dict[str, Any]]:  # Any: settings of every type
    """Read the settings of each training behind some weights, the last one first."""
    return (flatten(read_yaml(run / "config.yaml")) for run in lineage(Path(weights)))
