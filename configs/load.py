"""From command-line words to a resolved Config:

    defaults < stage < objective < reward < model < data < files of one's own < command line

or those of a run that is repeated, `--config-from`, in place of the first six.

The stage comes first because what suits an algorithm in general, a learning rate above all, depends
on the model it is applied to.

Imports nothing heavy, so that help and mistakes are answered at once.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from configs.checks import countable
from configs.files import read_yaml
from configs.layers import Layer, check_keys, read_layer, repeated
from configs.names import FILES, FROM, GROUPS, HINTS, flatten, nest, suggest
from configs.paths import FOLDER, SHIPPED, placed, shipped
from configs.plugins import FORMAT, REWARD, VERIFIER, pinned
from configs.previewing import PreviewConfig, PreviewedStage
from configs.schema import Config
from configs.words import NULLS, PROSE, check_texts, listed, split_words
from untrusted.terminal import first_line

SERVES: dict[str, tuple[str, ...]] = {"objective": ("rlvr", "prealign"), "reward": ("rlvr",)}
"""The stages that have a use for a group which not all have a use for."""

SCRIPTS = {
    "sft": "train.py",
    "rlvr": "train.py",
    "distill": "train.py",
    "prealign": "train.py",
    "preview": "eval.py",
    "probe": "eval.py",
    "audit": "eval.py",
    "clean": "eval.py",
    "benchmark": "eval.py",
    "compare": "eval.py",
    "push": "eval.py",
    "runs": "eval.py",
}
PLACEMENT = (
    *("logger", "run.name", "run.root", "run.clean", "data.workers", "data.patience"),
    *("wandb.media_megabytes", "wandb.questions"),
    *(key for key in HINTS if key.startswith("push.")),
)
"""Keys without influence on results, which `config_hash` leaves out: places, logger, pushes and
loader processes, so that a run that ran out of memory can be resumed with fewer workers."""


def choices(group: str) -> list[str]:
    """List what a group offers, by the YAML files in its folder."""
    return sorted(path.stem for path in (FOLDER / group).glob("*.yaml"))


# Any: a type hint such as `str | None` or `Literal[...]` has no common static type.
def _arms(hint: Any) -> tuple[Any, ...]:
    """List what a union admits; one with a Literal in it is of another class than the rest."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else ()


def _typed(key: str, value: Any) -> Any:
    """Prepare a command-line text for its field: null where that is allowed, lists as lists.

    The rest stays text, which OmegaConf converts to numbers and truth values where those are due;
    a name such as 007 or 1e3 therefore stays a name.
    """
    if type(None) in _arms(HINTS[key]) and value in NULLS:
        return None
    if get_origin(HINTS[key]) is list and isinstance(value, str) and value[:1] + value[-1:] == "[]":
        return listed(value)
    return value


def _allowed(hint: Any) -> str:
    """Values that a type hint admits, in words."""
    if arms := _arms(hint):
        return " or ".join("null" if arm is type(None) else _allowed(arm) for arm in arms)
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if get_origin(hint) is list:
        return f"a list such as [a, b], each {_allowed(get_args(hint)[0])}"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[hint]


def _lay_over(config: Any, layer: Layer) -> Any:
    """Merge settings into an OmegaConf config, and say what is wrong with those that do not fit."""
    check_keys(layer)
    flat = layer.settings
    try:
        return OmegaConf.merge(config, nest({**flat}))
    except (OmegaConfBaseException, RecursionError):
        key = next(key for key in flat if not _fits(config, key, flat[key]))
        hints = [HINTS[key], *_arms(HINTS[key])]
        words = [word for hint in hints if get_origin(hint) is Literal for word in get_args(hint)]
        near = suggest(str(flat[key]), words) if words else ""
        raise ValueError(
            f"{layer.place(key)}: {key} is {flat[key]!r}, but must be {_allowed(HINTS[key])}{near}"
        ) from None


def _fits(config: Any, key: str, value: Any) -> bool:
    """Whether OmegaConf takes a setting by itself."""
    try:
        OmegaConf.merge(config, nest({key: value}))
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
    """Refuse an objective or reward that the stage would ignore."""
    previewed = _previewed(given)
    of = f" with preview.of={previewed}" if previewed else ""
    for group, stages in SERVES.items():
        if group in given and (previewed or given.get("stage")) not in (None, *stages):
            raise ValueError(
                f"{group}={given[group]} is for stage={' or stage='.join(stages)}, and "
                f"stage={given['stage']} has no use for it{of}: leave {group}=... out."
            )


def _previewed(given: Mapping[str, Any]) -> str | None:
    """Name the stage that a preview is of, whose settings it begins with."""
    of = str(given.get("preview.of", PreviewConfig.of))
    return of if given.get("stage") == "preview" and of in get_args(PreviewedStage) else None


@lru_cache(maxsize=64)
def _chosen(
    names: tuple[str | None, ...], stages: tuple[str, ...], previewed: str | None = None
) -> Any:
    """Lay the files that are chosen by name over the defaults; a recipe asks for the same often."""
    config: Any = OmegaConf.structured(Config)  # Any: OmegaConf's nodes are typed at run time only
    if previewed is not None:
        settings = _read_choice("stage", previewed, (previewed,))
        config = _lay_over(config, Layer(source=f"stage={previewed}", settings=settings))
    for group, name in zip(GROUPS, names, strict=True):
        chosen = _read_choice(group, name, stages)
        config = _lay_over(config, Layer(source=f"{group}={name}", settings=chosen))
    return config


def _begun(given: Mapping[str, Any], stages: tuple[str, ...]) -> Any:
    """Lay the files that words choose over the defaults."""
    _check_groups(given)
    names = (given.get(group, default) for group, default in GROUPS.items())
    chosen = tuple(None if name is None else str(name) for name in names)
    return _chosen(chosen, stages, _previewed(given))


def _again(left: Layer, stages: tuple[str, ...]) -> Any:
    """Lay what a run has left over the defaults."""
    _read_choice("stage", str(left.settings["stage"]), stages)
    return _lay_over(OmegaConf.structured(Config), left)


def _typed_layer(layer: Layer) -> Layer:
    """Prepare texts for their fields, and expand paths."""
    known = {
        key: placed(key, _typed(key, value)) if key in HINTS else value
        for key, value in layer.settings.items()
    }
    return replace(layer, settings=known)


def load_config(argv: list[str], stages: tuple[str, ...]) -> Config:
    """Resolve a run from its command-line words; raise ValueError with what to change.

    Args:
        argv: the words behind the script's name.
        stages: those that the calling script can run.
    """
    given = split_words(argv)
    files = [_typed_layer(read_layer(file)) for file in given.pop(FILES, ())]
    again = given.pop(FROM, None)
    laid = {key: value for layer in files for key, value in layer.settings.items()}
    own = {*laid, *given}
    if again is None:
        config = _begun({**laid, **given}, stages)
    else:
        config = _again(repeated(str(again), given, own | {*PLACEMENT}), stages)
        own |= {*SHIPPED}  # which a run leaves as they were
    groups = {group: given.pop(group, None) for group in GROUPS}
    words = _typed_layer(Layer(source="command line", settings=given))
    try:
        there = [key for key in SHIPPED if not OmegaConf.is_missing(config, key.split(".")[0])]
        config = _lay_over(
            config,
            Layer(
                source=f"data={groups['data']}",
                settings=shipped({key: OmegaConf.select(config, key) for key in there}, own),
            ),
        )
        for layer in (*files, words):
            config = _lay_over(config, layer)
        if missing := sorted(OmegaConf.missing_keys(config)):
            raise ValueError(f"{missing[0]} is not set and has no default: give {missing[0]}=...")
        resolved = OmegaConf.to_object(config)
    except (OmegaConfBaseException, RecursionError) as error:  # an interpolation: ${oc.env:HOM}
        raise _unresolved(config, error) from None
    assert isinstance(resolved, Config)
    for key, value in flatten(asdict(resolved)).items():
        countable(key, value)
        check_texts(key, value, lines=key == PROSE)
    return _with_hashes(resolved)


def _with_hashes(config: Config) -> Config:
    """Find the functions of the user's own, and let what their files hold be part of the run."""
    data, rlvr = config.data, config.rlvr
    own = [pinned("rlvr.reward.plugins", text, REWARD) for text in rlvr.reward.plugins]
    verifiers = [pinned("data.verifiers", text, VERIFIER) for text in data.verifiers]
    format = pinned("data.format", data.format, FORMAT) if ".py" in data.format else data.format
    return replace(
        config,
        data=replace(data, format=format, verifiers=verifiers),
        rlvr=replace(rlvr, reward=replace(rlvr.reward, plugins=own)),
    )


def read_config(file: Path) -> Config:
    """Read the settings that a run has left in its `config.yaml`."""
    left = Layer(source=str(file), settings=flatten(read_yaml(file)))
    config = _lay_over(OmegaConf.structured(Config), left)
    try:
        resolved = OmegaConf.to_object(config)
    except (OmegaConfBaseException, RecursionError) as error:
        raise ValueError(
            f"{file} lacks settings ({first_line(error)}), but a run writes all of them: restore "
            "it, or name another run."
        ) from None
    assert isinstance(resolved, Config)
    return resolved


def _unresolved(config: Any, error: Exception) -> ValueError:
    """Error for a setting whose interpolation cannot be resolved."""
    key = next((key for key in HINTS if not _resolves(config, key)), "a setting")
    reason = first_line(error).rpartition("while resolving interpolation: ")[2]
    return ValueError(
        f"{key} cannot be resolved ({reason}), but a setting stands "
        "for one text or number: give that, or ${oc.env:NAME} of a variable that is set and holds "
        "no key."
    )


def _resolves(config: Any, key: str) -> bool:
    """Whether the interpolations of a setting can be resolved."""
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
