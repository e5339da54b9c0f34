"""Keep what probes counted, in files that no crash can spoil.

    <root>/probe=<probe_key>/part-<pid>-<uuid>.parquet

A shard is written once, under a name nobody else uses, and appears whole or not at all. Any number
of processes may write while others read. Scores are found by content: a sample whose question,
options, answer or media changed has a new hash, and no scores yet.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datamodules.contribution import Condition, Counts, How

_WORD = pa.dictionary(pa.int32(), pa.string())

SCHEMA = pa.schema(
    {
        "sample_id": pa.string(),
        "content_hash": pa.string(),
        "probe_key": _WORD,
        "condition": _WORD,
        "how": _WORD,
        "n": pa.int32(),
        "n_correct": pa.int32(),
        "n_unparsed": pa.int32(),
        "option_seed": pa.int64(),
        "shard": pa.string(),
        "time": pa.float64(),
    }
)

IDENTITY = ("content_hash", "probe_key", "condition", "how", "option_seed")
"""Two rows that agree in these are one score, written twice."""


@dataclass(frozen=True, kw_only=True)
class ProbeRow:
    """What one probe answered to one sample under one condition: counts, never a verdict."""

    sample_id: str
    content_hash: str
    probe_key: str
    condition: Condition
    how: How
    n: int
    n_correct: int
    n_unparsed: int
    """Answers that could not be read; they are among the n, and not among the correct."""

    option_seed: int
    """Which order the options were shown in."""

    shard: str
    """Whose share of the work the row belongs to, such as "3/8"."""

    time: float
    """Seconds since the epoch at which the row was scored."""

    def __post_init__(self) -> None:
        for name in ("content_hash", "probe_key"):
            value = asdict(self)[name]
            if len(value) != 32 or set(value) - set("0123456789abcdef"):
                raise ValueError(
                    f"{name} of {self.sample_id!r} is {value!r}, but it must be 32 lower-case "
                    "hexadecimal digits: take it from the sample, or from probe_key()."
                )
        if min(self.n_correct, self.n_unparsed) < 0 or self.n < max(
            1, self.n_correct + self.n_unparsed
        ):
            raise ValueError(
                f"{self.sample_id!r} has {self.n_correct} correct and {self.n_unparsed} unparsed "
                f"of {self.n} answers: they must add up to at most n, and n must be at least 1."
            )


def probe_key(
    *,
    model: str,
    weights_digest: str,
    prompt_template: str,
    decoding: Mapping[str, object],
    media_budget: Mapping[str, object],
    harness_version: str,
) -> str:
    """Name a probe by everything that can change its answers, so that no two share scores.

    Args:
        model: the name or path it was loaded from.
        weights_digest: of the weights in use, an adapter's included.
        decoding: all settings of sampling; `media_budget`: all limits on what it is shown.
        harness_version: of the code that asks and scores.
    """
    parts = {
        "model": model,
        "weights_digest": weights_digest,
        "prompt_template": prompt_template,
        "decoding": dict(decoding),
        "media_budget": dict(media_budget),
        "harness_version": harness_version,
    }
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def write_shard(root: str | Path, rows: Sequence[ProbeRow]) -> Path:
    """Add the rows of one probe as one new file, durable once this returns."""
    keys = sorted({row.probe_key for row in rows})
    if len(keys) != 1:
        raise ValueError(
            f"A shard of {len(rows)} rows holds {len(keys)} probe keys ({', '.join(keys[:2])}), "
            "but it must hold exactly one: write a shard for each."
        )
    folder = Path(root) / f"probe={keys[0]}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{os.getpid()}-{uuid.uuid4().hex}.parquet"
    unfinished = path.with_name(path.name + ".tmp")
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=SCHEMA)
    with unfinished.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    for directory in (folder, folder.parent):
        _sync_directory(directory)
    return path


def probe_keys(root: str | Path) -> list[str]:
    """List the probes that have left scores here."""
    return sorted({path.parent.name.removeprefix("probe=") for path in _shards(root, "*")})


def read_rows(root: str | Path, probe_key: str | None = None) -> pa.Table:
    """Read the scores of one probe, or of all, each of them once and in no particular order.

    Where a score was written twice, as by a job that was restarted, the earliest row stands: what
    was selected once stays selected. Rows of one time are ranked by their other columns, so that
    names and numbers of files never matter.
    """
    return _read(root, probe_key or "*", SCHEMA.names)


def counts(
    root: str | Path,
    keys: Sequence[str],
    content_hashes: Sequence[str],
    *,
    condition: Condition,
    how: How,
) -> Counts:
    """Sum what these probes counted on each of these samples, under one condition.

    The arrays follow `content_hashes`; no Python object is made per sample, because this is asked
    of whole data sets.
    """
    asked = (pc.field("condition") == condition) & (pc.field("how") == how)
    columns = [name for name in SCHEMA.names if name != "sample_id"]
    wanted = pa.array(content_hashes, pa.string())
    n = np.zeros(len(wanted), dtype=np.int64)
    n_correct = np.zeros_like(n)
    for key in sorted(set(keys)):
        table = _read(root, key, columns, asked)
        place = pc.fill_null(pc.index_in(table["content_hash"], value_set=wanted), -1)
        place = np.asarray(place, dtype=np.int64)
        known = place >= 0
        for total, name in ((n, "n"), (n_correct, "n_correct")):
            np.add.at(total, place[known], np.asarray(table[name])[known])
    first = np.asarray(pc.index_in(wanted, value_set=wanted), dtype=np.int64)
    return Counts(n=n[first], n_correct=n_correct[first])  # equal contents share their scores


def _read(
    root: str | Path, probe_key: str, columns: list[str], asked: pc.Expression | None = None
) -> pa.Table:
    shards = [str(path) for path in _shards(root, probe_key)]
    if not shards:
        return SCHEMA.empty_table().select(columns)
    dataset = ds.dataset(shards, schema=SCHEMA, format="parquet")
    return _earliest_of_each(dataset.to_table(columns=columns, filter=asked).unify_dictionaries())


def _earliest_of_each(table: pa.Table) -> pa.Table:
    """Drop rows that repeat the identity of another one."""
    identity = np.zeros(len(table), dtype=np.int64)
    for name in IDENTITY:
        codes = _codes(table[name])
        identity = identity * (codes.max(initial=0) + 1) + codes
    ordered = np.sort(identity)
    if (ordered[1:] != ordered[:-1]).all():
        return table
    ranks = ["time", *sorted({*table.column_names} - {*IDENTITY, "time"})]
    _, place, times = np.unique(identity, return_inverse=True, return_counts=True)
    repeated = times[place] > 1
    rivals = table.append_column("identity", pa.array(identity)).filter(pa.array(repeated))
    rivals = rivals.sort_by([(name, "ascending") for name in ranks])
    _, earliest = np.unique(rivals["identity"], return_index=True)
    rivals = rivals.take(pa.array(earliest)).select(table.column_names)
    return pa.concat_tables([table.filter(pa.array(~repeated)), rivals])


def _codes(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Number the distinct values of a column."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    return np.asarray(column.combine_chunks().indices, dtype=np.int64)


def _sync_directory(folder: Path) -> None:
    """Make a new name in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shards(root: str | Path, probe_key: str) -> list[Path]:
    """List the finished shards; a glob that ends in .parquet passes over what a crash left."""
    return sorted(Path(root).glob(f"probe={probe_key}/part-*.parquet"))
