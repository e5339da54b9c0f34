"""JSON that others wrote is read in one way."""

import json
from pathlib import Path

import pytest

from datamodules.contamination.clean_view import read_view
from datamodules.contribution.probe_cache import probes
from datamodules.loading.traces import read_traces
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import offered
from datamodules.sources.fields.hints import held_in
from datamodules.sources.row_files import read_rows
from datamodules.truth import read_fields
from untrusted.json_text import json_of


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 2}}',
        '[{"answer": 1, "answer ": 2}]',
        '{"answer": 1, "ａｎｓｗｅｒ": 2}',
        '{"a": 1, "\\u0061": 2}',
        f'{{"a": {"7" * 5_000}}}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"a": "\\ud83d"}',
        '{"\\ude00": 1}',
        '{"a": 1}{"a": 1}',
        "{'a': 1}",
        "",
    ],
)
def test_what_can_be_read_in_two_ways_or_in_none_is_refused(text):
    with pytest.raises(ValueError):
        json_of(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "latin-1"])
def test_bytes_are_utf_8(encoding):
    with pytest.raises(ValueError):
        json_of('{"é": 1}'.encode(encoding))
    assert json_of('\ufeff{"é": 1}'.encode()) == {"é": 1}


def test_what_is_read_is_what_python_reads():
    text = '{"a": [1, 2.5, -0.0, 1e3, null, true, "\\ud83d\\ude00", {"b": {}}], "A": 12345678901}'
    assert json_of(text) == json.loads(text)


TWICE = '{"id": "q", "id": "p"}'


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "b.jsonl"])
def test_a_row_that_names_a_field_twice_is_one_bad_row(tmp_path, name):
    """In a list, too: whoever read the whole file in one go would refuse all of it."""
    lines = ['{"a": 1}', '{"a": 1, "b": {"c": 1, "c": 2}}', '{"a": 2}']
    listed = f"[{', '.join(lines)}]"
    (tmp_path / name).write_text("\n".join(lines) if name == "a.jsonl" else listed)
    found = [one.row for one in read_rows(tmp_path / name)]
    assert [row.reason if isinstance(row, RowError) else row for row in found] == [
        {"a": 1},
        "malformed",
        {"a": 2},
    ]
    assert "'c' twice" in str(found[1])


def test_a_table_that_names_a_column_twice_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("answer,ａnswer\nA,B\n")
    with pytest.raises(ValueError, match="names the columns, each once"):
        list(read_rows(tmp_path / "a.csv"))


@pytest.mark.parametrize(
    "text", ['{"A": "x", "A": "y"}', "{'A': 'x', 'A': 'y'}", '{"A": 1, "A ": 2}']
)
def test_options_in_a_cell_that_name_a_letter_twice_are_refused(text):
    assert held_in(text) == text
    with pytest.raises(RowError, match="is no list"):
        offered(text)


def test_every_file_that_is_read_refuses_a_name_twice(tmp_path):
    trace = '"content_hash": "c", "number": 0, "completion": "A", "kept": true}'
    (tmp_path / "traces.jsonl").write_text(f'{{"id": "q", "id": "p", {trace}\n')
    (tmp_path / "truth.jsonl").write_text(f'{TWICE[:-1]}, "evidence": "text"}}\n')
    (tmp_path / "view.jsonl").write_text(f"{TWICE}\n")
    (tmp_path / "probe=1").mkdir()
    (tmp_path / "probe=1" / "probe.json").write_text(TWICE)
    for read in (
        lambda: read_traces(tmp_path / "traces.jsonl"),
        lambda: read_fields(tmp_path / "truth.jsonl", ("evidence",)),
        lambda: read_view(tmp_path / "view.jsonl"),
        lambda: probes(tmp_path),
    ):
        with pytest.raises(ValueError, match="'id' twice"):
            read()


def test_a_trace_with_half_a_character_is_no_trace(tmp_path):
    row = {"id": "q", "content_hash": "c", "number": 0, "completion": "\ud83d", "kept": True}
    (tmp_path / "traces.jsonl").write_text(f"{json.dumps(row)}\n")
    with pytest.raises(ValueError, match="is no trace"):
        read_traces(Path(tmp_path / "traces.jsonl"))
