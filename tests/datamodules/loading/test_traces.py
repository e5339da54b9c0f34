"""Traces that were kept take the place of the completions of the manifest."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from datamodules.loading.traces import Trace, read_traces, with_traces
from tests.conftest import make_sample

ROW = {"id": "a", "content_hash": "c1", "number": 2, "completion": "A 7.", "kept": True}


def write(tmp_path: Path, *rows: dict[str, object], end: str = "\n") -> Path:
    file = tmp_path / "traces.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + end)
    return file


def test_kept_traces_are_read_by_question_in_their_order(tmp_path):
    """Of three traces of one question the second was dropped; other fields do not matter."""
    rows = [
        ROW | {"dropped": ""},
        ROW | {"number": 3, "kept": False, "dropped": "wrong"},
        ROW | {"number": 5, "completion": "An 8."},
        ROW | {"id": "b", "content_hash": "c2", "number": 0},
    ]
    traces = read_traces(write(tmp_path, *rows))
    assert {key: [trace.number for trace in found] for key, found in traces.items()} == {
        ("a", "c1"): [2, 5],
        ("b", "c2"): [0],
    }
    assert traces["a", "c1"][0] == Trace(id="a", content_hash="c1", number=2, completion="A 7.")


@pytest.mark.parametrize("end", ['\n{"id": "b", "content_h', '\n{"id": "b"}', "\n", ""])
def test_a_torn_last_line_is_no_trace(tmp_path, end):
    assert [len(found) for found in read_traces(write(tmp_path, ROW, end=end)).values()] == [1]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"id": "b", "content_h', "JSONDecodeError"),
        (json.dumps(ROW | {"number": "2"}), "number is '2'"),
        (json.dumps({name: value for name, value in ROW.items() if name != "kept"}), "'kept'"),
        ("[1]", "TypeError"),
    ],
)
def test_a_line_that_is_no_trace_is_an_error_with_its_number(tmp_path, line, told):
    file = write(tmp_path, ROW, end=f"\n{line}\n" + json.dumps(ROW) + "\n")
    with pytest.raises(ValueError, match=rf"traces.jsonl:2 is no trace \(.*{told}.*mend it"):
        read_traces(file)


def test_missing_traces_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"There are no traces in .*none\.jsonl.*sft\.traces"):
        read_traces(tmp_path / "none.jsonl")


def trace(number: int, completion: str, name: str, content_hash: str) -> Trace:
    return Trace(id=name, content_hash=content_hash, number=number, completion=completion)


def test_each_trace_is_a_sample_of_its_own():
    """Two of the third question and one of the first. The second has none of its own: one question
    says the same under another id, and one had its id when it said another thing."""
    samples = [
        replace(make_sample(name), content_hash=content_hash, completion="old")
        for name, content_hash in (("a", "c1"), ("b", "c2"), ("c", "c3"))
    ]
    given = [
        trace(4, "four", "c", "c3"),
        trace(1, "one", "c", "c3"),
        trace(0, "nought", "a", "c1"),
        trace(0, "same", "d", "c2"),
        trace(0, "before", "b", "c4"),
    ]
    traces = {(one.id, one.content_hash): [] for one in given}
    for one in given:
        traces[one.id, one.content_hash].append(one)
    found = with_traces(samples, traces)
    assert [(one.id, one.completion) for one in found] == [
        ("a#0", "nought"),
        ("c#4", "four"),
        ("c#1", "one"),
    ]
    assert replace(found[1], id="c", completion="old") == samples[2]


def test_nothing_to_imitate_is_an_error():
    with pytest.raises(ValueError, match=r"none of 1 questions \(first: 'a'\).*of 2 questions"):
        with_traces([make_sample("a")], {("b", "c1"): [trace(0, "x", "b", "c1")], ("b", "c2"): []})


def test_filters_that_kept_nothing_are_told_from_other_questions():
    with pytest.raises(
        ValueError, match=r"not one trace was kept.*Loosen distill.rejection_sampling.diff"
    ):
        with_traces([make_sample("a")], {})
