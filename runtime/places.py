"""Whether a run can write where its settings say, asked before it costs anything."""

import os
from collections.abc import Iterator
from pathlib import Path

from configs.launching import TRAINS
from configs.schema import Config


def check_places(config: Config) -> None:
    """Raise where a directory that a run is sure to write to cannot be made or written."""
    for setting, place, holds in _written(config):
        _check_place(setting, place, holds)


def _written(config: Config) -> Iterator[tuple[str, Path, str]]:
    """List settings with the directories that they name, and what a run leaves there.

    A cache that holds something may hold everything, and then is only read.
    """
    stage, root = config.stage, Path(config.data.root)
    yield "run.root", Path(config.run.root), "run directories"
    if config.data.embedded and not root.exists():
        yield "data.root", root, "the embedded data, which are made once"
    wanted = config.data.contribution
    asks = stage in TRAINS and wanted.rule != "none" and wanted.on_missing == "probe"
    caches = {
        "data.contribution.cache": (wanted.cache, stage == "probe" or asks),
        "benchmark.cache": (config.benchmark.cache, stage == "benchmark"),
        "distill.rejection_sampling.cache": (
            config.distill.rejection_sampling.cache,
            stage == "distill" and config.distill.method == "self",
        ),
    }
    for setting, (cache, kept) in caches.items():
        place = root / cache  # an absolute one replaces the root
        if kept and not (place.is_dir() and any(place.iterdir())):
            yield setting, place, "answers, which would be asked for again"


def nearest(place: Path) -> Path:
    """Return what exists of a path: itself, or the nearest of the directories that it lies in."""
    place = place.absolute()
    return next(each for each in (place, *place.parents) if os.path.lexists(each))


def _check_place(setting: str, place: Path, holds: str) -> None:
    """Raise why a directory cannot be made or written."""
    there = nearest(place)
    way = f"name another directory with {setting}=DIRECTORY"
    if setting.endswith("cache"):
        way += ", an absolute one, since others lie in data.root"
    if not there.is_dir():
        raise ValueError(
            f"{setting} is {place}, and {there} is no directory, but {holds} are written there: "
            f"move it away, or {way}."
        )
    if os.access(there, os.W_OK | os.X_OK):
        return
    fixed = os.statvfs(there).f_flag & os.ST_RDONLY
    why = "its file system is read-only" if fixed else "this user may not"
    raise ValueError(
        f"{setting} is {place}, and {there} cannot be written ({why}), but {holds} are written "
        f"there: change that, or {way}."
    )
