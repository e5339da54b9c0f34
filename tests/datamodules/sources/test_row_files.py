"""Containers: rows come out of each kind of file, and a bad one spoils no other."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datamodules.sources.answers.normalize import RowError
from datamodules.sources.manifest_files import manifest_path
from datamodules.sources.row_files import count_rows, read_rows


def rows(path: Path) -> list[object]:
    """What each row is; of a bad one, its reason."""
    found = [one.row for one in read_rows(path)]
    return [row.reason if isinstance(row, RowError) else row for row in found]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_lines_are_rows_numbered_as_an_editor_does(tmp_path):
    path = written(tmp_path / "a.jsonl", '{"a": 1}\n\n{"a": \n["a"]\n{"a": "\\ud83d"}\n{"a": 2}')
    assert rows(path) == [{"a": 1}, "malformed", "malformed", "malformed", {"a": 2}]
    found = list(read_rows(path))
    assert [one.place for one in found[:2]] == [f"{path}:1", f"{path}:3"]
    assert [one.number for one in found] == [1, 3, 4, 5, 6]


@pytest.mark.parametrize("line", [b'{"a": "\xff"}', b"[" * 100_000, '{"a": 1}'.encode("utf-16")])
def test_a_line_of_another_encoding_or_without_end_is_one_bad_row(tmp_path, line):
    content = b'{"a": 1}\n' + line.replace(b"\n", b"") + b'\n{"a": 2}\n'
    path = written(tmp_path / "a.jsonl", content)
    assert rows(path) == [{"a": 1}, "malformed", {"a": 2}]


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    path = written(tmp_path / "a.jsonl", b'\xef\xbb\xbf{"a": 1}\n')
    assert rows(path) == [{"a": 1}]


@pytest.mark.parametrize(
    "held", ['[{"a": 1}, 7, {"a": "é"}]', '{"info": {"n": 2}, "questions": [{"a": 1}, {"a": "é"}]}']
)
def test_a_json_file_is_a_list_or_an_object_around_one(tmp_path, held):
    path = written(tmp_path / "a.json", held)
    found = {str(one.place): one.row for one in read_rows(path)}
    assert found[f"{path}[0]"] == {"a": 1}
    assert [row for row in found.values() if not isinstance(row, RowError)][-1] == {"a": "é"}


def test_bytes_that_are_no_text_spoil_their_own_row_of_a_json_file(tmp_path):
    path = written(tmp_path / "a.json", b'[{"a": "\xff"}, {"a": 2}]')
    assert rows(path) == ["malformed", {"a": 2}]


@pytest.mark.parametrize(
    ("held", "text"),
    [
        ('[{"a": 1}', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('{"a": [{"b": 1}], "c": [{"b": 1}]}', "holds 2 lists of questions"),
        ('{"a": 1}', "holds 0 lists of questions"),
    ],
)
def test_a_json_file_without_its_one_list_says_so(tmp_path, held, text):
    with pytest.raises(ValueError, match=rf"a\.json {text}.*\.jsonl"):
        rows(written(tmp_path / "a.json", held))


def test_a_table_has_names_in_its_first_line_and_empty_cells_are_absent(tmp_path):
    path = written(tmp_path / "a.csv", 'a,b\n"x, y",2\n"two\nlines",\n1,2,3\n4\n')
    assert rows(path) == [{"a": "x, y", "b": "2"}, {"a": "two\nlines"}, "malformed", {"a": "4"}]
    assert [one.place for one in read_rows(path)][1] == f"{path}:4"


def test_tabs_part_the_cells_of_a_tsv(tmp_path):
    assert rows(written(tmp_path / "a.tsv", "a\tb\nx, y\t2\n")) == [{"a": "x, y", "b": "2"}]


def test_a_cell_that_is_too_long_or_no_text_is_one_bad_row(tmp_path):
    path = written(tmp_path / "a.csv", b"a\n" + b"x" * 200_000 + b"\n\xff\ngood\n")
    assert rows(path) == ["malformed", "malformed", {"a": "good"}]


@pytest.mark.parametrize("first", ["", "a,b,a", ",,"])
def test_a_table_without_names_of_columns_is_refused(tmp_path, first):
    with pytest.raises(ValueError, match=r"a\.csv begins with .*names the columns"):
        rows(written(tmp_path / "a.csv", f"{first}\n1,2,3\n"))


def test_shards_of_parquet_are_read_in_order_of_their_names(tmp_path):
    (tmp_path / "set").mkdir()
    for name, start in (("b", 2), ("a", 0)):
        held = [{"n": start, "media": {"bytes": b"\x00\xff"}}, {"n": start + 1, "media": None}]
        pq.write_table(pa.Table.from_pylist(held), tmp_path / "set" / f"{name}.parquet")
    found = list(read_rows(tmp_path / "set"))
    assert [one.row["n"] for one in found] == [0, 1, 2, 3]
    assert [one.number for one in found] == [1, 2, 3, 4]
    assert found[2].place == f"{tmp_path / 'set' / 'b.parquet'}[0]"
    assert found[0].row["media"]["bytes"] == b"\x00\xff"
    assert rows(tmp_path / "set" / "a.parquet") == [one.row for one in found[:2]]


def test_a_damaged_parquet_file_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"a\.parquet is not readable as Parquet"):
        rows(written(tmp_path / "a.parquet", b"PAR1 and no more"))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.parquet"])
def test_what_is_not_there_says_what_to_do(tmp_path, name):
    with pytest.raises(ValueError, match=r"There is no .*a\..*name a"):
        rows(tmp_path / name)


def test_an_empty_directory_holds_no_manifest(tmp_path):
    with pytest.raises(ValueError, match="no Parquet file"):
        rows(tmp_path)


def test_some_rows_are_read_without_the_others(tmp_path):
    """Of 7 rows every third is the 1st, 4th and 7th; bad ones between are not looked at."""
    lines = [json.dumps({"n": n}) if n % 3 == 0 else "{" for n in range(7)]
    path = written(tmp_path / "a.jsonl", "\n".join(lines))
    assert [one.row for one in read_rows(path, every=3)] == [{"n": 0}, {"n": 3}, {"n": 6}]


def test_rows_are_counted_good_and_bad(tmp_path):
    table = pa.Table.from_pylist([{"n": n} for n in range(5)])
    pq.write_table(table, tmp_path / "a.parquet")
    assert count_rows(tmp_path / "a.parquet") == 5
    assert count_rows(written(tmp_path / "a.jsonl", "{}\n\n{\n{}")) == 3
    assert count_rows(written(tmp_path / "a.csv", 'a\n"1\n2"\n3\n')) == 2


def test_a_name_is_that_of_lines_unless_it_has_an_ending_or_is_a_directory(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "train").mkdir()
    (tmp_path / "train.jsonl").touch()
    names = ("hard", "v1.5", "a.json", "b.tsv", "shards", "train")
    found = [manifest_path(tmp_path, name).name for name in names]
    assert found == ["hard.jsonl", "v1.5.jsonl", "a.json", "b.tsv", "shards", "train.jsonl"]


def test_a_quote_that_does_not_end_is_told_with_its_lines_and_never_dropped(tmp_path):
    """Unquoted, `"Now" she said` would lose its quotes; an open one would swallow other rows."""
    path = written(tmp_path / "a.tsv", 'a\tb\n"Now" she said\t1\n"x\ny"\t2\n"open\t3\nz\t4\n')
    assert rows(path) == ["malformed", {"a": "x\ny", "b": "2"}, "malformed"]
    assert [one.place for one in read_rows(path)][2] == f"{path}:5-6"


def test_quotes_are_doubled_within_quotes(tmp_path):
    path = written(tmp_path / "a.tsv", 'a\tb\r\n"""Now"" she\tsaid"\t"[""A"", ""B""]"\r\n')
    assert rows(path) == [{"a": '"Now" she\tsaid', "b": '["A", "B"]'}]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_table_in_utf_16_says_so(tmp_path, name):
    with pytest.raises(ValueError, match="UTF-8"):
        rows(written(tmp_path / name, "a,b\n1,2\n".encode("utf-16")))


def test_names_of_columns_are_bare(tmp_path):
    content = b"\xef\xbb\xbfa , b\r\n1,2\r\n"
    assert rows(written(tmp_path / "a.csv", content)) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.zip", "a.json.zst"])
def test_a_packed_file_is_to_be_unpacked(tmp_path, name):
    written(tmp_path / name, b"\x1f\x8b")
    with pytest.raises(ValueError, match=r"is packed.*unpack it"):
        rows(manifest_path(tmp_path, name))


def test_columns_of_parquet_may_hold_objects_lists_and_maps(tmp_path):
    table = pa.table(
        {
            "options": pa.array([["a", "b"]]),
            "audio": pa.array([{"bytes": b"\x00", "path": None}]),
            "images": pa.array([[("<image_1>", "a.png")]], type=pa.map_(pa.string(), pa.string())),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [
        {
            "options": ["a", "b"],
            "audio": {"bytes": b"\x00", "path": None},
            "images": {"<image_1>": "a.png"},
        }
    ]


def test_a_list_that_is_named_as_lines_is_a_list(tmp_path):
    path = written(tmp_path / "a.jsonl", '[\n  {"a": 1},\n  {"a": 2}\n]\n')
    assert rows(path) == [{"a": 1}, {"a": 2}]


def test_a_parquet_file_with_a_column_twice_says_so(tmp_path):
    table = pa.table([pa.array(["A"]), pa.array(["B"])], names=["answer", "answer"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="would go unread"):
        rows(tmp_path / "a.parquet")
