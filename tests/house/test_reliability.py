"""The page on reliability is the table that its command prints, with figures in it."""

import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import lightning.pytorch.loops
import pytest

from bench.promises.moments import MOMENTS, read_moment
from bench.promises.outcome import Outcome, measured, verdict
from bench.promises.seventeen import EVERY, PROMISES
from bench.promises.stages import STAGES, aims
from tests.house.test_architecture import ROOT, SOURCES

LOOPS = Path(lightning.pytorch.loops.__file__).parent
PAGE = (ROOT / "docs/reliability.md").read_text()
ROWS = [
    [cell.strip() for cell in line[1:-1].split("|")]
    for line in PAGE.partition("## The table")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| | ")
]


def test_there_are_seventeen_promises_and_all_are_on_the_page():
    assert [promise.name for promise in PROMISES] == [str(number) for number in range(1, 18)]
    assert [row[0] for row in ROWS] == [promise.name for promise in EVERY]


def test_each_row_says_what_the_command_would():
    told = [row[1:3] for row in ROWS]
    assert told == [[promise.words, promise.shown_by] for promise in EVERY]


def test_each_promise_is_shown_by_files_that_are_there():
    for promise in EVERY:
        assert promise.by
        for file in promise.by:
            assert (ROOT / file).is_file(), file
            assert not file.startswith("tests/") or "def test_" in (ROOT / file).read_text()


def test_figures_are_measured_and_no_promise_is_shown_broken():
    for name, _, _, figures, seconds in ROWS:
        assert re.match(r"[\d,]+ of [\d,]+ held|\*\*NOT SHOWN\*\*: ", figures), name
        assert re.fullmatch(r"\d+", seconds), name


def test_a_promise_is_broken_by_one_part_and_not_shown_where_one_could_not_be_tried():
    held, broken = Outcome(tried=3, held=3), Outcome(tried=5, held=4, notes=["why"])
    absent, later = Outcome(missing="no root"), Outcome(left_to="make test")
    assert verdict([held, broken, absent]) == "BROKEN"
    assert verdict([held, absent]) == "NOT SHOWN"
    assert verdict([held, later]) == "held"
    assert verdict([later, later]) == "left"
    assert measured([held, broken]) == "**BROKEN**: 7 of 8 held; why"
    assert measured([absent]) == "**NOT SHOWN**: not shown: no root"
    assert measured([later, later]) == "by `make test`"
    assert measured([held, later]) == "3 of 3 held; the rest by `make test`"


def test_counts_of_the_parts_of_a_promise_are_added_up():
    parts = [Outcome(tried=2, held=2, counts={"kills": 50}), Outcome(counts={"kills": 950})]
    assert measured(parts) == "2 of 2 held; 1,000 kills"


STACK = """Current thread 0x00007f (most recent call first):
  File "/x/modules/policy/decoding.py", line 7 in generate
  File "/x/modules/policy/omni.py", line 9 in sample
  File "/x/{outer}", line 8 in {function}
  File "<string>", line 1 in <module>
"""


@pytest.mark.parametrize(
    ("outer", "function", "moment"),
    [
        ("modules/rollout/collector.py", "_rollout", "generation"),
        ("modules/rollout/collector.py", "_resample", "refill"),
        ("modules/step/policy_module.py", "validation_step", "validation"),
        ("training/callbacks/checkpoints.py", "save_checkpoint", "checkpoint"),
        ("training/run.py", "leave", "export"),
    ],
)
def test_what_samples_is_told_by_what_it_samples_for(outer, function, moment):
    assert read_moment(STACK.format(outer=outer, function=function)) == moment


SHOWING = """
import os, sys
from lightning.pytorch import Trainer
from bench.promises.watched import SHOW, watch
watch(sys.argv[1], jumping=False, spoiled="")
connector = Trainer(logger=False, enable_checkpointing=False)._signal_connector
connector.register_signal_handlers()
connector.teardown()
def leave():
    os.kill(os.getpid(), SHOW)
exec(compile("leave()", "training/run.py", "exec"))
"""


def test_a_training_says_what_it_does_after_lightning_has_put_its_handlers_back(tmp_path):
    """Which is when it exports."""
    subprocess.run([sys.executable, "-c", SHOWING, str(tmp_path)], cwd=ROOT, check=True)
    stack = (tmp_path / "stack").read_text()
    assert "in leave" in stack and stack.endswith("in <module>\n")


def test_moments_have_their_turns_whether_they_are_met_or_not():
    found = [*islice(aims(STAGES["sft"]), 8)]
    assert found == ["export", "", "checkpoint", "", "validation", "", "export", ""]


def test_each_function_by_which_moments_are_told_is_there():
    """The files of Lightning aside, whose loops are named as well."""
    for functions in MOMENTS.values():
        for named in functions:
            file, function = named.split()
            found = [ROOT / path for path in SOURCES if path.endswith(file)]
            found += LOOPS.glob(file.split("/")[-1])
            assert any(f"def {function}(" in path.read_text() for path in found), named
