"""Read a manifest in whatever format it is written.

The project's own holds one question per line of JSON:

    {"id": "q1", "question": "What barks?", "options": ["a cat", "a dog"], "answer": "a dog",
     "media": [{"modality": "audio", "path": "clips/1.flac", "start": 2.5, "end": 6.0}]}

Optional are options, answer_type (told from the options or the answer where possible), tolerance,
media and their start, end, role and text, completion, evidence, facts, source (the manifest's name)
and asset_id (the first medium). Rows of published formats are written so first, by their adapter.
A row that breaks a rule goes to quarantine with its place and a reason, and the rest are read.
"""

from collections.abc import Container, Iterator
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

from configs.inputs import FormatName
from datamodules.media import MediaError
from datamodules.quarantine import Quarantine
from datamodules.sample import Sample
from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers import RowError
from datamodules.sources.containers import Found, read_rows
from datamodules.sources.fields import Fields, Unread, whole
from datamodules.sources.formats import LOOKED_AT, MANIFEST, choose
from datamodules.sources.rows import to_sample


def read_manifest(
    path: Path,
    root: Path,
    quarantine: Quarantine,
    *,
    taken: Container[str] = (),
    format: FormatName = "auto",
    outside_root: bool = False,
) -> list[Sample]:
    """Read the good rows of a manifest in their order, and quarantine the others.

    Whether too many are bad is for the caller to `check`, who knows how many there are in all.

    Args:
        taken: ids that rows of other manifests have.
        format: `auto` tells it from the first rows.
        outside_root: media may lie elsewhere than below `root`.
    """
    return list(
        samples_of(path, root, quarantine, taken=taken, format=format, outside_root=outside_root)
    )


def samples_of(
    path: Path,
    root: Path,
    quarantine: Quarantine,
    *,
    taken: Container[str] = (),
    format: FormatName = "auto",
    outside_root: bool = False,
    unread: Unread | None = None,
) -> Iterator[Sample]:
    """Read the good rows of a manifest one by one, as `read_manifest` does.

    Args:
        unread: counts the fields that nobody reads, which are told at the end unless it is given.
    """
    rows = read_rows(path)
    first = [*islice(rows, LOOKED_AT)]
    chosen = choose(path, first, format)
    seen: set[str] = set()
    left = Unread() if unread is None else unread
    for found in chain(first, rows):
        for index, row in enumerate(questions(found, chosen, path, root, left)):
            sample_id, place = _id(row), f"{found.place}#{index + 1}" if index else found.place
            try:
                if isinstance(row, RowError):
                    raise row
                if sample_id in seen or sample_id in taken:
                    raise RowError(
                        "duplicate_id",
                        f"{sample_id!r} is the id of an earlier row too, but scores are kept by "
                        "id: give each row its own.",
                    )
                sample = to_sample(row, root=root, source=path.stem, outside_root=outside_root)
                seen.add(sample.id)
                yield sample
            except RowError as error:
                quarantine.add(sample_id or _id(found.row), error.reason, str(error), place)
            except MediaError as error:
                quarantine.add(sample_id, error.kind, str(error), place)
    if unread is None:
        left.tell(path)


def questions(
    found: Found, format: Format, path: Path, root: Path, unread: Unread | None = None
) -> Iterator[Row | RowError]:
    """Write a row of a manifest as one of our own, or as several, or say why not.

    Args:
        unread: counts the fields that the format does not read.
    """
    if isinstance(found.row, RowError) or format is MANIFEST:
        yield found.row
        return
    place = Place(
        root=root,
        directory=_directory(path, root),
        name=path.stem,
        number=found.number,
    )
    fields = Fields(found.row)
    try:
        rows = [
            row if isinstance(row, RowError) else _named(row, format, place)
            for row in format.adapt(fields, place)
        ]
        if not rows:
            raise RowError(
                "missing_question", f"the row holds no question of {format.name}: mend or drop it."
            )
        (unread or Unread()).check(fields, format.name, format.harmless)
    except RowError as error:
        yield error
        return
    yield from rows


def _named(row: Row, format: Format, place: Place) -> Row:
    """Fill in what a published row leaves open."""
    named = {name: whole(value) for name, value in row.items() if value not in (None, "")}
    source = {} if format.generic else {"source": format.name}
    return {"id": place.id, **source, **named}


@lru_cache(maxsize=16)
def _directory(path: Path, root: Path) -> str:
    """Find the directory whose media a manifest names: its own, below the root."""
    if not path.is_relative_to(root) or path.parent == root:
        return ""
    return path.parent.relative_to(root).as_posix()


def _id(row: Row | RowError) -> str:
    found = None if isinstance(row, RowError) else row.get("id")
    return str(found).strip() if isinstance(found, str | int) else ""
