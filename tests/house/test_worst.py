"""The bench of worst rows: which rooms have cases, and what counts as too much."""

from pathlib import Path

import pytest

from bench.worst import BYTES, PATIENCE, Cost, cases, measured
from bench.worst_case import Case

ROOMS = (
    *("lines", "json", "table", "parquet", "adapters", "index", "subtitles", "questions", "fields"),
    *("cells", "known tests", "near", "prompts", "judges", "golds", "rewards", "official"),
    *("traces", "evidence"),
)


def test_every_reader_and_judge_of_text_has_cases():
    found = cases()
    assert {*ROOMS} <= {case.room for case in found}
    names = [(case.room, case.name) for case in found]
    assert len(set(names)) == len(names) > 100


@pytest.mark.parametrize(
    ("cost", "over"),
    [
        (Cost(0.99, 30.0, BYTES, "read"), False),
        (Cost(1.01, 1.1, 0, "read"), True),
        (Cost(0.1, 0.1, BYTES + 1, "read"), True),
        (Cost(0.0, PATIENCE, 0, "ended (too long)"), True),
    ],
)
def test_too_much_is_over_a_second_or_a_gigabyte_or_without_end(cost, over):
    assert cost.over is over


class Reply:
    def send(self, cost: Cost) -> None:
        self.cost = cost


@pytest.mark.parametrize("size", [0, 200_000_000])
def test_the_peak_of_a_case_is_its_own(monkeypatch, tmp_path, size):
    """Memory that is given back counts, and what was there before does not."""
    before = bytearray(100_000_000)
    case = Case(
        room="a", name="b", prepare=lambda _: None, run=lambda _: f"{len(b'x' * size)} bytes"
    )
    monkeypatch.setattr("bench.worst.cases", lambda: [case])
    reply = Reply()
    measured(0, Path(tmp_path), reply)  # type: ignore[arg-type] # all that it does is send
    assert reply.cost.outcome == f"{size} bytes"
    assert 0.95 * size <= reply.cost.peak < size + 40_000_000
    assert len(before) == 100_000_000


def test_what_a_case_raises_is_shown(monkeypatch, tmp_path):
    case = Case(room="a", name="b", prepare=lambda _: None, run=lambda _: str(1 // 0))
    monkeypatch.setattr("bench.worst.cases", lambda: [case])
    reply = Reply()
    measured(0, tmp_path, reply)  # type: ignore[arg-type]
    assert reply.cost.outcome.startswith("raised ZeroDivisionError")
    assert not reply.cost.over
