"""A sequence of samples in an Arrow file, each made on access.

A few hundred rows are read from the file at a time. It is not memory-mapped: a shuffled epoch would
then make all of it resident in every loader process.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Literal, final, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from datamodules.media.files import MediaError, content_hash, file_digest, resolve
from datamodules.sample import Media, Sample

ROWS_TOGETHER = 256
"""Rows of a record batch: some 100 kB of text."""

FEW = 8
"""Up to so many rows of a batch are made samples one by one, and more all at once."""

STAMPED = ("size", "mtime_ns", "ctime_ns")
Stamp = tuple[int, int, int]
"""Size of a file in bytes, and its times of modification and status change in nanoseconds."""

Column = Literal["id", "content_hash", "asset_id"]
"""Fields that can be read for all questions."""

Row = Mapping[str, Any]  # as Arrow gives it: texts, numbers, lists and dicts of these

_MEDIUM = pa.struct(
    {
        **dict.fromkeys(("modality", "path", "role", "text"), pa.string()),
        **dict.fromkeys(("start", "end"), pa.float64()),
        **dict.fromkeys(STAMPED, pa.int64()),
    }
)
_SCHEMA = pa.schema(
    {
        **dict.fromkeys(("id", "content_hash", "question", "answer", "answer_type"), pa.string()),
        **dict.fromkeys(("completion", "evidence", "source", "asset_id"), pa.string()),
        "verifier": pa.string(),
        "options": pa.list_(pa.string()),
        "tolerance": pa.float64(),
        "media": pa.list_(_MEDIUM),
        "facts": pa.map_(pa.string(), pa.string()),
    }
)


@final
class SampleTable(Sequence[Sample]):
    """The questions of a file, each made on access.

    It is pickled as the name of its file. Slices are tables too.
    """

    def __init__(
        self,
        file: Path,
        *,
        root: Path,
        verifiers: Sequence[str] = (),
        outside_root: bool = False,
    ) -> None:
        """Open a file that `write_table` wrote.

        Args:
            root: where its media lie, see `resolve`.
            verifiers: those that the settings name; no file can name others.
        """
        self.file = file
        self.root = root
        self.verifiers = ("", *verifiers)
        self.outside_root = outside_root
        self._opened: tuple[int, pa.RecordBatchFileReader] | None = None
        self._last: tuple[int, pa.RecordBatch] | None = None
        batches = self._reader().num_record_batches
        last = self._batch(batches - 1).num_rows if batches else 0
        self.places: range | NDArray[np.int64] = range((batches - 1) * ROWS_TOGETHER + last)

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "SampleTable": ...
    def __getitem__(self, index: int | slice) -> "Sample | SampleTable":
        if isinstance(index, slice):
            return self._part(self.places[index])
        return self._sample(self._row(int(self.places[index])))

    def __iter__(self) -> Iterator[Sample]:
        for number, group in groupby(map(int, self.places), key=lambda at: at // ROWS_TOGETHER):
            places = [*group]
            rows = self._batch(number).to_pylist() if len(places) > FEW else None
            for place in places:
                yield self._sample(rows[place % ROWS_TOGETHER] if rows else self._row(place))

    def fields(self, names: Sequence[str]) -> Iterator[Row]:
        """Read some fields of all questions, in batches, without making samples."""
        reader = _open(self.file, only=[_SCHEMA.get_field_index(name) for name in names])
        for number, group in groupby(map(int, self.places), key=lambda at: at // ROWS_TOGETHER):
            rows = reader.get_batch(number).to_pylist()
            yield from (rows[place % ROWS_TOGETHER] for place in group)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_opened": None, "_last": None}

    def take(self, indices: NDArray[np.int64]) -> "SampleTable":
        """Choose some of the questions, in the order given."""
        return self._part(np.array(self.places)[indices])

    def checked(self, index: int) -> Sample:
        """Make a sample whose media are those that were indexed, else raise a `MediaError`.

        A file of the same size and times counts as unchanged; any other is hashed.
        """
        row = self._row(int(self.places[index]))
        sample = self._sample(row)
        found = [resolve(self.root, m.path, outside_root=self.outside_root) for m in sample.media]
        stamps = [tuple(medium[name] for name in STAMPED) for medium in row["media"]]
        if [stamp(path) for path in found] == stamps:
            return sample
        digests = [file_digest(path) for path in found]
        now = content_hash(
            *(sample.question, sample.options, sample.answer, sample.media, digests),
            tolerance=sample.tolerance,
            verifier=sample.verifier,
        )
        if now != sample.content_hash:
            paths = ", ".join(item.path for item in sample.media)
            raise MediaError(
                f"{sample.id}: of its media ({paths}) one was written over since {self.file.parent}"
                " was made, but scores are kept by what a question shows: delete that directory, "
                "so that the manifest is read again.",
                kind="changed",
                path=paths,
            )
        return sample

    def _part(self, places: range | NDArray[np.int64]) -> "SampleTable":
        part = SampleTable.__new__(SampleTable)
        vars(part).update(self.__getstate__(), places=places)
        return part

    def _reader(self) -> pa.RecordBatchFileReader:
        """Open the file once in each process: forks must not share the state of a reader."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened, self._last = (os.getpid(), _open(self.file)), None
        return self._opened[1]

    def _batch(self, number: int) -> pa.RecordBatch:
        reader, last = self._reader(), self._last
        if last is None or last[0] != number:
            self._last = last = (number, reader.get_batch(number))
        return last[1]

    def _sample(self, row: Row) -> Sample:
        if row["verifier"] not in self.verifiers:
            raise ValueError(
                f"{self.file} names the verifier {row['verifier']!r}, but only data.verifiers "
                f"names files that are run: delete {self.file.parent}, so that the manifest is "
                "read again."
            )
        media = tuple(_medium(**item) for item in row["media"])
        rest = {"options": tuple(row["options"]), "media": media, "facts": dict(row["facts"])}
        return Sample(**{**row, **rest})

    def _row(self, place: int) -> Row:
        number, at = divmod(place, ROWS_TOGETHER)
        row: Row = self._batch(number).slice(at, 1).to_pylist()[0]
        return row

    def column(self, name: Column) -> list[str]:
        """Read one field of all questions."""
        reader = _open(self.file, only=[_SCHEMA.get_field_index(name)])
        found: list[str] = reader.read_all().column(name).to_pylist()
        return [found[place] for place in self.places]


def checked(samples: Sequence[Sample], index: int) -> Sample:
    """Return a sample; one from a table after checking that its media are unchanged."""
    return samples.checked(index) if isinstance(samples, SampleTable) else samples[index]


def column_of(samples: Sequence[Sample], name: Column) -> list[str]:
    """List one field of questions; of those of a table without making samples."""
    if isinstance(samples, SampleTable):
        return samples.column(name)
    return [vars(one)[name] for one in samples]


def fields_of(samples: Sequence[Sample], names: Sequence[str]) -> Iterator[Row]:
    """Read some fields of all questions; those of a table without making samples.

    Media and facts are as Arrow gives them: objects, and pairs.
    """
    if isinstance(samples, SampleTable):
        yield from samples.fields(names)
        return
    for one in samples:
        row = {name: vars(one)[name] for name in names}
        if "media" in row:
            row["media"] = [vars(item) for item in one.media]
        yield row | ({"facts": [*one.facts.items()]} if "facts" in row else {})


def take(samples: Sequence[Sample], places: NDArray[np.int64]) -> Sequence[Sample]:
    """Choose some questions, in the order given; those of a table without making samples."""
    if isinstance(samples, SampleTable):
        return samples.take(places)
    return [samples[place] for place in places]


def write_table(file: Path, samples: Iterable[Sample], stamp_of: Callable[[Media], Stamp]) -> None:
    """Write questions down for a `SampleTable`.

    Args:
        stamp_of: tells of each medium what a change of it would change.
    """
    with pa.OSFile(str(file), "wb") as out, pa.ipc.new_file(out, _SCHEMA) as table:
        left = iter(samples)
        while rows := [_row_of(one, stamp_of) for one in islice(left, ROWS_TOGETHER)]:
            table.write_batch(pa.RecordBatch.from_pylist(rows, schema=_SCHEMA))


def stamp(file: Path) -> Stamp:
    """Return size and times of a file; the last of them cannot be set back."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _row_of(sample: Sample, stamp_of: Callable[[Media], Stamp]) -> Row:
    media = []
    for item in sample.media:
        media.append(vars(item) | dict(zip(STAMPED, stamp_of(item), strict=True)))
    return vars(sample) | {"media": media, "facts": [*sample.facts.items()]}


def _medium(*, size: int, mtime_ns: int, ctime_ns: int, **rest: Any) -> Media:
    return Media(**rest)


def _open(file: Path, only: Sequence[int] | None = None) -> pa.RecordBatchFileReader:
    options = pa.ipc.IpcReadOptions(included_fields=only, use_threads=False)
    try:
        return pa.ipc.open_file(pa.OSFile(str(file)), options=options)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"{file} is no table that can be read ({error}), but questions are read from it: "
            f"delete {file.parent}, so that the manifest is read again."
        ) from error
