"""Read one file of probe counts whole and check it, or say what is wrong with it."""

import hashlib
import logging
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from runtime.caching import read_regular

log = logging.getLogger(__name__)

MOST_BYTES = 1 << 32
"""Largest size of a shard; those of millions of rows are a hundredth of it."""

_WORD = pa.dictionary(pa.int32(), pa.string())

SCHEMA = pa.schema(
    {
        "sample_id": pa.string(),
        "content_hash": pa.binary(16),
        "probe_key": _WORD,
        "condition": _WORD,
        "how": _WORD,
        "option_seed": pa.int64(),
        "first": pa.int32(),
        "n": pa.int32(),
        "n_correct": pa.int32(),
        "n_unparsed": pa.int32(),
        "option_logprobs": pa.list_(pa.float32()),
        "shard": _WORD,
        "time": pa.float64(),
    }
)


@cache
def warn_unread(path: Path, reason: str) -> None:
    """Log once that a file may not be read."""
    log.warning("%s cannot be read (%s), and what it holds counts as not asked", path, reason)


def checksum(content: bytes) -> str:
    """Return the hash that a shard's name ends with: Parquet does not check all of its bytes."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def read_shard(shard: Path, key: str, columns: Sequence[str]) -> pa.Table | None:
    """Read one shard, or say what is wrong with it and what to do; None where it may not be read.

    Shards are many and small: threads and read-ahead cost more than they save.
    """
    if re.fullmatch(r"part-\d+-[0-9a-f]{32}", shard.stem):
        raise ValueError(
            f"{shard} was written by an older version, whose rows do not say which answers they "
            f"are of, but counts must add up: delete {shard.parent} and probe again."
        )
    try:
        content = read_regular(shard, MOST_BYTES, linked=True)
        if not shard.stem.endswith(f"-{checksum(content)}"):
            raise ValueError("its bytes do not have the checksum in its name")
        with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
            table = file.read(list(columns), use_threads=False).select(list(columns))
        _check_rows(table)
    except FileNotFoundError:
        raise  # merged into another
    except PermissionError as error:
        warn_unread(shard, str(error.strerror))
        return None
    except (ValueError, KeyError, OSError, pa.ArrowException) as error:
        raise ValueError(
            f"{shard} is damaged or no shard ({error}), but every *.parquet in {shard.parent} is "
            "read: restore it, or take it away and repeat the probe, which asks again what is "
            "missing."
        ) from error
    strangers = {*table["probe_key"].unique().to_pylist()} - {key}
    if strangers:
        raise ValueError(
            f"{shard} holds answers of probe {', '.join(sorted(strangers))}, but lies with those "
            f"of {key}: move it to the directory of its own probe."
        )
    return table


def _check_rows(table: pa.Table) -> None:
    """Refuse rows that no probe writes: wrong types, nulls, or counts that do not add up."""
    for name in table.column_names:
        column = table[name]
        if column.type != SCHEMA.field(name).type:
            raise ValueError(f"{name} is of type {column.type}, not {SCHEMA.field(name).type}")
        if column.null_count and name != "option_logprobs":
            raise ValueError(f"{column.null_count} rows have no {name}")
    numbers = {
        name: np.asarray(table[name])
        for name in ("n", "n_correct", "n_unparsed", "first", "option_seed", "time")
        if name in table.column_names
    }
    small = [name for name, values in numbers.items() if (values < (name == "n")).any()]
    if small:
        raise ValueError(f"rows with a negative {small[0]}, or of no answer")
    if not np.isfinite(numbers.get("time", np.zeros(0))).all():
        raise ValueError("rows of no time")
    if {"n", "n_correct", "n_unparsed"} <= numbers.keys():
        judged = numbers["n_correct"].astype(np.int64) + numbers["n_unparsed"]
        if (judged > numbers["n"]).any():
            raise ValueError("rows with more right and unparsed answers than answers")
    if "option_logprobs" in table.column_names:
        scores = pc.list_flatten(table["option_logprobs"])
        if scores.null_count or pc.any(pc.is_nan(scores)).as_py():
            raise ValueError("options whose log-probability is no number")
