"""From command-line words to a resolved Config: defaults < stage < model < data < command line.

The stage comes first because what suits an algorithm in general, a learning rate above all, depends
on the model it is applied to.

Imports nothing heavy, so that help and mistakes are answered at once.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from configs.schema import Config

FOLDER = Path(__file__).parent
GROUPS = {"stage": None, "model": "tiny", "data": "digits"}
"""Folders of YAML files in the order in which they are laid over each other, and the default."""

SCRIPTS = {
    "sft": "train.py",
    "rlvr": "train.py",
    "probe": "eval.py",
    "audit": "eval.py",
    "benchmark": "eval.py",
}
PLACEMENT = ("logger", "run.name", "run.root")
"""Keys that say where results go, not what they are; `config_hash` leaves them out."""

COMMON_KEYS = (
    ("seed", "of data order, sampling and initial values"),
    ("run.name", "directory of the run inside run.root; null: by stage, config and number"),
    ("run.root", "directory that holds all run directories"),
    ("init_from", "directory of weights to start from instead of model.path"),
    ("logger", "jsonl, or wandb as well"),
    ("model.path", "directory in Hugging Face format, or a hub id"),
    ("data.root", "directory of the manifests and their media"),
    (
        "data.contribution.rule",
        "what tells which need media: none, calibrated, vidground, ...",
    ),
    ("data.contribution.keep", "all, strong (they need it), not_weak or weak (they do not)"),
    ("optim.lr", "peak learning rate"),
    ("trainer.max_steps", "optimizer steps"),
    ("trainer.batch_size", "prompts in one micro-batch of one device"),
    ("trainer.accumulate", "micro-batches in one optimizer step"),
    ("trainer.devices", "accelerators per node"),
    ("trainer.num_nodes", "machines that train together"),
    ("trainer.strategy", "how devices share the work, in Lightning's words: auto, ddp, ..."),
    ("trainer.precision", "32-true or bf16-mixed"),
    ("trainer.val_every", "steps between validations; 0: never"),
    ("rlvr.group_size", "completions sampled per prompt"),
    ("rlvr.max_completion_tokens", "longest sampled answer"),
    ("probe.conditions", "what the probed model is left with"),
    ("probe.samples", "answers per question; 1: the greedy one"),
    ("probe.limit", "questions to probe; 0: all"),
    ("benchmark.checkpoints", "directories compared with the model itself, [a, b]"),
    ("benchmark.limit", "questions to score; 0: all"),
)


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


def _choices(group: str) -> list[str]:
    """List what a group offers, by the YAML files in its folder."""
    return sorted(path.stem for path in (FOLDER / group).glob("*.yaml"))


def _suggest(word: str, known: list[str]) -> str:
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


def _split(argv: list[str]) -> dict[str, Any]:
    """Read `k=v`, `--k=v`, `+k=v`, `++k=v`, `--k v`, `--flag` and W&B's JSON; the last one wins."""
    given: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        key, equals, value = word.removeprefix("--").lstrip("+").partition("=")
        if word.startswith("{"):
            given |= flatten(json.loads(word))
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
                f"optim.lr=1e-5{_suggest(key, [*HINTS])}"
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
            hint = f"; it is a section: set {inside[0]}, ..." if inside else _suggest(key, [*HINTS])
            raise ValueError(f"{source}: there is no setting {key!r}{hint}")
    try:
        return OmegaConf.merge(config, _nest(flat))
    except OmegaConfBaseException as error:
        key = (error.full_key or "").split("[")[0]
        if key not in flat:
            raise
        hints = [HINTS[key], *_arms(HINTS[key])]
        words = [word for hint in hints if get_origin(hint) is Literal for word in get_args(hint)]
        near = _suggest(str(flat[key]), words) if words else ""
        raise ValueError(
            f"{source}: {key} is {flat[key]!r}, but must be {_allowed(HINTS[key])}{near}"
        ) from None


def _read_choice(group: str, choice: str | None, stages: tuple[str, ...]) -> dict[str, Any]:
    """Read a group's YAML file as dotted settings; only names are accepted, never paths."""
    choices = list(stages) if group == "stage" else _choices(group)
    listed = ", ".join(sorted(choices))
    if choice is None:
        raise ValueError(f"{group} is not given: choose {group}=... from {listed}")
    if group == "stage" and choice in SCRIPTS and choice not in stages:
        script = SCRIPTS[choice]
        raise ValueError(f"stage={choice} is run by {script}: python {script} stage={choice}")
    if choice not in choices:
        raise ValueError(
            f"{group}={choice} is not known: choose from {listed}{_suggest(choice, choices)}"
        )
    path = FOLDER / group / f"{choice}.yaml"
    tree = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert isinstance(tree, dict), f"{path} holds no mapping"
    return flatten({str(key): value for key, value in tree.items()})


def load_config(argv: list[str], stages: tuple[str, ...]) -> Config:
    """Resolve a run from its command-line words; raise ValueError with what to change.

    Args:
        argv: the words behind the script's name.
        stages: those that the calling script can run.
    """
    given = _split(argv)
    config: Any = OmegaConf.structured(Config)  # Any: OmegaConf's nodes are typed at run time only
    for group, default in GROUPS.items():
        choice = given.pop(group, default)
        config = _lay_over(config, _read_choice(group, choice, stages), f"{group}={choice}")
    known = {key: _typed(key, value) if key in HINTS else value for key, value in given.items()}
    config = _lay_over(config, known, "command line")
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


def _captions(group: str, names: list[str]) -> list[str]:
    """List choices, each with the caption from the second line of its YAML file."""
    heads = [(FOLDER / group / f"{name}.yaml").read_text().splitlines()[1] for name in names]
    return [f"  {name:<16} {head.lstrip('# ')}" for name, head in zip(names, heads, strict=True)]


def help_text(script: str, stages: tuple[str, ...]) -> str:
    """Say what a script does, what can be chosen, and the common settings with their defaults."""
    defaults = flatten(asdict(load_config([f"stage={stages[0]}"], stages)))
    shown = {key: "null" if value is None else value for key, value in defaults.items()}
    shown["probe.conditions"] = "[full, ...]"  # its full list would push the captions aside
    lines = [
        f"usage: python {script} stage=STAGE [model=MODEL] [data=DATA] [key=value ...]",
        *("", "stage:", *_captions("stage", list(stages))),
        *("", "model (tiny unless given):", *_captions("model", _choices("model"))),
        *("", "data (digits unless given):", *_captions("data", _choices("data"))),
        *("", f"common settings, with their values for stage={stages[0]}:"),
        *(f"  {f'{key}={shown[key]}':<44} {caption}" for key, caption in COMMON_KEYS),
        *("", "--print-config shows all settings of a command without running it."),
    ]
    return "\n".join(lines)


def main_config(argv: list[str], stages: tuple[str, ...]) -> Config:
    """Resolve the command line of an entry script; answer help and mistakes, then leave."""
    if not argv or {"-h", "--help"} & {*argv}:
        print(help_text(SCRIPTS[stages[0]], stages))
        raise SystemExit(0 if argv else 2)
    try:
        config = load_config([word for word in argv if word != "--print-config"], stages)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if "--print-config" in argv:
        print(to_yaml(config), end="")
        raise SystemExit(0)
    return config
