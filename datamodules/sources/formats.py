"""All supported formats, and how the format of a manifest is recognized."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.lettering import lettered
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import answer_of
from datamodules.sources.generic.chat import CHAT
from datamodules.sources.generic.plain import COLUMNS
from datamodules.sources.generic.preferences import preference_in, why_refused
from datamodules.sources.own_format import own_format
from datamodules.sources.published.audio_benchmarks import AUDIO_BENCHMARKS
from datamodules.sources.published.known_tests import sets_known
from datamodules.sources.published.omni_benchmarks import OMNI_BENCHMARKS
from datamodules.sources.published.training import TRAINING
from datamodules.sources.published.video_benchmarks import VIDEO_BENCHMARKS
from datamodules.sources.row_files import Found, read_rows
from datamodules.sources.rows import ROW_FIELDS

TWIN = "_train"
"""Suffix of the name of a format in which a publisher ships training questions like its
benchmark."""

LOOKED_AT = 20
"""Rows at the beginning of a manifest by which its format is recognized."""


def _own(row: Row, place: Place) -> Iterator[Row]:
    """Write the answer to a choice as its text, unless the file names options by letters.

    An id such as 7.0 is what a table makes of a whole number.
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


MANIFEST = Format(name="manifest", fields=frozenset(), adapt=_own, generic=True)
"""The project's own; recognized by having no other fields."""

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
    """Recognize the format of a row by its fields; a `RowError` where none or several fit.

    A data set's own format wins over a generic one, and then the one that names more fields.
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
    """Recognize our own manifest: options are a list of texts without letters, and no field is
    foreign."""
    options, media = row.get("options") or [], row.get("media") or []
    if "id" not in row or not isinstance(options, list) or not isinstance(media, list):
        return False
    texts = [str(option) for option in options]
    return set(row) <= {*ROW_FIELDS} and lettered(texts) == texts


def choose(path: Path, first: Sequence[Found], name: str = "auto") -> Format:
    """Choose the format of a manifest: the one that is named, or that of most of its first rows.

    A manifest without a readable row counts as our own.
    """
    _refuse_preferences(path, first, name)
    if ".py" in name:
        return own_format(name)
    if name != "auto":
        return next(one for one in FORMATS if one.name == name)
    votes: Counter[str] = Counter()
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


def _refuse_preferences(path: Path, first: Sequence[Found], name: str) -> None:
    """Refuse a file whose rows all rank answers."""
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


def format_of(path: Path, name: str = "auto") -> Format:
    """Choose the format of a manifest on disk."""
    return choose(path, [*islice(read_rows(path), LOOKED_AT)], name)


def is_test_set(path: Path, name: str = "auto") -> bool:
    """Tell whether a manifest is a published benchmark: not to be trained on, or selected by.

    Where another format is named, only benchmarks without known questions are recognized by their
    fields; those with known ones are found by their questions, and what only looks like them may be
    trained on. Returns False where the manifest cannot be read or its format is unknown; reading it
    says what is wrong.
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


def trains_on(name: str) -> str | None:
    """Return the benchmark in whose form this format has its publisher's training questions."""
    return name.removesuffix(TWIN) if name.endswith(TWIN) else None


def _way_out() -> str:
    names = dict.fromkeys(one.name for one in FORMATS)
    return f"name it with data.format=..., one of {', '.join(names)}."
