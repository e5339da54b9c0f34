"""The line that repeats a run, from its settings alone."""

import json
import shlex
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from configs.layers import ANEW
from configs.load import SCRIPTS, load_config
from configs.names import flatten
from configs.schema import Config


def changed_settings(config: Config, *, but: Collection[str] = ()) -> dict[str, Any]:
    """List settings that differ from those of the stage alone; Any: they are of every type.

    Args:
        but: settings that are left out.
    """
    plain = load_config([f"stage={config.stage}"], (config.stage,))
    defaults, found = flatten(asdict(plain)), flatten(asdict(config))
    return {key: value for key, value in found.items() if key not in but and value != defaults[key]}


def written(value: Any) -> str:  # a setting is of any type
    """Write a value as a command line has it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case list():
            plain = not any({*item} & {*"""[],'"\\"""} or item != item.strip() for item in value)
            return f"[{','.join(value)}]" if plain and all(value) else repr(value)
        case str():
            return value
        case _:
            return repr(value)


def line_of(config: Config) -> str:
    """Write the command that repeats a run, in a directory of its own."""
    words = [f"{key}={written(value)}" for key, value in changed_settings(config, but=ANEW).items()]
    words = [_in_a_line(word) for word in words]
    return shlex.join(["python", SCRIPTS[config.stage], f"stage={config.stage}", *words])


def _in_a_line(word: str) -> str:
    """Write a text of several lines as JSON, which has one."""
    key, _, value = word.partition("=")
    return json.dumps({key: value}) if "\n" in value else word
