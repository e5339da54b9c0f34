"""Every format that is read, and how one is told from another."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from configs.inputs import FormatName
from datamodules.known_tests import sets_known
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers import RowError
from datamodules.sources.audio_benchmarks import AUDIO_BENCHMARKS
from datamodules.sources.chat import CHAT
from datamodules.sources.columns import lettered
from datamodules.sources.containers import Found, read_rows
from datamodules.sources.omni_benchmarks import OMNI_BENCHMARKS
from datamodules.sources.rows import ROW_FIELDS
from datamodules.sources.training import TRAINING
from datamodules.sources.video_benchmarks import VIDEO_BENCHMARKS

TWIN = "_train"
"""What a format is called after the benchmark's, where a publisher ships both in one form."""

LOOKED_AT = 20
"""Rows at the beginning of a manifest that its format is told from."""


def _own(row: Row, place: Place) -> Iterator[Row]:
    yield row


MANIFEST = Format(name="manifest", fields=frozenset(), adapt=_own, generic=True)
"""The project's own; recognized by having no field besides."""

FORMATS: tuple[Format, ...] = (
    MANIFEST,
    *CHAT,
    *TRAINING,
    *AUDIO_BENCHMARKS,
    *VIDEO_BENCHMARKS,
    *OMNI_BENCHMARKS,
)


def recognize(row: Row) -> Format:
    """Tell the format of a row by the names of its fields; a `RowError` where none or two fit.

    A data set's own wins over one that any may have, and then the one that names more fields.
    """
    if _is_own(row):
        return MANIFEST
    fitting = [one for one in FORMATS if one.fields and one.fields <= row.keys()]
    most = max(map(_weight, fitting), default=(False, 0))
    best = [one for one in fitting if _weight(one) == most]
    names = sorted({one.name for one in best})
    if len(names) != 1:
        raise RowError(
            "malformed",
            f"a row with the fields {', '.join(map(str, row))[:300]} is of "
            f"{' and of '.join(names) or 'no known format'}, but is read as one: "
            f"{_way_out()}",
        )
    return best[0]


def _weight(format: Format) -> tuple[bool, int]:
    return not format.generic, len(format.fields)


def _is_own(row: Row) -> bool:
    """Know our own manifest: options are a list of bare texts, and no field is foreign."""
    options, media = row.get("options") or [], row.get("media") or []
    if "id" not in row or not isinstance(options, list) or not isinstance(media, list):
        return False
    texts = [str(option) for option in options]
    return set(row) <= {*ROW_FIELDS} and lettered(texts) == texts


def choose(path: Path, first: Sequence[Found], name: FormatName = "auto") -> Format:
    """Choose the format of a manifest: the one that is named, or most of its first rows have.

    A manifest without a row that could be read is taken for our own.
    """
    if name != "auto":
        return next(one for one in FORMATS if one.name == name)
    votes: Counter[FormatName] = Counter()
    refused: list[RowError] = []
    for found in first:
        if not isinstance(found.row, RowError):
            try:
                votes[recognize(found.row).name] += 1
            except RowError as error:
                refused.append(error)
    if not votes and refused:
        raise ValueError(f"{path}: {refused[0]}") from refused[0]
    most = max(votes.values(), default=0)
    best = [one for one in votes if votes[one] == most] or ["manifest"]
    if len(best) > 1 and "manifest" not in best:
        raise ValueError(
            f"{path} begins with as many rows of {' as of '.join(best)}, but a manifest has one "
            f"format: {_way_out()}"
        )
    chosen = "manifest" if "manifest" in best else best[0]
    return next(one for one in FORMATS if one.name == chosen)


def format_of(path: Path, name: FormatName = "auto") -> Format:
    """Choose the format of a manifest on disk."""
    return choose(path, [*islice(read_rows(path), LOOKED_AT)], name)


def is_test_set(path: Path, name: FormatName = "auto") -> bool:
    """Know the manifest of a published benchmark: nobody trains on it, nor chooses by it.

    Where another format is named, those benchmarks are still told by their fields whose questions
    nobody knows; the others' are, and what only looks like them may be trained on. One that cannot
    be read, or whose format is unknown, is none; reading it says what is wrong.
    """
    try:
        first = [*islice(read_rows(path), LOOKED_AT)]
        chosen = choose(path, first, name)
        if not chosen.test and name != "auto" and trains_on(name) is None:
            told = choose(path, first)
            chosen = chosen if told.name in sets_known() else told
    except ValueError:
        return False
    return chosen.test


def trains_on(name: FormatName) -> str | None:
    """Name the benchmark in whose form this format has its publisher's training questions."""
    return name.removesuffix(TWIN) if name.endswith(TWIN) else None


def _way_out() -> str:
    names = dict.fromkeys(one.name for one in FORMATS)
    return f"name it with data.format=..., one of {', '.join(names)}."
