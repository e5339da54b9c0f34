"""Tokenizers of strangers: what they may make of a text, and what is said where they give up.

A tokenizer replaces texts by others, step after step, so that a few lines of its file make
terabytes of one word. Its library is written in Rust, and where that gives up it raises what Python
does not count among its errors.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

from tokenizers import Tokenizer

from untrusted.json_text import json_of

MOST_GROWTH = 64
"""Times that a text may become longer before it is cut into tokens, or after it was put together;
tokenizers that are published write one mark for another."""


class Unspelled(ValueError):
    """A text that no tokens can be made of."""


def check_tokenizer(place: Path) -> None:
    """Refuse a tokenizer that lets texts grow beyond measure, before it is opened."""
    file = place / "tokenizer.json"
    if not file.is_file():
        return
    try:
        # Names of a vocabulary may be written alike; whatever else is not plain is looked at.
        held = json_of(file.read_bytes(), spoiled=lambda fault: fault)
    except ValueError as error:
        raise _unusable(file, str(error)) from None
    if not isinstance(held, dict):
        raise _unusable(file, "it is no object that names each field once")
    for part in ("normalizer", "decoder"):
        growth = prod(_growths(file, held.get(part)))
        if growth > MOST_GROWTH:
            raise _unusable(
                file, f"its {part} makes texts up to {growth:.3g} times as long, not {MOST_GROWTH}"
            )
    model = held.get("model")
    if not isinstance(model, dict):
        raise _unusable(file, "its model is no object that names each field once")
    if model.get("dropout"):  # the only draw of the library that such a file asks for
        raise _unusable(
            file, f"its model.dropout is {model['dropout']}, not null: a text is random tokens"
        )


def open_tokenizer(place: Path) -> Tokenizer:
    """Read the tokenizer of a directory, without what transformers puts around it."""
    check_tokenizer(place)
    file = place / "tokenizer.json"
    try:
        with spelling("its own words"):
            found = Tokenizer.from_file(str(file))
    except Unspelled as error:
        raise _unusable(file, str(error.__cause__)[:300]) from error
    found.no_truncation()  # texts are counted whole, as transformers reads them
    found.no_padding()
    return found


def gave_up(error: BaseException) -> bool:
    """Tell a panic of a library in Rust, which no module exports."""
    return type(error).__name__ == "PanicException"


@contextmanager
def spelling(whose: str) -> Iterator[None]:
    """Raise an `Unspelled` where a tokenizer fails over a text.

    Args:
        whose: text it is.
    """
    try:
        yield
    except (MemoryError, OSError):
        raise
    except BaseException as error:
        if not (isinstance(error, Exception) or gave_up(error)):
            raise
        raise Unspelled(
            f"{whose} cannot be written in tokens ({str(error)[:300].rstrip('.')}), but a model "
            "reads nothing else: reword it or leave it out, or mend the tokenizer of the model."
        ) from error


def _growths(file: Path, part: object) -> Iterator[int]:
    """List the lengths of what steps put in the place of a character, or before a text."""
    waiting = [part]
    while waiting:
        step = waiting.pop()
        if isinstance(step, list):
            waiting += step
        elif isinstance(step, dict):
            put = step.get("content", step.get("prepend"))
            yield max(1, len(put)) if isinstance(put, str) else 1
            waiting += [each for each in step.values() if isinstance(each, list | dict)]
        elif step is not None:
            raise _unusable(file, str(step))


def _unusable(file: Path, what: str) -> ValueError:
    return ValueError(
        f"{file} cannot be used ({what}), but is how a model spells its tokens: fetch the file "
        "again, or name another model."
    )
