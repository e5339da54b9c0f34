"""Read rows out of JSONL, JSON, CSV, TSV and Parquet files, one after the other.

A row that cannot be read is one bad row; only a file without rows stops the reading.
"""

import codecs
import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

import pyarrow.parquet as pq
from pyarrow import ArrowException, RecordBatch

from datamodules.sources.adapter import Row
from datamodules.sources.answers import RowError
from datamodules.sources.nested import questions_in

ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz")
"""Files that hold others: who looked into them at every opening would read them over and over."""


@final
@dataclass(frozen=True, kw_only=True)
class Found:
    """A row, or why there is none, and where."""

    place: str
    """As a user finds it again: "train.jsonl:17", or "train.json[16]"."""

    number: int
    """Of the row in the manifest, from 1; that of its line where rows are lines."""

    row: Row | RowError


def manifest_path(root: Path, name: str) -> Path:
    """Find a manifest by its name: that of a `.jsonl` file, unless the name has another ending or
    is that of a directory, of Parquet shards, beside which there is no such file."""
    path, lines = root / name, root / f"{name}.jsonl"
    return (
        path
        if path.suffix in (*ENDINGS, *PACKED) or (path.is_dir() and not lines.is_file())
        else lines
    )


def read_rows(path: Path, *, every: int = 1) -> Iterator[Found]:
    """Read rows in their order, keeping no more of the file in memory than its format asks for.

    Args:
        every: reads the first of so many rows, and does not look into the others.
    """
    for index, found in enumerate(_raws(path)):
        if index % every == 0:
            place, number, parse = found
            try:
                row: Row | RowError = parse()
            except RowError as error:
                row = error
            yield Found(place=place, number=number, row=row)


def count_rows(path: Path) -> int:
    """Count rows, good and bad, without reading more than where they end."""
    if path.suffix == ".parquet" or path.is_dir():
        return sum(pq.read_metadata(shard).num_rows for shard in _shards(path))
    return sum(1 for _ in _raws(path))


Raw = tuple[str, int, Callable[[], Row]]
"""Place and number of a row, and what is left to do to read it."""


def _raws(path: Path) -> Iterator[Raw]:
    if path.is_dir() or path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix in PACKED:
        raise ValueError(
            f"{path} is packed, but manifests are read as they are: unpack it, and name the file "
            f"that comes out of it, one of {', '.join(ENDINGS)}."
        )
    if not path.is_file():
        raise ValueError(
            f"There is no manifest {path}, but questions are read from one: write it there, one "
            "JSON object per line, or name another directory with data.root=..."
        )
    if path.suffix == ".json":
        return _json(path)
    if path.suffix in (".csv", ".tsv"):
        return _table(path)
    return _json(path) if _is_list(path) else _jsonl(path)


def _is_list(path: Path) -> bool:
    """Know one JSON list that is named `.jsonl`, and whose lines are no rows."""
    with path.open("rb") as file:
        if not file.read(64).lstrip(codecs.BOM_UTF8).lstrip().startswith(b"["):
            return False
    try:
        return isinstance(json.loads(path.read_bytes().decode("utf-8-sig")), list)
    except (ValueError, RecursionError):
        return False


def _jsonl(path: Path) -> Iterator[Raw]:
    with path.open("rb") as file:  # bytes, so that one line that is not UTF-8 is one bad row
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield f"{path}:{number}", number, partial(_parsed, line)


def _parsed(line: bytes) -> Row:
    try:
        return _checked(json.loads(line.decode("utf-8-sig"), object_pairs_hook=_once))
    except (ValueError, RecursionError) as error:
        if isinstance(error, RowError):
            raise
        raise RowError(
            "malformed", f"the row is not JSON in UTF-8 ({error}), but each line must be: mend it."
        ) from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object, unless it has a field twice: of two answers, one would go unread."""
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise RowError(
            "malformed", f"an object names {twice!r} twice, but one would go unread: mend it."
        )
    return made


def _checked(row: object) -> Row:
    """Let in objects whose texts can be written in UTF-8: a character may have lost its half."""
    if not isinstance(row, dict):
        raise RowError(
            "malformed",
            f"the row is a JSON {type(row).__name__}, but must be an object as in "
            '{"id": ..., "question": ..., "answer": ...}.',
        )
    try:
        json.dumps(row, ensure_ascii=False, default=str).encode()
    except (ValueError, RecursionError) as error:
        raise RowError(
            "malformed", f"the row is not in UTF-8 ({error}), but all texts must be: mend it."
        ) from error
    return row


def _json(path: Path) -> Iterator[Raw]:
    content = path.read_bytes()
    try:
        # Bytes that are no UTF-8 become half characters, which spoil their own row only.
        text = content.decode("utf-8-sig", errors="surrogateescape")
        held = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        if _is_lines(content):
            yield from _jsonl(path)
            return
        raise ValueError(
            f"{path} is not JSON ({error}), but a file of this ending holds JSON: mend it, or name "
            "it .jsonl if each line is an object of its own."
        ) from error
    for number, (place, row) in enumerate(questions_in(held, path), start=1):
        yield f"{path}{place}", number, partial(_checked, row)


def _is_lines(content: bytes) -> bool:
    """Know a file of JSON lines that is named `.json`: its first line is an object by itself."""
    first = content.lstrip(codecs.BOM_UTF8).lstrip().split(b"\n", 1)[0]
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _table(path: Path) -> Iterator[Raw]:
    """Read a table whose first line names the columns; an empty cell is an absent field."""
    tabs = "\t" if path.suffix == ".tsv" else ","
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file, delimiter=tabs, strict=True)
        try:
            names: list[str] = [name.strip() for name in next(reader, [])]
        except csv.Error:
            names = []
        if not any(names) or len(set(names)) < len(names) or "\0" in "".join(names):
            raise ValueError(
                f"{path} begins with {names[:20]}, but its first line names the columns, each "
                "once and in UTF-8: write them there."
            )
        while True:
            first = reader.line_num + 1
            try:
                cells: list[str] | csv.Error | None = next(reader, None)
            except csv.Error as error:  # the reader goes on with the next line
                cells = error
            if cells is None:
                return
            if cells:
                last = reader.line_num
                lines = f"{last}" if isinstance(cells, list) or first >= last else f"{first}-{last}"
                yield f"{path}:{lines}", last, partial(_filled, names, cells)


def _filled(names: list[str], cells: list[str] | csv.Error) -> Row:
    if isinstance(cells, csv.Error) or len(cells) > len(names):
        found = f"is no line of a table ({cells})"
        if not isinstance(cells, csv.Error):
            found = f"has {len(cells)} cells"
        raise RowError(
            "malformed",
            f"the row {found}, but the first line names {len(names)} columns: put texts that hold "
            "commas, tabs, quotes or line breaks in quotes, and double those within.",
        )
    return _checked({name: cell for name, cell in zip(names, cells, strict=False) if cell})


def _parquet(path: Path) -> Iterator[Raw]:
    """Read shards a few rows at a time: a row may hold its media."""
    number = 0
    for shard in _shards(path):
        try:
            with pq.ParquetFile(shard) as file:
                names, index = file.schema_arrow.names, 0
                if len(set(names)) < len(names):
                    raise ValueError(
                        f"{shard} has the columns {names[:20]}, but each is named once, since one "
                        "of two would go unread: rename it."
                    )
                for batch in file.iter_batches(batch_size=64):
                    for place in range(batch.num_rows):
                        number += 1
                        one = batch.slice(place, 1)
                        yield f"{shard}[{index}]", number, partial(_record, one)
                        index += 1
        except (ArrowException, OSError) as error:
            raise ValueError(
                f"{shard} is not readable as Parquet ({error}), but manifests of this ending are: "
                "fetch it again."
            ) from error


def _record(one: RecordBatch) -> Row:
    try:
        return _checked(one.to_pylist(maps_as_pydicts="strict")[0])
    except UnicodeDecodeError as error:
        raise RowError(
            "malformed", f"the row is not in UTF-8 ({error}), but all texts must be: mend it."
        ) from error


def _shards(path: Path) -> list[Path]:
    shards = sorted(path.glob("**/*.parquet")) if path.is_dir() else [path]
    if not shards or not all(shard.is_file() for shard in shards):
        raise ValueError(
            f"There is no Parquet file {path}, but questions are read from it: name a file, or a "
            "directory of .parquet files."
        )
    return shards
