"""Record what only a training run knows of its export, so that its card can be written anew."""

import json
import platform
import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from publishing.origin import Origin
from runtime.writing import write_text
from untrusted.json_text import json_of

FILE = "card.json"
PACKAGES = ("torch", "transformers", "peft")
MOST = 12
"""Sources that a card lists; the rest are counted together."""


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """The training questions of a run."""

    sources: dict[str, int]
    """Questions by source, before any rule."""

    questions: int
    kept: int
    """Those that the rule of `data.contribution` keeps under its control."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a card needs beside `config.yaml`."""

    trained_on: TrainedOn
    origin: Origin
    steps: int
    """Optimizer steps."""

    versions: dict[str, str]


def trained_on(sources: Sequence[str], kept: int) -> TrainedOn:
    """Count questions by source, the largest first."""
    counts = Counter(sources).most_common()
    listed = dict(counts[:MOST])
    if rest := counts[MOST:]:
        listed[f"{len(rest)} more sources"] = sum(count for _, count in rest)
    return TrainedOn(sources=listed, questions=len(sources), kept=kept)


def installed_versions() -> dict[str, str]:
    """Name the versions of this project, of Python, and of what a result depends on."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    ours = {"earwitness": str(project["version"]), "python": platform.python_version()}
    return ours | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def write_record(run_dir: Path, record: Record) -> None:
    """Write the record of a run."""
    write_text(run_dir / FILE, json.dumps(asdict(record), indent=2, ensure_ascii=False))


def read_record(run_dir: Path) -> Record:
    """Read the record of a run; raise where it left none."""
    file = run_dir / FILE
    if not file.is_file():
        raise ValueError(
            f"{run_dir} holds no {FILE}, but a training run leaves one beside its export, from "
            "which the card is written: name the directory of such a run with push.run, or train "
            "it again with this version."
        )
    try:
        return _record(json_of(file.read_text()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{file} is damaged ({type(error).__name__}: {error}), but the card is written from "
            "it: restore it, or train the run again."
        ) from None


def _record(found: Any) -> Record:  # whatever was written there
    origin = found["origin"]
    return Record(
        trained_on=TrainedOn(**found["trained_on"]),
        origin=Origin(**{**origin, "language": tuple(origin["language"])}),
        steps=int(found["steps"]),
        versions={str(name): str(number) for name, number in found["versions"].items()},
    )
