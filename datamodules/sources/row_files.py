"""Read rows of JSONL, JSON, CSV, TSV and Parquet files, in order.

An unreadable row is one bad row; only a file without rows is an error.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from os import SEEK_CUR
from pathlib import Path
from typing import BinaryIO, Self, TextIO, final

from datamodules.sources.adapter import Row
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.bounds import LONGEST_ROW, MEBIBYTE, MOST_COLUMNS, checked, too_large
from datamodules.sources.json_files import is_list, json_rows, parsed
from datamodules.sources.manifest_files import check_text
from datamodules.sources.parquet import Raw, count_parquet, parquet_rows
from untrusted.json_text import same_name


@final
@dataclass(frozen=True, kw_only=True)
class Found:
    """A row, or the reason why there is none, and its place."""

    place: str
    """For messages: "train.jsonl:17", or "train.json[16]"."""

    number: int
    """Of the row in the manifest, from 1; that of its line where rows are lines."""

    row: Row | RowError


def read_rows(path: Path, *, every: int = 1) -> Iterator[Found]:
    """Read rows in order, keeping no more of the file in memory than its format requires.

    Args:
        every: reads every n-th row, and does not parse the others.
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
    """Count rows, good and bad, without parsing them."""
    if path.suffix == ".parquet" or path.is_dir():
        return count_parquet(path)
    return sum(1 for _ in _raws(path))


def _raws(path: Path) -> Iterator[Raw]:
    if path.is_dir() or path.suffix == ".parquet":
        return parquet_rows(path)
    check_text(path)
    if path.suffix in (".csv", ".tsv"):
        return _table(path)
    found = json_rows(path) if path.suffix == ".json" or is_list(path) else None
    return found or _jsonl(path)


def _jsonl(path: Path) -> Iterator[Raw]:
    with path.open("rb") as file:  # bytes, so that one line that is not UTF-8 is one bad row
        for number, line in enumerate(_lines(file), start=1):
            if line is None or line.strip():
                yield f"{path}:{number}", number, partial(_parsed, line)


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Iterate over lines; None for one that is too long, of which only a bounded part is read."""
    while line := file.readline(LONGEST_ROW + 1):
        if len(line) <= LONGEST_ROW or line.endswith(b"\n"):
            yield line
            continue
        while rest := file.read(MEBIBYTE):
            if (end := rest.find(b"\n")) >= 0:
                file.seek(end + 1 - len(rest), SEEK_CUR)
                break
        yield None


def own_lines(file: Path) -> Iterator[bytes]:
    """Iterate over the lines of a file of JSON that this project wrote, one in memory at a time.

    Raises a `ValueError` for a line longer than a row may be, and for what is no file.
    """
    if not file.is_file():
        raise ValueError(f"{file} is no file, but lines are read from it: name another.")
    with file.open("rb") as opened:
        for number, line in enumerate(_lines(opened), start=1):
            if line is None:
                raise ValueError(
                    f"{file}:{number} has more than {LONGEST_ROW:,} bytes, but no line that was "
                    "written here has: mend it, or make the file again."
                )
            yield line


def _parsed(line: bytes | None) -> Row:
    if line is None:
        raise too_large("the row is a line without end", LONGEST_ROW, "bytes")
    return parsed(line.rstrip(b"\n"))


def _table(path: Path) -> Iterator[Raw]:
    """Read a table whose first line names the columns; an empty cell is an absent field."""
    tabs = "\t" if path.suffix == ".tsv" else ","
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        lines = _TableLines(file)
        reader = csv.reader(lines, delimiter=tabs, strict=True)
        try:
            names: list[str] = [name.strip() for name in next(reader, [])]
        except csv.Error:
            names = []
        once = len({same_name(name) for name in names}) == len(names) <= MOST_COLUMNS
        if not any(names) or not once or "\0" in "".join(names):
            raise ValueError(
                f"{path} begins with {str(names[:20])[:300]}, but its first line names the "
                f"columns, each once, in UTF-8 and at most {MOST_COLUMNS:,}: write them there."
            )
        while True:
            first = reader.line_num + 1
            lines.taken = 0
            try:
                cells: list[str] | csv.Error | None = next(reader, None)
            except csv.Error as error:  # the reader goes on with the next line
                cells = error
            if cells is None:
                return
            if cells:
                last = reader.line_num
                place = f"{last}" if isinstance(cells, list) or first >= last else f"{first}-{last}"
                parse = partial(_filled, names, None if lines.taken > LONGEST_ROW else cells)
                yield f"{path}:{place}", last, parse


@final
class _TableLines:
    """Passes lines to a CSV reader, and replaces a row that grows too long by an invalid line."""

    NONE = '"x"x\n'

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.taken = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self.file.readline(LONGEST_ROW + 1)
        if not line:
            raise StopIteration
        self.taken += len(line)
        if self.taken <= LONGEST_ROW:
            return line
        while line and not line.endswith("\n"):
            line = self.file.readline(MEBIBYTE)
        return self.NONE


def _filled(names: list[str], cells: list[str] | csv.Error | None) -> Row:
    if cells is None:
        raise too_large("the row is a line, or a quote, without end", LONGEST_ROW, "characters")
    if isinstance(cells, csv.Error) or len(cells) > len(names):
        found = f"is no line of a table ({cells})"
        if not isinstance(cells, csv.Error):
            found = f"has {len(cells)} cells"
        raise RowError(
            "malformed",
            f"the row {found}, but the first line names {len(names)} columns: put texts that hold "
            "commas, tabs, quotes or line breaks in quotes, and double those within.",
        )
    return checked({name: cell for name, cell in zip(names, cells, strict=False) if cell})
