"""Every format that is read, and how one is told from another."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from configs.inputs import FormatName
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.lettering import lettered
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import answer_of
from datamodules.sources.generic.chat import CHAT
from datamodules.sources.generic.plain import COLUMNS
from datamodules.sources.generic.preferences import preference_in, why_refused
from datamodules.sources.published.audio_benchmarks import AUDIO_BENCHMARKS
from datamodules.sources.published.known_tests import sets_known
from datamodules.sources.published.omni_benchmarks import OMNI_BENCHMARKS
from datamodules.sources.published.training import TRAINING
from datamodules.sources.published.video_benchmarks import VIDEO_BENCHMARKS
from datamodules.sources.row_files import Found, read_rows
from datamodules.sources.rows import ROW_FIELDS

TWIN = "_train"
"""What a format is called after the benchmark's, where a publisher ships both in one form."""

LOOKED_AT = 20
"""Rows at the beginning of a manifest that its format is told from."""


def _own(row: Row, place: Place) -> Iterator[Row]:
    """Write the answer to a choice as its text, which it is meant for unless the file says letters.

    An id that is a number with nothing behind its point is what a table makes of a whole one.
    """
    if isinstance(number := row.get("id"), float) and number.is_integer():
        row = {**row, "id": int(number)}
    options, answer = row.get("options"), row.get("answer")
    named = isinstance(answer, str) and row.get("answer_type") in (None, "choice")
    if named and isinstance(options, list) and answer:
        texts = [one.strip() for one in options if isinstance(one, str)]
        # Options with letters are refused where all rows are checked.
        if texts and len(texts) == len(options) and lettered(texts) == texts:
            row = {**row, "answer": answer_of(answer, texts, place.golds, otherwise="text")}
    yield row


MANIFEST = Format(
    name="manifest",
    fields=frozenset(),
    adapt=_own,
    ways=frozenset(("text", "letter")),
    generic=True,
)
"""The project's own; recognized by having no field besides."""

FORMATS: tuple[Format, ...] = (
    MANIFEST,
    *CHAT,
    *COLUMNS,
    *TRAINING,
    *AUDIO_BENCHMARKS,
    *VIDEO_BENCHMARKS,
    *OMNI_BENCHMARKS,
)


def recognize(row: Row) -> Format:
    """Tell the format of a row by the names of its fields; a `RowError` where none or two fit.

    A data set's own wins over one that any may have, and then the one that names more fields.
    """
    fitting = [
        one
        for one in FORMATS
        if one.fields and one.fields <= row.keys() and (one.tells is None or one.tells(row))
    ]
    if _is_own(row) and not any(one.tells for one in fitting):
        return MANIFEST
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
    _refuse_preferences(path, first, name)
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


def _refuse_preferences(path: Path, first: Sequence[Found], name: FormatName) -> None:
    """Refuse a file whose rows all say which of some answers is better."""
    rows = [found.row for found in first if not isinstance(found.row, RowError)]
    fields = [preference_in(row) for row in rows]
    own = any(
        not one.generic and (one.fields <= row.keys() if name == "auto" else one.name == name)
        for one in FORMATS
        if one.fields
        for row in rows
    )
    if fields and fields[0] is not None and None not in fields and not own:
        raise ValueError(f"{path}: {why_refused(fields[0])}")


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
