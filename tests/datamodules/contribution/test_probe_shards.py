"""Shards of a probe cache: what lies in the place of one is named, and nothing is waited for."""

import math
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.contribution.probe_cache import describe_probe, probes, write_shard
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.probe_shards import SCHEMA, checksum
from tests.datamodules.contribution.test_probe_scores import KEY, content, row


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """End a test that waits for a pipe."""
    signal.alarm(60)
    yield
    signal.alarm(0)


def forged(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Write a shard whose checksum is right and whose rows are not."""
    table = pq.read_table(path).cast(SCHEMA)
    file = pa.BufferOutputStream()
    pq.write_table(change(table), file)
    data = file.getvalue().to_pybytes()
    path.unlink()
    path.with_name(f"part-1-{'0' * 32}-{checksum(data)}.parquet").write_bytes(data)


def with_column(name: str, values: list[object], kind: pa.DataType | None = None):
    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        kept = kind or SCHEMA.field(name).type
        return table.set_column(place, pa.field(name, kept), pa.array(values, kept))

    return change


FORGERIES = {
    "more right than asked": with_column("n_correct", [9]),
    "more right and unparsed": with_column("n_unparsed", [2]),
    "fewer than none": with_column("n_correct", [-1]),
    "no answer": with_column("n", [0]),
    "numbered below 0": with_column("first", [-3]),
    "an order below 0": with_column("option_seed", [-1]),
    "no number of answers": with_column("n", [None]),
    "no content": with_column("content_hash", [None]),
    "no time": with_column("time", [math.nan]),
    "an endless time": with_column("time", [math.inf]),
    "counts as floats": with_column("n", [3.0], pa.float64()),
    "counts as words": with_column("n", ["3"], pa.string()),
    "a short hash": with_column("content_hash", [b"short"], pa.binary()),
    "a column less": lambda table: table.drop_columns(["n_correct"]),
    "another table": lambda table: pa.table({"a": [1]}),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_rows_that_no_probe_writes_are_named_whatever_their_checksum(tmp_path, forgery):
    forged(write_shard(tmp_path, [row(1)]), FORGERIES[forgery])
    with pytest.raises(ValueError, match=r"parquet is damaged or no shard .*take it away"):
        Scores.load(tmp_path, KEY, [content(1)])


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def as_link(target: Path) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return make


def as_loop(path: Path) -> None:
    as_link(path)(path)


HARMS = {
    "a pipe": as_pipe,
    "a directory": as_directory,
    "a link to endless zeros": as_link(Path("/dev/zero")),
    "a link to itself": as_loop,
    "a terabyte of nothing": lambda path: os.truncate(path, 1 << 40),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path, harm):
    path = write_shard(tmp_path, [row(1)])
    HARMS[harm](path)
    with pytest.raises(ValueError, match=rf"{path.name} is damaged or no shard .*take it away"):
        Scores.load(tmp_path, KEY, [content(1)])


@pytest.mark.parametrize("harm", HARMS)
def test_a_description_that_is_no_file_is_named_and_not_waited_for(tmp_path, harm):
    describe_probe(tmp_path, KEY, {"model": "tiny"})
    HARMS[harm](tmp_path / f"probe={KEY}" / "probe.json")
    with pytest.raises(ValueError, match=r"probe.json is damaged .*delete it"):
        probes(tmp_path)


def test_a_link_to_a_good_shard_is_read(tmp_path):
    path = write_shard(tmp_path, [row(1)])
    moved = tmp_path / "elsewhere"
    path.rename(moved)
    path.symlink_to(moved)
    assert Scores.load(tmp_path, KEY, [content(1)]).n.tolist() == [3]
