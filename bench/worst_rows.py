"""The worst rows of manifests that can be written, for `python -m bench.worst`.

A row is as wide and as long as `datamodules/sources/bounds.py` lets it be, or goes beyond that and
has to be refused, between two good ones.
"""

import csv
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.worst_case import Case
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.bounds import LARGEST_ROW, LONGEST_ROW, LONGEST_TEXT, MOST_VALUES
from datamodules.sources.formats import format_of
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from datamodules.sources.row_files import count_rows, read_rows
from tests.format_media import FIXTURES, values, with_media

FEW = MOST_VALUES // 2 - 2

GOOD = {"id": "a", "question": "What?", "answer": "x", "answer_type": "text"}


def _read(folder: Path, name: str) -> str:
    found = Counter(
        one.row.reason if isinstance(one.row, RowError) else "read"
        for one in read_rows(folder / name)
    )
    return ", ".join(f"{number} {kind}" for kind, number in found.items())


def _rows(folder: Path, name: str) -> str:
    """Read the rows of a file, and count them without reading."""
    return f"{_read(folder, name)}, of {count_rows(folder / name)}"


def _questions(
    folder: Path, name: str, *, indexed: bool = False, excerpt: Path | None = None
) -> str:
    """Read the questions of a manifest, in the format of an excerpt where there is one."""
    bad = Quarantine(max_bad_share=1.0)
    try:
        format = "auto" if excerpt is None else format_of(excerpt).name
        if indexed:
            found = len(open_samples(folder / name, folder, bad, above=0))
        else:
            found = len(read_manifest(folder / name, folder, bad, format=format))
    except ValueError as error:
        return f"refused: {error}"
    return f"{found} read, " + ", ".join(f"{n} {reason}" for reason, n in bad.counts.items())


def _between(folder: Path, make: Callable[[], bytes]) -> None:
    good = json.dumps(GOOD).encode()
    (folder / "a.jsonl").write_bytes(b"\n".join((good, make(), good.replace(b'"a"', b'"b"'), b"")))


_read_lines = partial(_rows, name="a.jsonl")
_read_table = partial(_rows, name="a.csv")


def _line(name: str, make: Callable[[], bytes]) -> Case:
    prepare = partial(_between, make=make)
    return Case(room="lines", name=name, prepare=prepare, run=_read_lines)


def _endless(folder: Path) -> None:
    """Write a line of zeros that takes no place."""
    with (folder / "a.jsonl").open("wb") as file:
        file.truncate(256 << 20)


LINES = (
    _line("as long as allowed", lambda: b'{"a": "' + b"x" * (LONGEST_ROW - 9) + b'"}'),
    _line("200 MB", lambda: b'{"a": "' + b"x" * 200_000_000 + b'"}'),
    _line("as many values as allowed", lambda: b'{"a": [' + b"[]," * FEW + b"0]}"),
    _line("11 million values", lambda: b'{"a": [' + b"[]," * 11_000_000 + b"0]}"),
    _line("100,000 fields", lambda: json.dumps({f"k{n}": n for n in range(99_000)}).encode()),
    _line("a field 100,000 times", lambda: b"{" + b'"k":1,' * 99_000 + b'"k":1}'),
    _line("100,000 deep", lambda: b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    _line("a number of 10 million digits", lambda: b'{"a": ' + b"7" * 10_000_000 + b"}"),
    _line("a fraction of 10 million digits", lambda: b'{"a": 0.' + b"7" * 10_000_000 + b"}"),
    _line("escapes", lambda: b'{"a": "' + b"\\u00e9" * (LONGEST_ROW // 6 - 9) + b'"}'),
    _line("half characters", lambda: b'{"a": "' + b"\\ud83d" * (LONGEST_ROW // 6 - 9) + b'"}'),
    _line("a name of marks", lambda: json.dumps({"\u0316\u0301" * 100_000: 1}).encode()),
    Case(room="lines", name="256 MB of zeros", prepare=_endless, run=_read_lines),
)


def _table(folder: Path, cell: str, times: int) -> None:
    (folder / "a.csv").write_text(f"a,b\n1,2\n{cell * times}\n3,4\n")


def _csv(name: str, cell: str, times: int) -> Case:
    prepare = partial(_table, cell=cell, times=times)
    return Case(room="table", name=name, prepare=prepare, run=_read_table)


def _huge(folder: Path) -> None:
    with (folder / "a.json").open("wb") as file:
        file.write(b"[   ")
        file.truncate(2 << 30)


SHAPES = {
    "lists": '{"question": "b", "a": [' + "[]," * 10_000_000 + "0]}",
    "objects": '{"question": "b", "a": [' + "{}," * 10_000_000 + "0]}",
    "fields": '{"question": "b"' + ',"k":1' * 5_000_000 + "}",
    "named objects": '{"question": "b"' + ',"k":{}' * 4_300_000 + "}",
    "texts": '{"question": "b", "a": [' + '"",' * 10_000_000 + "0]}",
    "quotes": '{"question": "b", "a": "' + '\\"' * 15_000_000 + '"}',
    "depth": '{"question": "b", "a": ' + "[" * 15_000_000 + "]" * 15_000_000 + "}",
    "some depth": '{"question": "b", "a": [' + ("[" * 30 + "]" * 30 + ",") * 500_000 + "0]}",
    "an open text": '{"question": "b", "a": "' + '\\"' * 15_000_000,
}
"""Rows of some 30 MB, whatever stands around them."""

AROUND = {
    "in a list": f"[{json.dumps(GOOD)}, %s, {json.dumps(GOOD)}]",
    "by its name": f'{{"p": {json.dumps(GOOD)}, "q": %s, "r": {json.dumps(GOOD)}}}',
    "in a part": f'{{"questions": [{json.dumps(GOOD)}, %s, {json.dumps(GOOD)}]}}',
    "alone": "%s",
}


def _shaped(folder: Path, shape: str, around: str) -> None:
    (folder / "a.json").write_text(AROUND[around] % SHAPES[shape])


def _wide(folder: Path) -> None:
    with (folder / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[f"c{n}" for n in range(1_000)], ["x" * 30_000] * 1_000])


def _digits(folder: Path) -> None:
    good = json.dumps(GOOD)
    (folder / "a.json").write_text(f'[{good}, {{"a": {"7" * 1_000_000}}}, {good}]')


WHOLE = (
    Case(room="json", name="a number of a million digits", prepare=_digits,
         run=partial(_rows, name="a.json")),
    Case(room="json", name="2 GB", prepare=_huge, run=partial(_questions, name="a.json")),
    *(
        Case(room="json", name=f"30 MB of {shape}, {around}", run=partial(_read, name="a.json"),
             prepare=partial(_shaped, shape=shape, around=around))
        for shape in SHAPES for around in AROUND
    ),
    Case(room="table", name="1,000 cells of 30 kB", prepare=_wide, run=_read_table),
    _csv("10 million cells", ",", 10_000_000),
    _csv("a cell of 200 MB", "x", 200_000_000),
    _csv("quotes", '""', 500_001),
)  # fmt: skip


Columns = Callable[[], dict[str, object]]


def _packed(folder: Path, make: Columns, how: Mapping[str, Any]) -> None:
    pq.write_table(pa.table(make()), folder / "a.parquet", compression="zstd", **how)


def _parquet(name: str, make: Columns, **how: Any) -> Case:
    run = partial(_questions, name="a.parquet")
    return Case(room="parquet", name=name, prepare=partial(_packed, make=make, how=how), run=run)


def _in_list(inner: pa.Array) -> dict[str, object]:
    """Put all values but the outer ones into the row in the middle."""
    ends = pa.array([0, 1, len(inner) - 1, len(inner)], pa.int32())
    return {"id": ["a", "b", "c"], "options": pa.ListArray.from_arrays(ends, inner)}


def _media(size: int) -> dict[str, object]:
    held = np.random.default_rng(0).bytes(size)
    return {"id": ["a", "b"], "image": [{"bytes": held}, {"bytes": b"\xff"}]}


def _alike(count: int, size: int) -> dict[str, object]:
    ids, places = pa.array([f"{n}" for n in range(count)]), pa.array(np.zeros(count, "int32"))
    return {"id": ids, "question": pa.DictionaryArray.from_arrays(places, pa.array(["x" * size]))}


def _long(size: int) -> dict[str, object]:
    return {"id": ["a", "b"], "question": ["x" * size, "q"]}


def _going_on() -> dict[str, object]:
    return {"id": [*"abcdefgh"], "question": ["x" * 8_000_000 + str(n) for n in range(8)]}


PLAIN = {"use_dictionary": False, "write_statistics": False}
DELTA = PLAIN | {"column_encoding": {"question": "DELTA_BYTE_ARRAY", "id": "PLAIN"}}

PARQUET = (
    _parquet("media as large as allowed", lambda: _media(LARGEST_ROW)),
    _parquet("media of 100 MB", lambda: _media(100_000_000)),
    _parquet("a text as long as a row", lambda: _long(LONGEST_ROW - 100), **PLAIN),
    _parquet("a text of 300 MB in 10 kB", lambda: _long(300_000_000), **PLAIN),
    _parquet("100 million values in 1 kB", lambda: _in_list(pa.array(np.zeros(100_000_000, bool)))),
    _parquet("1 kB a million times", lambda: _in_list(pa.array(["x" * 1_000] * 1_000_000))),
    _parquet("as many values as allowed", lambda: _in_list(pa.array(["x"] * (MOST_VALUES - 9)))),
    _parquet("50,000 texts of 1 MB in 117 kB", lambda: _alike(50_000, 1_000_000)),
    _parquet("50 million rows", lambda: {"id": np.zeros(50_000_000, "int8")}),
    _parquet("20,000 columns", lambda: {f"c{n}": [1] for n in range(20_000)}),
    _parquet("texts that go on from the one before", _going_on, **DELTA),
)


def _published(folder: Path, fixture: Path) -> None:
    """Widen the first row of an excerpt: long texts, and more fields than any has."""
    copy = with_media(fixture, folder)
    held = next(values(fixture)) if fixture.suffix == ".jsonl" else json.loads(fixture.read_text())
    copy.write_text(json.dumps(_widened(held)))


def _widened(held: object) -> object:
    """Make the texts of a value long, those that are no names, and its objects wide."""
    if isinstance(held, dict):
        wide = {name: _widened(value) for name, value in held.items()}
        return wide | {f"note{n}": "a b. " * 30 for n in range(300)}
    if isinstance(held, list):
        return [_widened(item) for item in held]
    if isinstance(held, str) and " " in held:
        return (held + " (A) x, B. y: 1.5 ") * (LONGEST_TEXT // (len(held) + 18))
    return held


def _adapter(fixture: Path) -> Case:
    return Case(
        room="adapters",
        name=fixture.stem,
        prepare=partial(_published, fixture=fixture),
        run=partial(_questions, name=fixture.name, excerpt=fixture),
    )


ADAPTERS = tuple(
    _adapter(path) for path in sorted(FIXTURES.iterdir()) if path.suffix in (".json", ".jsonl")
)


def _long_lines(folder: Path) -> None:
    rows = [GOOD | {"id": f"q{n}", "question": f"{n} " + "x" * 100_000} for n in range(50)]
    (folder / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def _tampered(folder: Path, seed: int) -> None:
    """Make an index, and change bytes of its table."""
    _long_lines(folder)
    _questions(folder, "a.jsonl", indexed=True)
    (file,) = folder.glob("index/*/rows.arrow")
    content, dice = bytearray(file.read_bytes()), random.Random(seed)
    for _ in range(8):
        content[dice.randrange(len(content))] ^= 255
    file.write_bytes(content)


INDEX = tuple(
    Case(
        room="index",
        name=f"changed in 8 bytes, seed {seed}",
        prepare=partial(_tampered, seed=seed),
        run=partial(_questions, name="a.jsonl", indexed=True),
    )
    for seed in range(3)
)
