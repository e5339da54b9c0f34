"""From command-line words to a resolved Config:

    defaults < stage < objective < reward < model < data < command line

The stage comes first because what suits an algorithm in general, a learning rate above all, depends
on the model it is applied to.

Imports nothing heavy, so that help and mistakes are answered at once.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from configs.foreign import json_of
from configs.paths import FOLDER, SHIPPED, placed, shipped
from configs.schema import Config

GROUPS = {
    "stage": None,
    "objective": "default",
    "reward": "default",
    "model": "tiny",
    "data": "digits",
}
"""Folders of YAML files in the order in which they are laid over each other, and the default."""

SERVES: dict[str, tuple[str, ...]] = {"objective": ("rlvr", "prealign"), "reward": ("rlvr",)}
"""The stages that have a use for a group which not all have a use for."""

SCRIPTS = {
    "sft": "train.py",
    "rlvr": "train.py",
    "distill": "train.py",
    "prealign": "train.py",
    "probe": "eval.py",
    "audit": "eval.py",
    "clean": "eval.py",
    "benchmark": "eval.py",
}
PLACEMENT = ("logger", "run.name", "run.root")
"""Keys that say where results go, not what they are; `config_hash` leaves them out."""


# Any: a type hint such as `str | None` or `Literal[...]` has no common static type.
def _leaf_hints(section: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Walk the dotted keys of the schema, each with its type hint."""
    for name, hint in get_type_hints(section).items():
        if is_dataclass(hint) and isinstance(hint, type):
            yield from _leaf_hints(hint, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", hint


HINTS = dict(_leaf_hints(Config))


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested sections into dotted keys: {"optim": {"lr": 1}} -> {"optim.lr": 1}."""
    flat: dict[str, Any] = {}  # Any: values of every type that YAML knows
    for name, value in tree.items():
        nested = isinstance(value, dict)
        flat |= flatten(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return flat


def _nest(flat: dict[str, Any]) -> dict[str, Any]:
    """Undo `flatten`."""
    tree: dict[str, Any] = {}
    for key, value in flat.items():
        *sections, name = key.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = value
    return tree


def choices(group: str) -> list[str]:
    """List what a group offers, by the YAML files in its folder."""
    return sorted(path.stem for path in (FOLDER / group).glob("*.yaml"))


def suggest(word: str, known: list[str]) -> str:
    """Name a slip within the section, or the same last part, as sections get forgotten, or the
    nearest."""
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


def split_words(argv: list[str]) -> dict[str, Any]:
    """Read `k=v`, `--k=v`, `+k=v`, `++k=v`, `--k v`, `--flag` and W&B's JSON; the last one wins."""
    given: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        key, equals, value = word.removeprefix("--").lstrip("+").partition("=")
        if word.startswith("{"):
            given |= flatten(json_of(word))
        elif (
            equals and value.startswith("{") and any(known.startswith(f"{key}.") for known in HINTS)
        ):
            given |= flatten(ast.literal_eval(value), f"{key}.")  # W&B writes sections as Python
        elif equals:
            given[key] = value
        elif word.startswith("--") and HINTS.get(key) is bool:
            given[key] = "true"
        elif word.startswith("--") and (key in HINTS or key in GROUPS):
            given[key] = next(words, "")
        else:
            raise ValueError(
                f"{word!r} is not an assignment: settings are given as key=value, such as "
                f"optim.lr=1e-5{suggest(key, [*HINTS])}"
            )
    return given


def _arms(hint: Any) -> tuple[Any, ...]:
    """List what a union admits; one with a Literal in it is of another class than the rest."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else ()


def _typed(key: str, value: Any) -> Any:
    """Prepare a command-line text for its field: null where that is allowed, lists as lists.

    The rest stays text, which OmegaConf converts to numbers and truth values where those are due;
    a name such as 007 or 1e3 therefore stays a name.
    """
    if type(None) in _arms(HINTS[key]) and value in ("None", "null", "none", ""):
        return None
    if get_origin(HINTS[key]) is list and isinstance(value, str) and value[:1] + value[-1:] == "[]":
        items = (item.strip().strip("'\"") for item in value[1:-1].split(","))
        return [item for item in items if item]
    return value


def _allowed(hint: Any) -> str:
    """Say in words which values a type hint admits."""
    if arms := _arms(hint):
        return " or ".join("null" if arm is type(None) else _allowed(arm) for arm in arms)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if get_origin(hint) is list:
        return f"a list such as [a, b], each {_allowed(get_args(hint)[0])}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]


def _lay_over(config: Any, flat: dict[str, Any], source: str) -> Any:
    """Merge settings into an OmegaConf config, and say what is wrong with those that do not fit."""
    for key in flat:
        if key not in HINTS:
            inside = [known for known in HINTS if known.startswith(f"{key}.")]
            hint = f"; it is a section: set {inside[0]}, ..." if inside else suggest(key, [*HINTS])
            raise ValueError(f"{source}: there is no setting {key!r}{hint}")
    try:
        return OmegaConf.merge(config, _nest(flat))
    except OmegaConfBaseException as error:
        key = (error.full_key or "").split("[")[0]
        if key not in flat:
            raise
        hints = [HINTS[key], *_arms(HINTS[key])]
        words = [word for hint in hints if get_origin(hint) is Literal for word in get_args(hint)]
        near = suggest(str(flat[key]), words) if words else ""
        raise ValueError(
            f"{source}: {key} is {flat[key]!r}, but must be {_allowed(HINTS[key])}{near}"
        ) from None


def _read_choice(group: str, choice: str | None, stages: tuple[str, ...]) -> dict[str, Any]:
    """Read a group's YAML file as dotted settings; only names are accepted, never paths."""
    known = list(stages) if group == "stage" else choices(group)
    listed = ", ".join(sorted(known))
    if choice is None:
        raise ValueError(f"{group} is not given: choose {group}=... from {listed}")
    if group == "stage" and choice in SCRIPTS and choice not in stages:
        script = SCRIPTS[choice]
        raise ValueError(f"stage={choice} is run by {script}: python {script} stage={choice}")
    if choice not in known:
        raise ValueError(
            f"{group}={choice} is not known: choose from {listed}{suggest(choice, known)}"
        )
    path = FOLDER / group / f"{choice}.yaml"
    tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(tree, dict), f"{path} holds no mapping"
    return flatten({str(key): value for key, value in tree.items()})


def _check_groups(given: Mapping[str, Any]) -> None:
    """Refuse a choice that the stage would ignore."""
    for group, stages in SERVES.items():
        if group in given and given.get("stage") not in (None, *stages):
            raise ValueError(
                f"{group}={given[group]} is for stage={' or stage='.join(stages)}, and "
                f"stage={given['stage']} has no use for it: leave {group}=... out."
            )


@lru_cache(maxsize=64)
def _chosen(names: tuple[str | None, ...], stages: tuple[str, ...]) -> Any:
    """Lay the files that are chosen by name over the defaults; a recipe asks for the same often."""
    config: Any = OmegaConf.structured(Config)  # Any: OmegaConf's nodes are typed at run time only
    for group, name in zip(GROUPS, names, strict=True):
        config = _lay_over(config, _read_choice(group, name, stages), f"{group}={name}")
    return config


def load_config(argv: list[str], stages: tuple[str, ...]) -> Config:
    """Resolve a run from its command-line words; raise ValueError with what to change.

    Args:
        argv: the words behind the script's name.
        stages: those that the calling script can run.
    """
    given = split_words(argv)
    _check_groups(given)
    config = _chosen(tuple(given.pop(group, default) for group, default in GROUPS.items()), stages)
    known = {
        key: placed(key, _typed(key, value)) if key in HINTS else value
        for key, value in given.items()
    }
    files = {key: OmegaConf.select(config, key) for key in SHIPPED}
    config = _lay_over(config, {**shipped(files, known), **known}, "command line")
    if missing := sorted(OmegaConf.missing_keys(config)):
        raise ValueError(f"{missing[0]} is not set and has no default: give {missing[0]}=...")
    try:
        resolved = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:  # an interpolation such as ${oc.env:HOM}
        raise ValueError(f"{error.full_key} cannot be resolved: {error}".splitlines()[0]) from None
    assert isinstance(resolved, Config)
    return resolved


def to_yaml(config: Config) -> str:
    """Write a resolved config as YAML, in the order of the schema."""
    return OmegaConf.to_yaml(OmegaConf.create(asdict(config)))


def config_hash(config: Config) -> str:
    """Name what a run is by 8 hexadecimal digits, whatever its name, place and logger."""
    flat = {key: value for key, value in flatten(asdict(config)).items() if key not in PLACEMENT}
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:8]
