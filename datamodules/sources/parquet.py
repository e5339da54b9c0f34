"""Read rows out of Parquet, of which kilobytes may unpack to anything.

What its footer says of sizes need not be true, so that the memory for a few rows is bounded by the
system while they are unpacked; a row that needs more is set aside with those behind it in its row
group, since nothing tells where the next begins. Repeated texts stay one, as they are in the file,
until a row has been weighed.
"""

import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from datamodules.sources.adapter import Row
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.bounds import (
    LARGEST_ROW,
    LONGEST_ROW,
    MEBIBYTE,
    MOST_COLUMNS,
    MOST_VALUES,
    checked,
    too_large,
)
from untrusted.json_text import same_name

Raw = tuple[str, int, Callable[[], Row]]
"""Place and number of a row, and what is left to do to read it."""

LISTS = (
    *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
    *(pa.types.is_list_view, pa.types.is_large_list_view),
)
"""All kinds of values that hold others of one kind."""

ROWS_TOGETHER = 64
BYTES_TOGETHER = 64 * MEBIBYTE
"""Rows that are read at once, and about how many bytes: a row may hold its media."""

ROOM = 256 * MEBIBYTE
"""Memory for reading them, besides a few times what a row group takes in the file."""

FEWEST_REFUSED = 1_000
"""Up to so many rows are read whatever the size of the file."""

MOST_FOLD = 1_000
"""How many times its size a file may unpack to, beyond what is read at once."""


def parquet_rows(path: Path) -> Iterator[Raw]:
    """Read shards a few rows at a time."""
    number = 0
    for shard in _shards(path):
        try:
            for index, one in enumerate(_rows_of(shard)):
                number += 1
                yield f"{shard}[{index}]", number, partial(_record, one)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(shard, error) from error


def count_parquet(path: Path) -> int:
    """Count the rows of shards by their footers."""
    total = 0
    for shard in _shards(path):
        try:
            with _opened(shard) as file:
                total += file.metadata.num_rows
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(shard, error) from error
    return total


@contextmanager
def _opened(shard: Path) -> Iterator[pq.ParquetFile]:
    """Open a shard whose footer can be true."""
    size = shard.stat().st_size
    with _within(ROOM):
        limits = {"thrift_string_size_limit": 16 * MEBIBYTE, "thrift_container_size_limit": 100_000}
        file = pq.ParquetFile(shard, **limits)
    with file:
        names = file.schema_arrow.names
        if len({same_name(name) for name in names}) < len(names):
            raise ValueError(
                f"{shard} has the columns {str(names[:20])[:300]}, but each is named once, since "
                "one of two would go unread: rename it."
            )
        if file.metadata.num_columns > MOST_COLUMNS:
            raise ValueError(
                f"{shard} has {file.metadata.num_columns:,} columns, but a table of questions has "
                f"at most {MOST_COLUMNS:,}: drop those that no question needs."
            )
        if file.metadata.num_rows > max(size, FEWEST_REFUSED):
            raise ValueError(
                f"{shard} has {file.metadata.num_rows:,} rows in {size:,} bytes, but a question "
                "takes more than a byte: it is damaged, or made to harm; fetch it again."
            )
        repeated = _repeated(file)
    with pq.ParquetFile(shard, read_dictionary=repeated, **limits) as file:
        yield file


def _repeated(file: pq.ParquetFile) -> list[str]:
    """Name the columns of texts that the file writes once each, however often they come."""
    found = set()
    for group in map(file.metadata.row_group, range(file.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page:
                found.add(column.path_in_schema)
    return sorted(found)


def _rows_of(shard: Path) -> Iterator[pa.RecordBatch | RowError]:
    """Read the rows of a shard, as long as they come to no more than such a file can mean."""
    unpacked, size = 0, shard.stat().st_size
    with _opened(shard) as file:
        for group in range(file.num_row_groups):
            for batch in _batches(file, group, size):
                if isinstance(batch, int):
                    what = "the row, or one before it in its row group, unpacks without end"
                    yield from repeat(too_large(what, LARGEST_ROW, "bytes"), batch)
                    continue
                unpacked += _unpacked(batch)
                if unpacked > BYTES_TOGETHER + MOST_FOLD * size:
                    raise ValueError(
                        f"{shard} unpacks to more than {MOST_FOLD:,} times its {size:,} bytes, but "
                        "no questions are so much alike: it is damaged, or made to harm; fetch it "
                        "again."
                    )
                yield from (batch.slice(place, 1) for place in range(batch.num_rows))


def _batches(file: pq.ParquetFile, group: int, size: int) -> Iterator[pa.RecordBatch | int]:
    """Read a row group, each of its rows once; a number is of those that cannot be had.

    Args:
        size: of the file.
    """
    about = file.metadata.row_group(group)
    columns = [*map(about.column, range(about.num_columns))]
    room = ROOM + 8 * min(sum(max(0, one.total_compressed_size) for one in columns), size)
    values = sum(max(0, one.num_values) for one in columns)
    each = max(1, max(about.total_byte_size, 8 * values) // max(1, about.num_rows))
    done = 0
    for together in sorted({max(1, min(ROWS_TOGETHER, BYTES_TOGETHER // each)), 1}, reverse=True):
        batches = file.iter_batches(batch_size=together, row_groups=[group], use_threads=False)
        seen = 0
        try:
            while True:
                with _within(room):
                    batch = next(batches, None)
                if batch is None:
                    return
                seen += batch.num_rows
                if seen > done:
                    yield batch.slice(batch.num_rows - (seen - done))
                    done = seen
        except pa.ArrowMemoryError:
            continue  # one by one, so that good rows before the bad one are read
    yield about.num_rows - done


@contextmanager
def _within(room: int) -> Iterator[None]:
    """Let this process have so many bytes more, and no further, until it is left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * os.sysconf("SC_PAGE_SIZE") + room
    resource.setrlimit(
        resource.RLIMIT_AS, (most if soft == resource.RLIM_INFINITY else min(soft, most), hard)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _unpacked(batch: pa.RecordBatch) -> int:
    """Count the bytes of rows that are going to be made; a row that is too large is not."""
    media, texts, values = _weights(batch)
    if batch.num_rows > 1 and (texts > LONGEST_ROW or values > MOST_VALUES):
        return sum(_unpacked(batch.slice(place, 1)) for place in range(batch.num_rows))
    return 0 if _excess(media, texts, values) else media + texts


UNMADE = (ArithmeticError, LookupError, TypeError, ValueError, NotImplementedError)
"""What Arrow raises over a value of which it can make none of Python's."""


def _record(one: pa.RecordBatch | RowError) -> Row:
    if isinstance(one, RowError):
        raise one
    if (excess := _excess(*_weights(one))) is not None:
        raise excess
    try:
        made = one.to_pylist(maps_as_pydicts="strict")[0]
    except UNMADE as error:
        raise RowError(
            "malformed",
            f"the row holds what Python has no value for ({type(error).__name__}: {error}), but "
            "texts are UTF-8, times and dates those of a calendar, and objects name a field once: "
            "mend it.",
        ) from error
    return checked(made)


def _excess(media: int, texts: int, values: int) -> RowError | None:
    """Say which limit a row goes beyond."""
    if media > LARGEST_ROW:
        return too_large(f"the row holds media of {media:,} bytes", LARGEST_ROW, "bytes of media")
    if texts > LONGEST_ROW:
        return too_large(f"the row has {texts:,} bytes", LONGEST_ROW, "bytes")
    if values > MOST_VALUES:
        return too_large(f"the row has {values:,} values", MOST_VALUES, "values")
    return None


def _weights(batch: pa.RecordBatch) -> tuple[int, int, int]:
    return _sum([_weight(column) for column in batch.columns])


def _sum(parts: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    media, texts, values = (sum(part[at] for part in parts) for at in range(3))
    return media, texts, values


def _weight(held: pa.Array) -> tuple[int, int, int]:
    """Count the bytes of media, the bytes of everything else, and the values of an array.

    A text that is repeated counts as often as it comes.
    """
    if isinstance(held, pa.ExtensionArray):
        held = held.storage
    kind = held.type
    if pa.types.is_struct(kind):
        media, texts, values = _sum([_weight(part) for part in held.flatten()])
        return media, texts, values + len(held)
    if pa.types.is_map(kind) or any(is_list(kind) for is_list in LISTS):
        inner = held.flatten() if not pa.types.is_map(kind) else _entries(held)
        media, texts, values = _weight(inner)
        return media, texts, values + len(held)
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(held.dictionary).take(held.indices)
        size, kind = pc.sum(lengths).as_py() or 0, kind.value_type
    else:
        size = held.nbytes
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return size, 0, len(held)
    return 0, size, len(held)


def _entries(held: pa.MapArray) -> pa.Array:
    """List the entries of an array of objects with any names, as structs."""
    first, last = held.offsets[0].as_py(), held.offsets[len(held)].as_py()
    struct = pa.StructArray.from_arrays([held.keys, held.items], names=["key", "item"])
    return struct.slice(first, last - first)


def _unreadable(shard: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{shard} is not readable as Parquet ({error}), but manifests of this ending are: fetch it "
        "again."
    )


def _shards(path: Path) -> list[Path]:
    shards = sorted(path.glob("**/*.parquet")) if path.is_dir() else [path]
    if not shards or not all(shard.is_file() for shard in shards):
        raise ValueError(
            f"There is no Parquet file {path}, but questions are read from it: name a file, or a "
            "directory of .parquet files."
        )
    return shards
