"""List runs by what their directories say, and remove those that never began."""

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from configs.files import read_yaml
from configs.layers import COMMAND, SETTINGS
from configs.names import flatten
from configs.objectives import learns_by
from configs.schema import Config
from evaluation.statistics.tables import layout
from runtime.runs import FAILED, FINISHED, LOCK, begun, locked, remove
from untrusted.json_text import json_of

State = Literal["never began", "running", "stopped", "failed", "finished"]

DEPTH = 3
"""Directories below `run.root` in which runs are looked for: a recipe has arms, and those steps."""

TAIL = 1 << 16
"""Bytes at the end of the metrics that are looked at."""

TELLING = ("val/accuracy", "train/reward", "train/accuracy", "train/loss")
"""Metrics, the one that says most first."""

NONE = "-"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """What a directory says of its run."""

    place: Path
    stage: str
    model: str
    objective: str
    step: str
    metric: str
    state: State


def list_runs(config: Config) -> str:
    """List the runs below `run.root`, the newest last; return the table to print."""
    root = Path(config.run.root)
    places = [*_places(root)]
    removed = _clean(places) if config.run.clean else []
    told = [f"removed {place}: it never began" for place in removed]
    runs = sorted(set(places) - set(removed), key=lambda place: (_begin(place), place))
    if not runs:
        return "\n".join([*told, f"There are no runs in {root}."])
    head = ("run", "stage", "model", "objective", "step", "newest metric", "state")
    rows = [_cells(_listed(place), root) for place in runs]
    if any(row[-1] == "never began" for row in rows):
        told.append("clean=true removes those that never began.")
    return "\n".join([*layout(head, rows, left=4), *told])


def _cells(run: Listed, root: Path) -> list[str]:
    """Write a run as a row of the table."""
    name = str(run.place.relative_to(root))
    return [name, run.stage, run.model, run.objective, run.step, run.metric, run.state]


def _places(root: Path) -> Iterator[Path]:
    """Find the directories of runs, those within others first."""
    for depth in range(DEPTH, 0, -1):
        yield from (lock.parent for lock in root.glob(f"{'*/' * depth}{LOCK}"))


def _begin(place: Path) -> float:
    """Return when a run was begun; 0 where that cannot be told."""
    with suppress(OSError):
        return (place / SETTINGS).stat().st_mtime
    return 0.0


def _clean(places: list[Path]) -> list[Path]:
    """Remove the directories of runs that never began, while no process has them."""
    removed = []
    for place in places:
        with suppress(OSError):  # of another user
            lock = locked(place / LOCK)
            if lock is None:
                continue
            with lock:
                if not begun(place):
                    remove(place)
                    removed.append(place)
    return removed


def _listed(place: Path) -> Listed:
    """Read what a run has left."""
    settings: dict[str, Any] = {}  # Any: a setting is of any type
    with suppress(ValueError):  # of a recipe, these are the words of its steps
        settings = flatten(read_yaml(place / SETTINGS))
    stage, step, metric = str(settings.get("stage", NONE)), NONE, NONE
    row = _newest(place / "metrics.jsonl")
    if row:
        step = str(row.get("step", NONE))
        name = next((name for name in TELLING if name in row), None)
        metric = NONE if name is None else f"{name} {row[name]:.4g}"
    return Listed(
        place=place,
        stage=stage if settings.get("stage") else _recipe(place),
        model=str(settings.get("model.name", NONE)),
        objective=learns_by(settings) or NONE,
        step=step,
        metric=metric,
        state=_state(place),
    )


def _recipe(place: Path) -> str:
    """Name the recipe whose directory this is, or say that it compares arms."""
    words: list[str] = []
    with suppress(OSError, ValueError):  # quotes that are not closed
        words = shlex.split((place / COMMAND).read_text(errors="replace"))
    arms = "arms" if any(word.startswith("arms=") for word in words) else NONE
    return next((word for word in words if word.startswith("recipe=")), arms)


def _newest(file: Path) -> dict[str, Any]:
    """Read the last whole row with a number that tells something, or the last one."""
    rows: list[dict[str, Any]] = []
    with suppress(OSError), file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - TAIL))
        for line in opened.read().split(b"\n")[::-1]:
            with suppress(ValueError):
                row = json_of(line)
                if isinstance(row, dict):
                    rows.append(row)
    numbers = (row for row in rows if any(isinstance(row.get(name), float) for name in TELLING))
    return next(numbers, rows[0] if rows else {})


def _state(place: Path) -> State:
    """Tell what became of a run."""
    if (place / FINISHED).exists():
        return "finished"
    if _is_held(place / LOCK):
        return "running"
    if not begun(place):
        return "never began"
    return "failed" if (place / FAILED).exists() else "stopped"


def _is_held(file: Path) -> bool:
    """Whether a living process has a lock."""
    try:
        lock = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(lock)
    return False
