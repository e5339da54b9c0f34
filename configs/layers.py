"""Settings by where they come from: a file of one's own, or what a run has left."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from configs.checks import check_references, countable
from configs.files import read_yaml, read_yaml_lines
from configs.names import FILES, FROM, GROUPS, HINTS, flatten, suggest
from configs.paths import FUNCTIONS, at_home
from configs.renamed import refuse_renamed

SETTINGS = "config.yaml"
"""File in which a run leaves its settings; of a recipe, the words of its steps."""

COMMAND = "command.txt"
"""File in which a run leaves the line that repeats it."""

ANEW = ("run.name", "push.to")
"""Settings that a repeated run does not take over: it has a directory of its own, and replaces
nothing that was pushed."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Dotted settings of one source."""

    source: str
    """What errors call it."""

    settings: Mapping[str, Any]  # Any: values of every type that YAML knows
    lines: Mapping[str, int] = field(default_factory=dict)

    def place(self, key: str) -> str:
        """Say where a setting is given: the source, and in a file of one's own the line."""
        return f"{self.source}:{self.lines[key]}" if key in self.lines else self.source


def check_keys(layer: Layer) -> None:
    """Refuse keys that are no settings, with the nearest that is one."""
    for key, value in layer.settings.items():
        place = layer.place(key)
        refuse_renamed(place, key, value)
        if key not in HINTS:
            inside = [known for known in HINTS if known.startswith(f"{key}.")]
            hint = f"; it is a section: set {inside[0]}, ..." if inside else suggest(key, [*HINTS])
            raise ValueError(f"{place}: there is no setting {key!r}{hint}")
        countable(key, value)
        check_references(key, value)


def read_layer(file: str) -> Layer:
    """Read a file of one's own settings: plain YAML of keys and values, which names no other."""
    path = Path(at_home(file))
    if not path.exists():
        raise ValueError(
            f"{FILES}={file} names no file that is there, but settings are read from it: write "
            f"them there as YAML, or correct the path, which starts at {Path.cwd()}."
        )
    tree = read_yaml(path)
    layer = Layer(source=str(path), settings=flatten(tree), lines=read_yaml_lines(path))
    for name in (*GROUPS, FILES, FROM, "recipe"):
        if name in layer.settings:
            raise ValueError(
                f"{layer.place(name)}: {name} is {layer.settings[name]!r}, which chooses another "
                f"file or stage, but a file of settings names none: give {name}=... on the command "
                f"line instead; to repeat a run, --{FROM} takes its directory."
            )
    check_keys(layer)
    return layer


def with_files(given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the words of a command over the files of settings among them."""
    own: dict[str, Any] = {}  # Any: as in Layer
    for file in given.get(FILES, ()):
        own |= read_layer(file).settings
    return {**own, **{key: value for key, value in given.items() if key != FILES}}


def repeated(directory: str, given: Mapping[str, Any], others: Collection[str]) -> Layer:
    """Read the settings of a run that is to be repeated, all of them but where it lies.

    Args:
        given: words of the command.
        others: settings that a file or word gives anew, or that change no result.
    """
    place = Path(at_home(directory))
    file = place / SETTINGS
    if not file.is_file():
        near = [each.parent.name for each in place.parent.glob(f"*/{SETTINGS}")]
        raise ValueError(
            f"--{FROM} {directory} has no {SETTINGS}, but repeats a run by the one in its "
            f"directory: name that, such as runs/NAME{suggest(place.name, near)}"
        )
    layer = Layer(source=str(file), settings=flatten(read_yaml(file)))
    if groups := [name for name in GROUPS if name in given and name != "stage"]:
        raise ValueError(
            f"{groups[0]}={given[groups[0]]} is given with --{FROM} {directory}, but that run "
            "brings every setting, and a file laid over them would mix two choices: change "
            f"settings one by one, or change the line in {place / COMMAND}."
        )
    check_keys(layer)
    stage = layer.settings.get("stage")
    if given.get("stage", stage) != stage:
        raise ValueError(
            f"stage={given['stage']} is given with --{FROM} {directory}, which is of "
            f"stage={stage}, and a run is repeated as what it was: leave stage=... out."
        )
    if lacking := sorted({*HINTS} - {*layer.settings, *others}):
        raise ValueError(
            f"{file} lacks {', '.join(lacking[:8])}, but a run leaves every setting: an older "
            f"version began it. Say what was meant, as in {lacking[0]}=..., or give the words of "
            f"{place / COMMAND}."
        )
    for key in {*FUNCTIONS} - {*others}:
        value = layer.settings.get(key)
        if ".py" in str(value):
            raise ValueError(
                f"{file} has {key}={value}, which runs code of a file, but only words of your own "
                f"may name one: look at the file, and give {key}=... again if that is meant."
            )
    kept = {key: value for key, value in layer.settings.items() if key not in (*ANEW, "stage")}
    return Layer(source=str(file), settings={"stage": stage, **kept})
