"""Parse the words of a command into settings, as typed by hand or written by sweeps."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from configs.credentials import refuse_keys
from configs.files import read_text
from configs.names import FILES, FROM, GROUPS, HINTS, SPELLED, flatten, suggest
from configs.renamed import refuse_renamed
from untrusted.json_text import json_of
from untrusted.terminal import first_line, refuse_unseen

PROSE = "model.system_prompt"
"""The setting that may have several lines."""

NULLS = ("", "None", "none", "null")
"""Words that are null where a setting may be null."""

TRUTHS = ("true", "false")
"""Words that a flag may be followed by, in any case."""


def split_words(argv: list[str]) -> dict[str, Any]:
    """Read `k=v`, `--k=v`, `+k=v`, `++k=v`, `--k v`, `--flag` and W&B's JSON, in a word or a file;
    the last one wins, but files of settings add up, in their order."""
    given: dict[str, Any] = {}
    files: list[str] = []
    for number, word in enumerate(argv, start=1):
        key, _, value = word.lstrip("-+").partition("=")
        where = key if key in HINTS else f"word {number} of the command"
        lines = "{" in (word[:1], value[:1]) or key.endswith(PROSE)
        check_texts(where, word, lines=lines)
    words = _joined(argv)
    for word in words:
        key, equals, value = word.removeprefix("--").lstrip("+").partition("=")
        key = SPELLED.get(key, key)
        if key == "clean" and value.lower() in TRUTHS:  # else it is a section
            key = "run.clean"
        if word.startswith("{"):
            given |= _sections(json_of, word, "")
        elif _is_file(word):
            given |= _sections(json_of, read_text(Path(word)), "", of=word)
        elif equals and value.startswith("{") and _is_section(key):
            given |= _sections(ast.literal_eval, value, f"{key}.")  # W&B writes them as Python
        elif equals and key == FILES:
            files += listed(value) if value[:1] + value[-1:] == "[]" else [value]
        elif equals:
            if key == "push.to" and not value:  # null pushes nothing
                raise ValueError(
                    f"{word} names no repository, as where a script's variable is not set, but "
                    "weights are pushed to one: give NAMESPACE/NAME, or leave the word out."
                )
            given[key] = value
        elif word.startswith("--") and HINTS.get(key) is bool:
            given[key] = "true"
        else:
            if word.startswith("--"):
                refuse_renamed("command line", key, next(words, ""))
            raise ValueError(
                f"{word!r} is not an assignment: settings are given as key=value, such as "
                f"optim.lr=1e-5{suggest(key, [*HINTS])}"
            )
    return {**given, FILES: files} if files else given


def _joined(argv: list[str]) -> Iterator[str]:
    """Join `--k v` to `--k=v`; of a flag only where a truth value follows."""
    words = [*argv]
    while words:
        word = words.pop(0)
        key = SPELLED.get(word.removeprefix("--"), word.removeprefix("--"))
        known = key in (*HINTS, *GROUPS, FILES, FROM) or _is_section(key)
        valued = HINTS.get(key) is not bool or (words and words[0].lower() in TRUTHS)
        if word.startswith("--") and known and valued:
            word = f"{word}={words.pop(0) if words else ''}"
        yield word


def _is_section(key: str) -> bool:
    """Whether settings stand below a name."""
    return any(known.startswith(f"{key}.") for known in HINTS)


def _is_file(word: str) -> bool:
    """Whether a word names a file of JSON, as W&B's agent leaves one beside its runs."""
    return word.endswith(".json") and ("=" not in word or Path(word).is_file())


def listed(text: str) -> list[str]:
    """Read a list as typed by hand, `[a, b]`, or as Python writes one of texts, with quotes."""
    try:
        found = ast.literal_eval(text)
        if all(isinstance(item, str) for item in found):
            return [*found]
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        pass  # without quotes it is no Python
    items = (item.strip().strip("'\"") for item in text[1:-1].split(","))
    return [item for item in items if item]


def _sections(
    read: Callable[[str], Any], text: str, prefix: str, *, of: str = "a word of the command"
) -> dict[str, Any]:
    """Read sections that stand in one word or file."""
    try:
        flat = flatten(dict(read(text)), prefix)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"{prefix.rstrip('.') or of} is {text[:80]!r}, which cannot be "
            f"read ({first_line(error)}), but sections are written as in W&B's sweeps: give each "
            "setting as key=value instead."
        ) from None
    for key, value in flat.items():
        check_texts("a word of the command", key, lines=False)
        check_texts(key, value, lines=key.endswith(PROSE))
    return flat


def check_texts(where: str, value: object, *, lines: bool) -> None:
    """Refuse API keys and control characters in a setting or its list."""
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str):
            refuse_keys(where, text)
            refuse_unseen(where, text, lines=lines)
