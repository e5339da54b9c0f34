"""Tell which settings of a run differ from the defaults, and the command that repeats it."""

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

from configs.load import PLACEMENT, SCRIPTS, load_config
from configs.names import flatten
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


def changed_settings(config: Config) -> dict[str, str]:
    """List settings that differ from those of the stage alone, as a command writes them."""
    plain = load_config([f"stage={config.stage}"], (config.stage,))
    defaults, found = flatten(asdict(plain)), flatten(asdict(config))
    return {
        key: written(value)
        for key, value in found.items()
        if key not in PLACEMENT and value != defaults[key]
    }


def written(value: Any) -> str:  # a setting is of any type
    """Write a value as a command line has it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            return f"[{','.join(written(each) for each in value)}]"
        case str():
            return portable(value)
        case _:
            return repr(value)


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
