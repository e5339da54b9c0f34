"""Rows of metrics and rollouts: whole, exact, and dropped where a run goes on from before them."""

import json
import math

import pytest

from runtime.metrics_log import MetricsLog, append_jsonl


def test_metrics_are_read_back_bit_for_bit(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    values = {"loss": 0.1 + 0.2, "tiny": 5e-324, "third": 1 / 3}
    log.append(7, values)
    assert json.loads(log.path.read_text()) == {"step": 7, **values}
    log.append(8, {"loss": math.nan})
    assert math.isnan(json.loads(log.path.read_text().splitlines()[1])["loss"])


def test_a_resumed_run_drops_rows_behind_its_checkpoint(tmp_path):
    """Rows of steps 1 to 5 and half a row: a checkpoint of step 3 leaves three rows."""
    log = MetricsLog(tmp_path / "metrics.jsonl")
    for step in range(1, 6):
        log.append(step, {"loss": step / 7})
    whole = log.path.read_text().splitlines(keepends=True)
    log.path.write_text("".join(whole) + '{"step": 3, "lo')
    log.truncate_after(3)
    assert log.path.read_text() == "".join(whole[:3])
    log.append(4, {"loss": 4 / 7})
    assert log.path.read_text() == "".join(whole[:4])


def test_a_run_that_starts_over_drops_every_row(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.truncate_after(-1)  # nothing there yet
    log.append(0, {"val/accuracy": 0.25})
    log.truncate_after(-1)
    assert log.path.read_text() == ""
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_rows_of_any_text_stay_on_one_line(tmp_path):
    row = {"id": "a", "completion": 'two\nlines, a "quote" and ü'}
    append_jsonl(tmp_path / "rollouts.jsonl", row)
    append_jsonl(tmp_path / "rollouts.jsonl", row)
    lines = (tmp_path / "rollouts.jsonl").read_text().split("\n")
    assert [json.loads(line) for line in lines[:2]] == [row, row]
    assert lines[2:] == [""]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"\xff", "utf-8"),
        (b"[1]", "list indices"),
        (b"{}", "'step'"),
        (b'{"step": "3"}', "its step is '3'"),
        (b'{"step": true}', "its step is True"),
        (b"7", "int"),
        (b"[" * 100_000, "without end"),
    ],
)
def test_a_damaged_row_is_named_and_nothing_is_dropped(tmp_path, line, reason):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    whole = b'{"step": 1}\n' + line + b'\n{"step": 9}\n'
    log.path.write_bytes(whole)
    with pytest.raises(
        ValueError, match=rf"metrics.jsonl:2 is damaged \(.*{reason}.*delete the li"
    ):
        log.truncate_after(3)
    assert log.path.read_bytes() == whole
