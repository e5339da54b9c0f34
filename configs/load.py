"""From command-line words to a resolved Config:

    defaults < stage < objective < reward < model < data < command line

The stage comes first because what suits an algorithm in general, a learning rate above all, depends
on the model it is applied to.

Imports nothing heavy, so that help and mistakes are answered at once.
"""

import ast
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from configs.checks import countable
from configs.credentials import refuse_keys
from configs.files import read_yaml
from configs.paths import FOLDER, SHIPPED, placed, shipped
from configs.schema import Config
from configs.texts import refuse_unseen

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
PROSE = "model.system_prompt"
"""The setting that may have several lines."""

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
    for number, word in enumerate(argv, start=1):
        key = word.lstrip("-+").partition("=")[0]
        _check_texts(key if key in HINTS else f"word {number} of the command", [word], lines=True)
    words = iter(argv)
    for word in words:
        key, equals, value = word.removeprefix("--").lstrip("+").partition("=")
        if word.startswith("{"):
            given |= _sections(json.loads, word, "")
        elif (
            equals and value.startswith("{") and any(known.startswith(f"{key}.") for known in HINTS)
        ):
            given |= _sections(ast.literal_eval, value, f"{key}.")  # W&B writes them as Python
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


def _sections(read: Callable[[str], Any], text: str, prefix: str) -> dict[str, Any]:
    """Read sections that stand in one word."""
    try:
        flat = flatten(dict(read(text)), prefix)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{prefix.rstrip('.') or 'a word of the command'} is {text[:80]!r}, which cannot be "
            f"read ({_first(error)}), but sections are written as in W&B's sweeps: give each "
            "setting as key=value instead."
        ) from None
    for key, value in flat.items():
        _check_texts("a word of the command", [key], lines=True)
        _check_texts(key, value, lines=True)
    return flat


def _check_texts(where: str, value: object, *, lines: bool) -> None:
    """Refuse keys, and characters that nobody sees, in a setting or its list."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            refuse_keys(where, text)
            refuse_unseen(where, text, lines=lines)


def _first(error: BaseException) -> str:
    """Quote the first line of an error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


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
        countable(key, flat[key])
    try:
        return OmegaConf.merge(config, _nest(flat))
    except (OmegaConfBaseException, RecursionError):
        key = next(key for key in flat if not _fits(config, key, flat[key]))
        hints = [HINTS[key], *_arms(HINTS[key])]
        words = [word for hint in hints if get_origin(hint) is Literal for word in get_args(hint)]
        near = suggest(str(flat[key]), words) if words else ""
        raise ValueError(
            f"{source}: {key} is {flat[key]!r}, but must be {_allowed(HINTS[key])}{near}"
        ) from None


def _fits(config: Any, key: str, value: Any) -> bool:
    """Say whether OmegaConf takes a setting by itself."""
    try:
        OmegaConf.merge(config, _nest({key: value}))
    except (OmegaConfBaseException, RecursionError):
        return False
    return True


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
    return flatten(read_yaml(FOLDER / group / f"{choice}.yaml"))


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
    names = (given.pop(group, default) for group, default in GROUPS.items())
    config = _chosen(tuple(None if name is None else str(name) for name in names), stages)
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
    except (OmegaConfBaseException, RecursionError) as error:  # an interpolation: ${oc.env:HOM}
        raise _unresolved(config, error) from None
    assert isinstance(resolved, Config)
    for key, value in flatten(asdict(resolved)).items():
        countable(key, value)
        _check_texts(key, value, lines=key == PROSE)
    return resolved


def _unresolved(config: Any, error: Exception) -> ValueError:
    """Say which setting stands for nothing that can be found, and why."""
    key = next((key for key in HINTS if not _resolves(config, key)), "a setting")
    return ValueError(
        f"{key} cannot be resolved ({_first(error.__cause__ or error)}), but a setting stands for "
        "one text or number: give that, or ${oc.env:NAME} of a variable that is set and holds no "
        "key."
    )


def _resolves(config: Any, key: str) -> bool:
    """Say whether a setting stands for something."""
    try:
        OmegaConf.to_container(OmegaConf.create([OmegaConf.select(config, key)]), resolve=True)
    except (OmegaConfBaseException, RecursionError):
        return False
    return True


def to_yaml(config: Config) -> str:
    """Write a resolved config as YAML, in the order of the schema."""
    return OmegaConf.to_yaml(OmegaConf.create(asdict(config)))


def config_hash(config: Config) -> str:
    """Name what a run is by 8 hexadecimal digits, whatever its name, place and logger."""
    flat = {key: value for key, value in flatten(asdict(config)).items() if key not in PLACEMENT}
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:8]
