"""Read a manifest in whatever format it is written.

The project's own holds one question per line of JSON:

    {"id": "q1", "question": "What barks?", "options": ["a cat", "a dog"], "answer": "a dog",
     "media": [{"modality": "audio", "path": "clips/1.flac", "start": 2.5, "end": 6.0}]}

Optional are options, answer_type (told from the options or the answer where possible), tolerance,
media and their start, end, role and text, completion, evidence, facts, source (the manifest's name)
and asset_id (the first medium). Rows of published formats are written so first, by their adapter.
A row that breaks a rule goes to quarantine with its place and a reason, and the rest are read.
"""

from collections.abc import Container, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from datamodules.media.files import MediaError
from datamodules.sample import Sample
from datamodules.sources.adapter import Row
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.row import Unread
from datamodules.sources.formats import LOOKED_AT, choose
from datamodules.sources.quarantine import Quarantine
from datamodules.sources.reader import Reader
from datamodules.sources.row_files import read_rows
from datamodules.sources.rows import bare, digests, to_sample


def read_manifest(
    path: Path,
    root: Path,
    quarantine: Quarantine,
    *,
    taken: Container[str] = (),
    format: str = "auto",
    verifiers: Sequence[str] = (),
    outside_root: bool = False,
) -> list[Sample]:
    """Read the good rows of a manifest in their order, and quarantine the others.

    Whether too many are bad is for the caller to `check`, which knows their total number.

    Args:
        taken: ids that rows of other manifests have.
        format: `auto` tells it from the first rows.
        verifiers: those of the user's own, as `data.verifiers` names them.
        outside_root: media may lie elsewhere than below `root`.
    """
    return list(
        samples_of(
            path,
            root,
            quarantine,
            taken=taken,
            format=format,
            verifiers=verifiers,
            outside_root=outside_root,
        )
    )


def samples_of(
    path: Path,
    root: Path,
    quarantine: Quarantine,
    *,
    taken: Container[str] = (),
    format: str = "auto",
    verifiers: Sequence[str] = (),
    outside_root: bool = False,
    unread: Unread | None = None,
) -> Iterator[Sample]:
    """Read the good rows of a manifest one by one, as `read_manifest` does.

    Args:
        unread: counts unread fields, which are logged at the end unless it is given.
    """
    rows = read_rows(path)
    first = [*islice(rows, LOOKED_AT)]
    reader = Reader(path, root, choose(path, first, format))
    if format == "auto":
        reader.refuse_mostly_unread(first)
    if unread is not None:
        reader.unread = unread
    digest = digests(root, outside_root=outside_root)
    seen: set[str] = set()
    for found in chain(first, rows):
        for index, row in enumerate(reader.questions(found)):
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
                sample = to_sample(row, digest=digest, source=path.stem, verifiers=verifiers)
                seen.add(sample.id)
                yield sample
            except RowError as error:
                quarantine.add(sample_id or _id(found.row), error.reason, str(error), place)
            except MediaError as error:
                quarantine.add(sample_id, error.kind, str(error), place)
    if unread is None:
        reader.unread.tell(path)


def _id(row: Row | RowError) -> str:
    found = None if isinstance(row, RowError) else bare(row.get("id"))
    return found.strip() if isinstance(found, str) else ""
