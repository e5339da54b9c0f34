"""No row takes more time or memory than a row may, whatever file it comes in."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.sources import bounds, json_files
from datamodules.sources import parquet as shards
from datamodules.sources import row_files as containers
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from datamodules.sources.row_files import count_rows, own_lines, read_rows
from tests.datamodules.sources.test_row_files import rows, written
from tests.house.test_architecture import ROOT


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a row have 2,000 bytes, so that what is beyond it is small too."""
    for module in (bounds, containers, shards):
        monkeypatch.setattr(module, "LONGEST_ROW", 2_000)
    return 2_000


@pytest.mark.parametrize("length", [3_000, 5_000_000])
def test_a_line_that_is_too_long_is_one_bad_row_between_good_ones(tmp_path, short, length):
    long = b'{"a": "' + b"x" * length + b'"}\n'
    path = written(tmp_path / "a.jsonl", b'{"a": 1}\n' + long + b'{"a": 2}\n' + long.strip())
    assert rows(path) == [{"a": 1}, "too_large", {"a": 2}, "too_large"]
    assert [one.number for one in read_rows(path)] == [1, 2, 3, 4]
    assert count_rows(path) == 4


def test_a_line_as_long_as_allowed_is_read(tmp_path, short):
    fits = json.dumps({"a": "x" * (short - len('{"a": ""}'))}).encode()
    assert len(fits) == short
    assert rows(written(tmp_path / "a.jsonl", fits + b"\n" + fits)) == [
        json.loads(fits),
        json.loads(fits),
    ]


def test_no_more_of_a_line_is_held_than_shows_that_it_is_too_long(tmp_path, short):
    with (tmp_path / "a.jsonl").open("wb") as file:
        file.truncate(10_000_000)  # of zeros, and without a newline
    with (tmp_path / "a.jsonl").open("rb") as file:
        assert list(containers._lines(file)) == [None]
        assert file.tell() == 10_000_000


def test_a_line_of_our_own_files_is_bounded_too(tmp_path, short):
    path = written(tmp_path / "a.jsonl", b'{"a": 1}\n' + b"x" * 3_000 + b"\n")
    lines = own_lines(path)
    assert next(lines) == b'{"a": 1}\n'
    with pytest.raises(ValueError, match=r"a\.jsonl:2 has more than 2,000 bytes.* mend it"):
        next(lines)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is no file"):
        next(own_lines(tmp_path / "pipe"))


def test_a_row_of_a_list_that_is_too_long_is_one_bad_row(tmp_path, short):
    held = [{"a": 1}, {"a": "x" * 3_000}, {"a": 2}]
    path = written(tmp_path / "a.json", json.dumps(held).encode())
    assert rows(path) == [{"a": 1}, "too_large", {"a": 2}]


@pytest.mark.parametrize(
    "long", ["1," * 2_000, "x" * 3_000, '"' + "x" * 3_000 + '"', '"a\n' + "x" * 3_000 + '"']
)
def test_a_row_of_a_table_that_is_too_long_is_one_bad_row(tmp_path, short, long):
    path = written(tmp_path / "a.csv", f"a,b\n1,2\n{long}\n3,4\n".encode())
    assert rows(path)[0] == {"a": "1", "b": "2"}
    assert rows(path)[-1] == {"a": "3", "b": "4"}
    assert {row for row in rows(path)[1:-1] if row != "malformed"} == {"too_large"}


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_file_of_one_value_is_not_read_beyond_a_size(tmp_path, monkeypatch, name):
    monkeypatch.setattr(json_files, "LARGEST_JSON", 20)
    with pytest.raises(ValueError, match=r"one value of JSON of 31 bytes.*as \.jsonl"):
        rows(written(tmp_path / name, b'[{"a": 1}, {"a": 2}, {"a": 30}]'))


MANY = b'{"a": [' + b"[]," * 200_000 + b"[]]}"


@pytest.mark.parametrize(
    ("name", "content"), [("a.jsonl", MANY + b"\n"), ("a.json", b"[%b]" % MANY), ("b.json", MANY)]
)
def test_values_are_counted_before_they_are_made(tmp_path, monkeypatch, name, content):
    monkeypatch.setattr(json_files, "json_of", lambda *_, **__: pytest.fail("it was made"))
    assert rows(written(tmp_path / name, content)) == ["too_large"]


@pytest.mark.parametrize(
    "around",
    [
        "[{0}, {1}, {2}]",
        '{{"n": 1, "questions": [{0}, {1}, {2}]}}',
        '{{"p": {0}, "q": {1}, "r": {2}}}',
        '{{"n": 1, "data": {{"test": {{"p": {0}, "q": {1}, "r": {2}}}}}}}',
    ],
)
def test_a_row_that_is_too_large_spoils_no_other_of_its_json_file(tmp_path, around):
    good, many = '{"question": "?", "id": 1}', MANY.decode().replace("a", "question", 1)
    path = written(tmp_path / "a.json", around.format(good, many, good))
    first, second, third = rows(path)
    assert (first, second, third) == (json.loads(good), "too_large", json.loads(good))


@pytest.mark.parametrize("digits", [4_301, 1_000_000])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_number_without_end_is_one_bad_row(tmp_path, name, digits):
    lines = ['{"a": 1}', f'{{"a": {"7" * digits}}}', '{"a": 2}']
    text = "\n".join(lines) if name == "a.jsonl" else f"[{','.join(lines)}]"
    assert rows(written(tmp_path / name, text.encode())) == [{"a": 1}, "malformed", {"a": 2}]


def repeated(text: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(count, dtype="int32")), pa.array([text])
    )


def test_a_text_that_is_repeated_within_a_row_counts_as_often_as_it_comes(tmp_path):
    """5,000 references to 10 kB are 50 MB in a file of some kB, and its neighbors are good."""
    texts = pa.array(["x" * 10_000] * 5_000 + ["y", "n"])
    options = pa.ListArray.from_arrays(pa.array([0, 5_000, 5_002, 5_002], pa.int32()), texts)
    pq.write_table(pa.table({"options": options}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    assert rows(tmp_path / "a.parquet") == ["too_large", {"options": ["y", "n"]}, {"options": []}]


def test_values_within_a_row_of_parquet_are_counted(tmp_path):
    values = pa.array(np.zeros(300_001, dtype=bool))
    held = pa.ListArray.from_arrays(pa.array([0, 1, 300_001], pa.int32()), values)
    pq.write_table(pa.table({"a": held}), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [{"a": [False]}, "too_large"]


def test_values_are_counted_in_lists_of_every_kind(tmp_path):
    """One of a fixed size, a view, a tensor: 30 MB of them took 12 s and were then read."""
    flat = pa.array(np.zeros(300_000, dtype=np.int8))
    fixed = pa.FixedSizeListArray.from_arrays(flat, 300_000)
    tensor = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int8(), (300_000,)), fixed)
    view = pa.array([np.zeros(300_000, dtype=np.int8)], pa.list_view(pa.int8()))
    for held in (fixed, tensor, view):
        pq.write_table(pa.table({"a": held}), tmp_path / "a.parquet")
        assert rows(tmp_path / "a.parquet") == ["too_large"], held.type


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv"])
def test_values_are_counted_in_files_of_every_kind(tmp_path, name):
    many = json.dumps({"a": [[]] * 300_000})
    cell = '"' + "[]," * 40_000 + '"'  # in 131,072 characters
    table = f"a,b,c,d,e,f\n{','.join([cell] * 6)}\n"
    content = {"a.json": f"[{many}]", "a.jsonl": many, "a.csv": table}
    assert rows(written(tmp_path / name, content[name].encode())) == ["too_large"]


BEYOND = pa.array([2**62, 0], pa.int64())
UNMADE = {
    "a time after all calendars": BEYOND.view(pa.timestamp("us")),
    "a date after them": pa.array([2**31 - 1, 0], pa.int32()).view(pa.date32()),
    "a day of many hours": BEYOND.view(pa.time64("us")),
    "a span beyond all": BEYOND.view(pa.duration("s")),
    "a name twice": pa.array([[("a", 1), ("a", 2)], []], pa.map_(pa.string(), pa.int8())),
    "a name of bytes": pa.array([[(b"a", 1)], []], pa.map_(pa.binary(), pa.int8())),
    "bytes that are no text": pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(np.array([0, 1, 1], np.int32)), pa.py_buffer(b"\xff")]
    ),
}


@pytest.mark.parametrize("name", UNMADE)
def test_what_is_no_value_of_python_is_one_bad_row(tmp_path, name):
    pq.write_table(pa.table({"a": UNMADE[name], "b": ["x", "y"]}), tmp_path / "a.parquet")
    first, second = rows(tmp_path / "a.parquet")
    assert first == "malformed"
    assert isinstance(second, dict) and second["b"] == "y"


@pytest.mark.parametrize("zone", ["Foo/Bar", "+99:99", "../../etc"])
def test_a_zone_that_nobody_knows_spoils_rows_and_not_the_reading(tmp_path, zone):
    times = pa.array([0], pa.int64()).view(pa.timestamp("us", tz=zone))
    pq.write_table(pa.table({"a": times}), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == ["malformed"]


IN_LITTLE_ROOM = """
import sys
from pathlib import Path
from datamodules.sources import parquet as shards
from tests.datamodules.sources.test_bounds import rows
shards.ROOM = 2**26
print(rows(Path(sys.argv[1])))
"""


def test_what_unpacks_beyond_its_room_is_set_aside_with_what_is_behind_it(tmp_path):
    """80 million zeros take half a megabyte; the next row group is read all the same.

    In a process of its own, as runtime/console.py sets it up: one that has memory to spare from
    before needs none, and reads on.
    """
    many = pa.ListArray.from_arrays(
        pa.array([0, 1, 80_000_001, 80_000_002], pa.int32()),
        pa.array(np.zeros(80_000_002, dtype=bool)),
    )
    few = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array([True]))
    with pq.ParquetWriter(tmp_path / "a.parquet", pa.schema({"a": many.type})) as file:
        file.write_table(pa.table({"a": many}))
        file.write_table(pa.table({"a": few}))
    assert (tmp_path / "a.parquet").stat().st_size < 1_000_000
    command = [sys.executable, "-c", IN_LITTLE_ROOM, str(tmp_path / "a.parquet")]
    exact = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system"}
    done = subprocess.run(command, cwd=ROOT, env=exact, capture_output=True, text=True, check=True)
    assert done.stdout == "[{'a': [False]}, 'too_large', 'too_large', {'a': [True]}]\n"


def test_media_in_rows_are_read_up_to_their_own_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "LARGEST_ROW", 1_000)
    held = [{"image": {"bytes": b"\xff" * size}} for size in (1_000, 1_001)]
    pq.write_table(pa.Table.from_pylist(held), tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [held[0], "too_large"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": repeated("x" * 100_000, 900)}, "unpacks to more than 1,000 times"),
        ({"a": repeated("x", 100_000)}, "100,000 rows in .* takes more than a byte"),
        ({f"c{n}": [1] for n in range(1_001)}, "1,001 columns, but"),
        ({"answer": ["A"], "ａnswer": ["B"]}, "would go unread"),
    ],
)
def test_a_parquet_file_that_is_made_to_harm_says_so(tmp_path, table, message):
    pq.write_table(pa.table(table), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(ValueError, match=message):
        rows(tmp_path / "a.parquet")


def test_an_explanation_quotes_a_row_but_not_all_of_it(tmp_path, caplog):
    """An option of 100,000 letters in each of three rows, and as many fields that nobody reads."""
    held = {"question": "What?", "options": ["x" * 100_000, "y"], "answer": "z"}
    fields = {f"zork {n}": "He walks in. He goes out again. Then he sits." for n in range(500)}
    fields["audio"] = "a.wav"
    (tmp_path / "a.wav").write_bytes(b"sound")
    lines = [json.dumps(held | {"id": f"q{n}"}) for n in range(3)]
    lines.append(json.dumps({"question": "What?", "options": ["a", "b"], "answer": "a"} | fields))
    path = written(tmp_path / "a.jsonl", "\n".join(lines).encode())
    bad = Quarantine(max_bad_share=1.0, run_dir=tmp_path)
    read_manifest(path, tmp_path, bad, format="columns")
    assert len(bad) == 3
    assert (tmp_path / "quarantine.jsonl").stat().st_size < 10_000
    assert len(caplog.text) < 20_000
    assert "and 400 more" in caplog.text


def test_the_memory_of_the_process_is_bounded_only_while_rows_are_unpacked(tmp_path):
    import resource  # noqa: PLC0415

    before = resource.getrlimit(resource.RLIMIT_AS)
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "a.parquet")
    for one in read_rows(tmp_path / "a.parquet"):
        assert resource.getrlimit(resource.RLIMIT_AS) == before, one
