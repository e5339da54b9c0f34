"""Read the columns of published rows: options and answers as their publishers write them."""

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from datamodules.sample import LETTERS, Modality, Role
from datamodules.sources.adapter import Place, Row
from datamodules.sources.answers import NUMBER, RowError, written
from datamodules.sources.fields import whole

LONGEST_LIST = 20_000
"""Characters of a text that is read as a list: nesting costs memory out of proportion."""

LETTER = re.compile(r"\(([A-J])\)\s*|([A-J])(?:[.):](?:\s+|$)|$)")
"""How a letter stands alone or before an option: "(B) ", "B. ", "B) ", "B: ", "B"."""

Convention = Literal["text", "letter", "index", "tagged", "any"]
"""How a data set writes its answers: the option's text; its letter, with or without the text; its
number from 0; either in <answer> tags; or text or letter, with or without tags."""


def absent(value: object) -> bool:
    """Know an empty cell in whatever container it came: null, "", NaN, or an empty list."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or value in ("", [], {})


def text_of(row: Row, *names: str) -> str:
    """Read the first of these columns that is not empty, as a text."""
    value = next((row[name] for name in names if not absent(row.get(name))), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RowError(
            "missing_column",
            f"{' or '.join(names)} is {str(value)[:80]!r}, but this format has a text there: mend "
            "the row, or name the format with data.format=...",
        )
    return str(value).strip()


def facts(row: Row, *names: str) -> dict[str, str]:
    """Keep what the publisher says of a question, as texts; empty columns are left out.

    Names are written in lower case and with underscores.
    """
    return {
        re.sub(r"\W+", "_", name.lower()).strip("_"): _said(row[name])
        for name in names
        if not absent(row.get(name))
    }


def _said(value: object) -> str:
    value = whole(value)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return json.dumps(value, default=str) if isinstance(value, Mapping) else str(value)


def listed(value: object) -> list[object]:
    """Read a list, also one that was written as a text, in JSON or in Python."""
    if isinstance(value, list):
        return value
    text = value.strip() if isinstance(value, str) else ""
    found: object = None
    if text.startswith("[") and len(text) <= LONGEST_LIST:
        for read in (json.loads, ast.literal_eval):
            try:
                found = read(text)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    if not isinstance(found, list):
        raise RowError(
            "bad_options",
            f"{str(value)[:80]!r} is no list, nor a text that holds one of at most "
            f"{LONGEST_LIST:,} characters: write the options as a list of texts.",
        )
    return found


def options_of(value: object) -> list[str]:
    """Read options from a list, a text that holds one, or an object {"A": ..., "B": ...}.

    Options that are null or "" at the end are cells without content.
    """
    if absent(value):
        return []
    if isinstance(value, Mapping):
        items = [value.get(letter) for letter in LETTERS[: len(value)]]
        if not set(value) <= set(LETTERS[: len(value)]):
            raise RowError(
                "bad_options",
                f"the options are named {', '.join(map(str, value))}, but letters name them from A "
                f"to {LETTERS[-1]} at most: rename them.",
            )
    else:
        items = listed(value)
    while items and absent(items[-1]):
        items = items[:-1]
    return lettered([written(item) for item in items])


def columned(row: Row, prefix: str = "choice_") -> list[str]:
    """Read options that have a column each: choice_a, choice_b, ..."""
    return options_of({letter: row.get(prefix + letter.lower()) for letter in LETTERS})


def lettered(options: Sequence[str]) -> list[str]:
    """Strip the letters of options, if all have their own, in order: the prompt adds them."""
    found = [LETTER.match(option) for option in options]
    letters = [match and (match[1] or match[2]) for match in found]
    if letters != list(LETTERS[: len(options)]) or list(options) == letters:
        return list(options)
    ends = [match.end() for match in found if match]
    return [option[end:].strip() for option, end in zip(options, ends, strict=True)]


def answer_of(value: object, options: Sequence[str], how: Convention) -> str:
    """Find the option that an answer names, and return its text; a `RowError` if there is none.

    Without options, the answer itself is returned, out of its tags.
    """
    if absent(value):
        raise RowError("missing_answer", "the answer is empty, but is what is scored: give one.")
    text = tagged(written(value)) if how in ("tagged", "any") else written(value)
    if not options:
        return text
    index = None
    if how == "index":
        index = int(text) if re.fullmatch(r"[0-9]{1,2}", text) else None
    if how in ("text", "tagged", "any"):
        index = _by_text(text, options)
    if index is None and how in ("letter", "tagged", "any"):
        index = _by_letter(text, options)
    if index is None or index >= len(options):
        raise RowError(
            "bad_answer",
            f"answer is {text[:80]!r}, but in this format names one of the options "
            f"{str(list(options))[:200]} by {_EXPECTED[how]}: mend the answer or the options.",
        )
    return options[index]


_EXPECTED: dict[Convention, str] = {
    "text": "its text",
    "letter": "its letter",
    "index": "its number, from 0",
    "tagged": "its letter in <answer> tags",
    "any": "its text or its letter",
}


def _by_text(text: str, options: Sequence[str]) -> int | None:
    """Compare exactly, else without case and white space if that leaves a single option."""
    if text in options:
        return list(options).index(text)
    near = [index for index, option in enumerate(options) if _plain(option) == _plain(text)]
    return near[0] if len(near) == 1 else None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _by_letter(text: str, options: Sequence[str]) -> int | None:
    match = LETTER.match(text)
    if match is None:
        return None
    index, rest = LETTERS.index(match[1] or match[2]), text[match.end() :]
    if index >= len(options) or (rest.strip() and _plain(rest) != _plain(options[index])):
        return None
    return index


def is_short(answer: str) -> bool:
    """Know an answer that tells its own type: a number, or yes or no."""
    return NUMBER.fullmatch(answer) is not None or answer.lower() in ("yes", "no")


def tagged(text: str) -> str:
    """Take an answer out of its <answer> tags, if it stands in such."""
    _, opened, rest = text.rpartition("<answer>")
    inside, closed, _ = rest.partition("</answer>")
    return inside.strip() if opened and closed else text


def medium(
    modality: Modality, path: str, *, role: Role = "context", text: str = ""
) -> dict[str, object]:
    """Write a medium as our manifest has it.

    Args:
        text: the same in words, where the publisher ships them.
    """
    return {"modality": modality, "path": path, "role": role, "text": text}


def file_of(value: object, place: Place, ending: str = "") -> str:
    """Find a medium by its path, or keep the bytes that a Parquet row holds of it.

    Args:
        ending: of a file whose bytes come without a name, such as `.flac`.
    """
    if isinstance(value, str) and value.strip():
        return place.path(value.strip())
    data, name = value, None
    if isinstance(value, Mapping):
        names = (value.get(key) for key in ("path", "image", "video", "audio", "url"))
        data, name = value.get("bytes"), next((one for one in names if not absent(one)), None)
    if isinstance(data, bytes) and data:
        return place.keep(data, name if isinstance(name, str) else ending)
    if isinstance(name, str):
        return place.path(name)
    raise RowError(
        "bad_media",
        f"{str(value)[:80]!r} is no medium, but one is a path, or an object with path or bytes: "
        "mend the row.",
    )
