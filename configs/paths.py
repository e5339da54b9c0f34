"""Where paths in settings start: at the home directory, the current one, or the project's own.

What somebody gives is relative to the directory that they are in; what the files beside this one
give is relative to the project, which ships what they name.
"""

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent

PATHS = (
    *("run.root", "init_from", "model.path", "model.tower_cache", "data.root", "data.media_cache"),
    *("data.train", "data.val", "data.contribution.cache", "data.contribution.disjoint_from"),
    *("sft.traces", "distill.teacher", "distill.rejection_sampling.cache"),
    *("prealign.reader", "prealign.judge"),
    *("probe.split", "probe.checkpoints", "audit.split", "benchmark.sets"),
    *("benchmark.checkpoints", "benchmark.cache", "clean.sets", "clean.views"),
    *("push.run", "push.benchmark", "compare.runs"),
)
"""Settings that name files or directories: `~` in them is the home directory, which shells leave
alone behind `key=`. Relative ones start at the current directory."""

WEIGHTS = (
    *("init_from", "model.path", "probe.checkpoints", "benchmark.checkpoints"),
    *("distill.teacher", "prealign.reader", "prealign.judge", "data.contribution.disjoint_from"),
)
"""Those that name weights, where the directory of a run stands for its export."""

FUNCTIONS = ("data.format", "data.verifiers", "rlvr.reward.plugins")
"""Settings that may name functions in files, as `configs/plugins.py` reads them."""

SHIPPED = ("model.path", "data.root")
"""Those that files of this folder set as well."""


def at_home(path: str) -> str:
    """Expand `~` to the home directory, in each of several manifests joined by `+`."""
    return "+".join(os.path.expanduser(part) for part in path.split("+")) if "~" in path else path


# Any: a setting is of any type
def placed(key: str, value: Any) -> Any:
    """Read a setting that may be a path."""
    if key not in (*PATHS, *FUNCTIONS):
        return value
    if isinstance(value, list):
        return [placed(key, item) for item in value]
    if not isinstance(value, str):
        return value
    path = at_home(value)
    return str(Path(path) / "export") if key in WEIGHTS and _is_run(path) else path


def _is_run(path: str) -> bool:
    """Whether a directory is that of a run, which has its weights inside."""
    try:
        known = path != "" and Path(path, "config.hash").is_file()
        return known and not Path(path, "config.json").exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def shipped(files: Mapping[str, str | None], given: Collection[str]) -> dict[str, str]:
    """Find what the project ships when the current directory is another one.

    Models that it does not ship are ids on the hub; the embedded data are made where they belong.

    Args:
        files: what the files of this folder say.
        given: settings that somebody gives.
    """
    project = FOLDER.parent.resolve()
    if Path.cwd() == project:
        return {}
    return {
        key: str(project / path)
        for key, path in files.items()
        if key not in given and path and (key == "data.root" or (project / path).is_dir())
    }
