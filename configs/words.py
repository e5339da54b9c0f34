"""Parse the words of a command into settings, as typed by hand or written by sweeps."""

import ast
from collections.abc import Callable
from typing import Any

from configs.credentials import refuse_keys
from configs.names import GROUPS, HINTS, SPELLED, flatten, suggest
from configs.renamed import refuse_renamed
from untrusted.json_text import json_of
from untrusted.terminal import first_line, refuse_unseen

PROSE = "model.system_prompt"
"""The setting that may have several lines."""

NULLS = ("", "None", "none", "null")
"""Words that are null where a setting may be null."""


def split_words(argv: list[str]) -> dict[str, Any]:
    """Read `k=v`, `--k=v`, `+k=v`, `++k=v`, `--k v`, `--flag` and W&B's JSON; the last one wins."""
    given: dict[str, Any] = {}
    for number, word in enumerate(argv, start=1):
        key, _, value = word.lstrip("-+").partition("=")
        where = key if key in HINTS else f"word {number} of the command"
        lines = "{" in (word[:1], value[:1]) or key.endswith(PROSE)
        check_texts(where, word, lines=lines)
    words = iter(argv)
    for word in words:
        key, equals, value = word.removeprefix("--").lstrip("+").partition("=")
        key = SPELLED.get(key, key)
        if word.startswith("{"):
            given |= _sections(json_of, word, "")
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
            if word.startswith("--"):
                refuse_renamed("command line", key, next(words, ""))
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
