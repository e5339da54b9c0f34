"""Read the columns of published rows: options and answers as their publishers write them."""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate

from datamodules.sample import LETTERS, MODALITIES, Modality, Role
from datamodules.sources.adapter import Place, Row
from datamodules.sources.answers.golds import Golds, Way, plain
from datamodules.sources.answers.lettering import Offered
from datamodules.sources.answers.normalize import NUMBER, RowError, is_number, written
from datamodules.sources.fields.naming import stem_of
from datamodules.sources.fields.printed import LONGEST_LIST, held_in
from datamodules.sources.fields.row import Fields, whole
from datamodules.sources.rows import bare

FILE_KEYS = (
    *("path", "file", "filename", "file_name", "filepath", "url", "value", "input_audio"),
    *(f"{kind}{ending}" for kind in MODALITIES for ending in ("", "_path", "_url")),
)
"""Fields of an object that name its file."""


BOX = "\\boxed{"
COUNTED = re.compile(rf"^#### ({NUMBER.pattern})\s*\Z", re.MULTILINE)
"""What a solution of GSM8K ends in."""

SHORTEST_BASE64 = 256
"""Characters without a point from which on a text is no path, but may be a file itself."""


def absent(value: object) -> bool:
    """Tell whether a cell is empty: null, "", NaN, or an empty list."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or value in ("", [], {})


def text_of(row: Row, *names: str) -> str:
    """Read the first nonempty of these columns as a text."""
    value = next((row[name] for name in names if not absent(row.get(name))), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise RowError(
            "missing_column",
            f"{' or '.join(names)} is {str(value)[:80]!r}, but this format has a text there: mend "
            "the row, or name the format with data.format=...",
        )
    return str(value).strip()


def facts(row: Row, *names: str) -> dict[str, str]:
    """Read metadata as texts; empty columns are left out.

    Names are written in lower case and with underscores.
    """
    return {plain_name(name): _said(row[name]) for name in names if not absent(row.get(name))}


def plain_name(name: str) -> str:
    """Write a name in lower case and with underscores."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def _said(value: object) -> str:
    value = whole(value)
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return json.dumps(value, default=str) if isinstance(value, Mapping) else str(value)


def listed(value: object) -> list[object]:
    """Read a list, or a text that holds one in JSON or in Python."""
    found = held_in(value)
    if not isinstance(found, list):
        raise RowError(
            "bad_options",
            f"{str(value)[:80]!r} is no list, nor a text that holds one of at most "
            f"{LONGEST_LIST:,} characters: write the options as a list of texts.",
        )
    return found


def offered(value: object) -> Offered:
    """Read options from a list, an object {"A": ..., "B": ...}, or a text that holds either.

    Options that are null or "" at the end are cells without content.
    """
    if absent(value):
        return Offered(texts=(), published=())
    held = held_in(value)
    named = isinstance(held, Mapping)
    items = _named(held) if isinstance(held, Mapping) else [*listed(held)]
    while items and absent(items[-1]):
        items.pop()
    for letter, item in zip(LETTERS, items, strict=False):
        if absent(item) or (isinstance(item, str) and not item.strip()):
            raise RowError(
                "bad_options",
                f"option {letter} is {item!r}, but each option is a text: fill it in, or remove it "
                "where no answer counts it.",
            )
    published = [written(item) for item in items]
    found = Offered.of(published)
    if named and not found.lettered:  # the names are letters
        return Offered.named_by_letters(found.texts)
    return found


def _named(options: Mapping[str, object]) -> list[object]:
    """Read an object whose names are letters from A on, capital or small, with a mark or not."""
    letters = {re.sub(r"[.):\s]+$", "", str(name)).lstrip("(").upper(): name for name in options}
    if [*sorted(letters)] != [*LETTERS[: len(options)]]:
        raise RowError(
            "bad_options",
            f"the options are named {', '.join(map(str, options))}, but letters name them from A "
            f"to {LETTERS[-1]} at most: rename them.",
        )
    return [options[letters[letter]] for letter in sorted(letters)]


def answer_of(
    value: object,
    options: Sequence[str] | Offered,
    golds: Golds,
    *,
    otherwise: Way | None = None,
) -> str:
    """Find the option that an answer names, and return its text; a `RowError` if there is none.

    The answer may stand in <answer> tags. Without options it is returned itself.

    Args:
        golds: how the file writes its answers, in the ways that its format allows (`golds.py`).
        otherwise: the way that is meant where the file does not say.
    """
    if absent(value):
        raise RowError("missing_answer", "the answer is empty, but is what is scored: give one.")
    if not isinstance(options, Offered):
        options = Offered(texts=tuple(options), published=tuple(options))
    truth = isinstance(value, bool) and {*map(plain, options.texts)} == {"true", "false"}
    text = str(value) if truth else tagged(written(bare(value)))
    return options.texts[golds.find(text, options, otherwise)] if options.texts else text


def is_short(answer: str) -> bool:
    """Tell whether the type of an answer is obvious: a number, or yes or no."""
    return is_number(answer) or answer.lower() in ("yes", "no")


def tagged(text: str) -> str:
    """Extract an answer from its <answer> tags, its box or its line at the end, if it has one."""
    _, opened, rest = text.rpartition("<answer>")
    inside, closed, _ = rest.partition("</answer>")
    if opened and closed:
        return inside.strip()
    if (number := COUNTED.search(text)) is not None:
        return number[1]
    _, opened, rest = text.rpartition(BOX)
    depth = [*accumulate(((mark == "{") - (mark == "}") for mark in rest), initial=1)]
    end = depth.index(0) - 1 if opened and 0 in depth else len(rest)
    ends = end < len(rest) and not rest[end + 1 :].strip(" .*$\n")
    return rest[:end].strip() if ends else text


def medium(
    modality: Modality, path: str, *, role: Role = "context", text: str = ""
) -> dict[str, object]:
    """Write a medium as our manifest has it.

    Args:
        text: the same in words, where the publisher ships them.
    """
    return {"modality": modality, "path": path, "role": role, "text": text}


def file_of(value: object, place: Place, ending: str = "") -> str:
    """Resolve the path of a medium, or write the bytes that a Parquet row holds of it to a file.

    Args:
        ending: of a file whose bytes come without a name, such as `.flac`.
    """
    if isinstance(value, str) and value.strip():
        inside = _inside(value.strip())
        return place.path(value.strip()) if inside is None else place.keep(*inside)
    data = value
    names: list[str] = []
    if isinstance(value, Mapping):
        data = value.get("bytes")
        names = [name for key in FILE_KEYS for name in _names(value, key)]
        if len({stem_of(name) for name in names}) > 1:
            raise RowError(
                "bad_media",
                f"{str(value)[:80]!r} names {len(names)} files, but is one medium: keep one.",
            )
        names.sort(key=lambda name: "://" in name)  # a file here rather than its address
    if isinstance(data, bytes) and data:
        return place.keep(data, names[0] if names else ending)
    if names:
        inside = _inside(names[0])
        return place.path(names[0]) if inside is None else place.keep(*inside)
    raise RowError(
        "bad_media",
        f"{str(value)[:80]!r} is no medium, but one is a path, or an object with path or bytes: "
        "mend the row.",
    )


def _inside(text: str) -> tuple[bytes, str] | None:
    """Decode a medium in base64 inside a text, with its ending, if it has one.

    VLMEvalKit's tables hold the bare bytes, and chats of servers have them behind `data:`.
    """
    head, _, body = text.rpartition(",") if text.startswith("data:") else ("", "", text)
    if not (head.endswith(";base64") or (not head and len(body) >= SHORTEST_BASE64)):
        return None
    try:
        data = base64.b64decode(body, validate=True)
    except ValueError:
        return None
    return data, "." + head.removeprefix("data:").partition(";")[0].rpartition("/")[2]


def _names(held: Row, key: str) -> list[str]:
    """Read the name of a file, also out of {"url": ...}; what names none stays unread.

    A sound in {"data": ..., "format": "wav"} becomes a `data:` address.
    """
    seen = held.peek(key) if isinstance(held, Fields) else held.get(key)
    if isinstance(seen, Mapping) and {"data", "format"} <= seen.keys():
        sound = held[key]
        assert isinstance(sound, Mapping)
        return [f"data:audio/{sound['format']};base64,{sound['data']}"]
    if isinstance(seen, Mapping) and "url" in seen:
        inner = held[key]
        return _names(inner, "url") if isinstance(inner, Mapping) else []
    return [seen.strip()] if isinstance(seen, str) and seen.strip() and held[key] else []
