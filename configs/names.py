"""The names of settings: sections and fields of the schema, joined by dots."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, get_type_hints

from configs.schema import Config

GROUPS = {
    "stage": None,
    "objective": "default",
    "reward": "default",
    "model": "tiny",
    "data": "digits",
}
"""Folders of YAML files in the order in which they are laid over each other, and the default."""

FILES, FROM = "config", "config-from"
"""Words that name files of one's own settings, and a run to repeat: no settings themselves."""

SPELLED = {"push-to-hub": "push.to", "runs": "compare.runs", "against": "compare.against"}
"""Settings that may be called as other trainers call them, or without their section."""

LONGEST = 100
"""Letters of a word that may be a slip of another one."""


# Any: a type hint such as `str | None` or `Literal[...]` has no common static type.
def _leaf_hints(section: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Walk the dotted keys of the schema, each with its type hint."""
    for name, hint in get_type_hints(section).items():
        if is_dataclass(hint) and isinstance(hint, type):
            yield from _leaf_hints(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", hint


HINTS = dict(_leaf_hints(Config))


def captions(section: type = Config, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Walk the dotted keys, each with the first sentence of the docstring below its field."""
    [defined] = ast.parse(inspect.getsource(section)).body
    assert isinstance(defined, ast.ClassDef)
    hints = get_type_hints(section)
    for field, below in pairwise(defined.body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        name = field.target.id
        if is_dataclass(hints[name]) and isinstance(hints[name], type):
            yield from captions(hints[name], f"{prefix}{name}.")
        elif isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            text = " ".join(str(below.value.value).split())
            yield f"{prefix}{name}", re.split(r"\.(?: |$)", text)[0].replace("`", "")


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested sections into dotted keys: {"optim": {"lr": 1}} -> {"optim.lr": 1}."""
    flat: dict[str, Any] = {}  # Any: values of every type that YAML knows
    for name, value in tree.items():
        nested = isinstance(value, dict)
        flat |= flatten(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat


def nest(flat: dict[str, Any]) -> dict[str, Any]:
    """Undo `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return tree


def suggest(word: str, known: list[str]) -> str:
    """Name a slip within the section, or the same last part, as sections get forgotten, or the
    nearest."""
    if len(word) > LONGEST:
        return ""
    last = {key: key.split(".")[-1] for key in known}
    section = [
        key for key in known if "." in word and key.startswith(word.rpartition(".")[0] + ".")
    ]
    near = get_close_matches(word, section, n=1, cutoff=0.85)
    near = near or [key for key in known if last[key] == word.split(".")[-1]]
    near = near or get_close_matches(word, known, n=1)
    near = near or [
        key for key in known if last[key] in get_close_matches(word, last.values(), n=1)
    ]
    return f"; did you mean {' or '.join(near[:3])}?" if near else ""
