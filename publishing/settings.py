"""Tell which settings of a run differ from the defaults, and the command that repeats it."""

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from configs.load import PLACEMENT, SCRIPTS
from configs.repeating import changed_settings, written
from configs.schema import Config

PLACE = "PATH"
"""Stands for the directories of the machine that trained."""

WIDTH = 88
"""Letters in a line of a command."""

KEPT = ("export", "adapter", "stopped")
"""Names of directories that say nothing without that of their run."""


def portable(text: str) -> str:
    """Write an absolute path without the directories that it lies in."""
    return "+".join(map(_portable, text.split("+")))


def _portable(text: str) -> str:
    """Write one path likewise."""
    mark = "@" if text.startswith("@") else ""
    path = PurePath(text.removeprefix("@"))
    if not path.is_absolute():
        return text
    tail = path.parts[-2:] if path.name in KEPT else path.parts[-1:]
    return f"{mark}{PLACE}/{'/'.join(tail).lstrip('/')}"


def shown_settings(config: Config) -> dict[str, str]:
    """List settings that differ from those of the stage alone, as a command writes them."""
    changed = changed_settings(config, but=PLACEMENT)
    return {key: written(_shown(value)) for key, value in changed.items()}


def _shown(value: Any) -> Any:  # a setting is of any type
    """Write the paths of a setting without where they lie."""
    if isinstance(value, list):
        return [portable(item) for item in value]
    return portable(value) if isinstance(value, str) else value


def command_of(config: Config, changed: Mapping[str, str]) -> str:
    """Write the command that repeats a run, in lines."""
    words = ["python", SCRIPTS[config.stage], f"stage={config.stage}"]
    words += [shlex.quote(f"{key}={value}") for key, value in changed.items()]
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) > WIDTH:
            lines.append("    ")
        lines[-1] += word if not lines[-1].strip() else f" {word}"
    return " \\\n".join(lines)
