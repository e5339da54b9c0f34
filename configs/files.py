"""Files of settings: small, plain YAML, read whole or refused in a sentence."""

import io
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from configs.checks import check_references
from configs.credentials import refuse_keys
from untrusted.terminal import refuse_unseen

LARGEST = 1 << 16
"""Bytes of a file of settings; each that ships has a few thousand."""

DEEPEST = 16
"""Levels of sections in sections."""

NODES = 10_000
"""Values that a file may hold, once its aliases are written out."""

FAULTS = (yaml.YAMLError, OmegaConfBaseException, ValueError, TypeError)
"""What is raised of a text that is no plain YAML."""


def read_text(path: Path) -> str:
    """Read a file of settings as it is."""
    rule = "settings are read from a small text file"
    try:
        if not path.is_file():  # a pipe would be waited for
            raise ValueError(f"{path} is no file, but {rule}: move it away, or write one.")
        if (size := path.stat().st_size) > LARGEST:
            raise ValueError(
                f"{path} has {size} bytes, but {rule} of at most {LARGEST}: keep in it what is "
                "set, and nothing else."
            )
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no UTF-8 from its byte {error.start} on, but {rule}: write it anew."
        ) from None
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read ({error.strerror}), but {rule}: change that."
        ) from None
    refuse_keys(str(path), text)
    refuse_unseen(str(path), text, lines=True)
    return text


def read_yaml(path: Path) -> dict[str, Any]:  # Any: values of every type that YAML knows
    """Read a file of settings: keys with values in plain YAML, without tags, each key once."""
    text = read_text(path)
    try:
        tree = _parsed(text)
    except FAULTS as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} cannot be read as settings ({reason}), but it is YAML of keys and values, "
            "each key once: mend what it names."
        ) from None
    return {str(key): value for key, value in section(tree, str(path)).items()}


# Any: values of every type that YAML knows
def read_flow(text: str, where: str) -> Any:
    """Read a list or mapping of YAML that stands in a word of the command."""
    try:
        return _parsed(text)
    except (*FAULTS, OSError, RecursionError) as error:  # OSError: neither list nor mapping
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{where} is {text[:80]!r}, which cannot be read ({reason[:160]}), but is a list or "
            "mapping of YAML: close every bracket and quote, and put a word with a comma or "
            "bracket of its own in quotes."
        ) from None


def _parsed(text: str) -> Any:  # Any: as above
    _check_plain(text)
    found = OmegaConf.load(io.StringIO(text), max_yaml_expanded_nodes=NODES)
    return OmegaConf.to_container(found, resolve=False)


def read_yaml_lines(path: Path) -> dict[str, int]:
    """Find the line of each dotted key in a file that `read_yaml` takes; refuse those that stand
    twice, once with dots and once in sections."""
    lines: dict[str, int] = {}
    whole = yaml.compose(read_text(path), Loader=yaml.SafeLoader)
    left: list[tuple[str, Any]] = [] if whole is None else [("", whole)]  # Any: yaml has no types
    while left:
        prefix, node = left.pop()
        for key, value in node.value:
            name, line = f"{prefix}{key.value}", key.start_mark.line + 1
            if isinstance(value, yaml.MappingNode):
                left.append((f"{name}.", value))
            elif name in lines:
                raise ValueError(
                    f"{path} sets {name} in line {min(line, lines[name])} and again in line "
                    f"{max(line, lines[name])}, but each key stands once: delete one of them."
                )
            else:
                lines[name] = line
    return lines


def section(value: Any, where: str) -> dict[str, Any]:  # Any: as above
    """Return what must be keys with values."""
    if not isinstance(value, dict):
        raise ValueError(
            f"{where} is {value!r}, but it is made of keys with values: write them as `KEY: VALUE`."
        )
    return value


def _check_plain(text: str) -> None:
    """Refuse tags, which ask for objects, and depths in which parsers get lost."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            depth += isinstance(event, yaml.CollectionStartEvent)
            line = f"line {event.start_mark.line + 1}"
            if event.tag is not None:
                raise ValueError(f"{line} has the tag {event.tag}")
            if isinstance(event, yaml.ScalarEvent):
                check_references(line, event.value)
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels of sections in sections")
