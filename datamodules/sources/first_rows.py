"""Look at the beginning of manifests, which tells most mistakes without reading them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from configs.inputs import DataConfig
from datamodules.media.files import MediaError
from datamodules.media.paths import resolve
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.formats import LOOKED_AT, choose
from datamodules.sources.manifest_files import check_text, manifest_path
from datamodules.sources.reader import Reader
from datamodules.sources.row_files import Found, read_rows
from datamodules.sources.rows import to_sample

WHOLE_BYTES = 2**24
"""A file that is one JSON value is parsed as a whole; beyond this, not twice."""

SMALL_BYTES = 2**20
"""A file of at most these is looked at to its end where no row is good; some 50 ms."""


def check_manifests(data: DataConfig, names: Iterable[str]) -> None:
    """Raise where a manifest is missing, no text, of no known format, or without a good row.

    Args:
        names: manifests inside `data.root`, several joined by `+`.
    """
    root = Path(data.root)
    if data.embedded and not root.exists():  # it is made
        return
    for name in dict.fromkeys(part for names_ in names for part in names_.split("+")):
        path = manifest_path(root, name)
        large = path.suffix == ".json" and path.is_file() and path.stat().st_size > WHOLE_BYTES
        if large or ".py" in data.format:  # which reads rows as it likes
            if not path.is_dir():
                check_text(path)
            continue
        rows = read_rows(path)
        first = [*islice(rows, LOOKED_AT)]
        reader = Reader(path, root, choose(path, first, data.format))
        if data.format == "auto":
            reader.refuse_mostly_unread(first)
        if not first:
            raise ValueError(
                f"{path} is empty, but questions are read from it: write one JSON object per line, "
                "or name another file."
            )
        if data.max_bad_share < 1 and path.stat().st_size <= SMALL_BYTES:
            _refuse_if_all_bad(reader, chain(first, rows), data)


def _refuse_if_all_bad(reader: Reader, rows: Iterable[Found], data: DataConfig) -> None:
    """Raise where a file holds no question at all; which of several are good a run finds."""
    bad: list[tuple[str, str, str]] = []
    for found in rows:
        for error in _errors(reader, found, data):
            if error is None:
                return
            reason = error.reason if isinstance(error, RowError) else error.kind
            bad.append((reason, found.place, str(error)))
    reasons = Counter(reason for reason, _, _ in bad).most_common()
    counts = ", ".join(f"{count} {reason}" for reason, count in reasons)
    _, place, detail = bad[0]
    raise ValueError(
        f"{reader.path} has no row that is good ({counts}), but questions are read from it. The "
        f"first, {place}: {detail}"
    )


def _errors(
    reader: Reader, found: Found, data: DataConfig
) -> Iterator[RowError | MediaError | None]:
    """Yield what is wrong with each question of a row, None where it is good.

    Media are looked for, and not read.
    """
    root, outside = reader.root, data.outside_root
    for row in reader.questions(found):
        try:
            if isinstance(row, RowError):
                raise row
            to_sample(
                row,
                digest=lambda path: str(resolve(root, path, outside_root=outside)),
                source=reader.path.stem,
                verifiers=data.verifiers,
            )
            yield None
        except (RowError, MediaError) as error:
            yield error
