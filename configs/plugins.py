"""Functions of your own, `FILE.py:FUNCTION`: found, checked and hashed, without running any."""

import ast
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

WORDS = re.compile(
    r"(?P<file>[^:@]+\.py):(?P<name>[A-Za-z]\w*)(?::(?P<weight>[^:@]+))?(?:@(?P<digest>\w+))?"
)

REWARD = ("question", "completion", "facts")
VERIFIER = ("question", "answer", "facts")
FORMAT = ("row", "place")
"""What each kind of function takes."""


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One function of a file."""

    file: str
    name: str
    weight: float = 1.0
    """Of a reward."""

    digest: str = ""
    """Of the content of the file, which a run adds to its settings; empty as it is typed."""

    def __str__(self) -> str:
        weight = "" if self.weight == 1 else f":{self.weight}"
        return f"{self.file}:{self.name}{weight}{'@' if self.digest else ''}{self.digest}"


@lru_cache(maxsize=256)
def read_plugin(setting: str, text: str) -> Plugin:
    """Read how a setting names a function."""
    found = WORDS.fullmatch(text)
    weighed = setting == "rlvr.reward.plugins"
    try:
        weight = float(found["weight"] or 1) if found else math.nan
    except ValueError:
        weight = math.nan
    if found is None or not 0 <= weight < math.inf or (found["weight"] and not weighed):
        shape = "FILE.py:FUNCTION:WEIGHT, the weight 0 or more," if weighed else "FILE.py:FUNCTION"
        raise ValueError(
            f"{setting} has {text!r}, but a function of your own is named as {shape} by the path "
            "of a file on this machine without : and @ in it: give one such as my_file.py:name."
        )
    return Plugin(
        file=found["file"], name=found["name"], weight=weight, digest=found["digest"] or ""
    )


def read_plugins(setting: str, texts: Sequence[str], taken: Sequence[str] = ()) -> list[Plugin]:
    """Read several, which have names of their own.

    Args:
        taken: names that this project has given.
    """
    found = [read_plugin(setting, text) for text in texts]
    names = [one.name for one in found]
    for name in names:
        if name in taken or names.count(name) > 1:
            raise ValueError(
                f"{setting} names {name}{', which is built in' if name in taken else ' twice'}, "
                "but each is known by its name: call the function otherwise."
            )
    return found


def pinned(setting: str, text: str, takes: Sequence[str]) -> str:
    """Add the hash of its file to a name, after checking that the file has such a function.

    Args:
        takes: what the function is called with.
    """
    plugin = read_plugin(setting, text)
    source = read_source(setting, plugin.file)
    digest = digest_of(source)
    if plugin.digest not in ("", digest):
        raise ValueError(
            f"{setting} wants {plugin.file} as it was with the hash {plugin.digest}, but it is "
            f"{digest} now: restore the file, or leave @{plugin.digest} out to take it as it is."
        )
    try:
        tree = ast.parse(source, plugin.file)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1  # of a SyntaxError
        raise ValueError(
            f"{plugin.file}:{line} is no Python ({getattr(error, 'msg', error)}), but {setting} "
            "names a function in it: mend that line."
        ) from None
    _check_function(setting, plugin, tree, takes)
    return str(replace(plugin, digest=digest))


def _check_function(setting: str, plugin: Plugin, tree: ast.Module, takes: Sequence[str]) -> None:
    """Raise where a file has no function of that name that takes so many values."""
    defined = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if plugin.name not in defined:
        near = get_close_matches(plugin.name, defined, n=1)
        raise ValueError(
            f"{setting} names {plugin.name!r}, but {plugin.file} defines "
            f"{', '.join(defined) or 'no function'} at its top level: "
            f"{f'did you mean {near[0]}?' if near else f'write def {plugin.name}(...) there.'}"
        )
    given = defined[plugin.name].args
    most = len(given.posonlyargs) + len(given.args)
    least = most - len(given.defaults)
    named = sum(default is None for default in given.kw_defaults)
    if named or not least <= len(takes) <= (len(takes) if given.vararg else most):
        raise ValueError(
            f"{plugin.file}:{defined[plugin.name].lineno}: {plugin.name} takes {least + named} "
            f"values, but {setting} calls it with {len(takes)}: write "
            f"def {plugin.name}({', '.join(takes)})."
        )


def read_source(setting: str, file: str) -> bytes:
    """Read a file of functions, as it is."""
    try:
        if Path(file).is_file():  # a pipe would be waited for
            return Path(file).read_bytes()
        reason = "it is no file"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise ValueError(
        f"{setting} names {file}, which cannot be read ({reason}), but holds a function of your "
        f"own: give a path from {Path.cwd()}."
    )


def digest_of(source: bytes) -> str:
    """Hash the content of a file."""
    return hashlib.sha256(source).hexdigest()[:16]
