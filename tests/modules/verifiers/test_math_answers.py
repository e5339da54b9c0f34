"""Equal expressions, and what does not come back."""

import importlib.util
import os
import signal
import time
from pathlib import Path

import pytest

from datamodules.sample import MAX_EXPRESSION
from modules.verifiers import math_answers
from modules.verifiers.math_answers import close, equivalent

needed = pytest.mark.skipif(
    importlib.util.find_spec("math_verify") is None, reason="math-verify is not installed"
)
SLOW = "(x+y+z)^{99}"


@needed
@pytest.mark.parametrize(
    ("gold", "given", "expected"),
    [
        (r"\frac{1}{2}", "1/2", True),
        (r"\frac{1}{2}", "0.5", True),
        (r"\frac{1}{2}", "2", False),
        ("x^2+2x+1", "(x+1)^2", True),
        ("x^2+2x+1", "(x-1)^2", False),
        ("sqrt(2)/2", r"$\frac{\sqrt{2}}{2}$.", True),
        ("pi/2", r"\(0.5\pi\)", True),
        ("π/2", r"\frac{\pi}{2}", True),
        ("x²", "x**2", True),
        ("8", "2**3", True),
        ("1500", "1.5e3", True),
        ("5 e", "5e1", False),
        ("-3", "−3", True),
        ("3", "x=3", True),
        ("{1,2}", "2, 1", True),
        ("(1,2)", "(2,1)", False),
        ("50%", "0.5", True),
        ("50", "50%", False),
        ("3 cm", "3 m", False),
        (r"2 \sqrt { 221 }", r"2\sqrt{221}", True),
        (r"2\sqrt{221}", r"2 \sqrt { 221 }", True),
        (r"2 \sqrt { 221 }", r"2\sqrt{212}", False),
        (r"2 \sqrt { 221 }", r"-2\sqrt{221}", False),
        (r"\frac { 15 } { 2 }", "7.5", True),
        (r"\sqrt { 3 } / 2", r"\frac{\sqrt{3}}{2}", True),
        (r"90 ^ { \circ }", r"90^\circ", True),
        (r"90 ^ \circ", r"91^{\circ}", False),
        ("6 . 5", "6.5", True),
        ("6 . 5", "65", False),
        ("6", "1 2 3", None),
        ("3", r"$3$ or $4$", None),
        ("1", "1}+{2", None),
        ("12", r"\sum_{i=1}^{3} 2i", None),
        ("1", "x^{9999}-(x-1)^{9999}", None),
        ("1", "((99!)!)!", None),
        ("3", "", None),
        ("3", "...", None),
        ("1", "9^{9^{9}}", None),
        ("1", "9" * 100, None),
        ("1", "1+" * (MAX_EXPRESSION // 2) + "1", None),
        ("1", "(" * 7 + "1" + ")" * 7, None),
    ],
)
def test_expressions_are_compared_as_mathematics(gold, given, expected):
    assert equivalent([(gold, given)]) == [expected]


@needed
def test_many_pairs_keep_their_places():
    pairs = [("7", "7"), ("7", "8"), ("7", "14/2"), ("8", "7"), ("7", "8")]
    assert equivalent(pairs) == [True, False, True, False, False]


@needed
def test_what_takes_too_long_is_killed_and_the_rest_is_judged():
    pairs = [("1", SLOW), ("4", "2+2"), ("1", f"{SLOW}+1"), ("4", "2+3")]
    started = time.monotonic()
    assert equivalent(pairs, seconds=0.3) == [None, True, None, False]
    assert time.monotonic() - started < 60  # each by itself takes minutes


@needed
def test_a_process_that_was_killed_is_replaced():
    assert equivalent([("4", "2+2"), ("5", "2+3")]) == [True, True]
    for worker in math_answers._WORKERS:
        if worker.process is not None:
            os.kill(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
    assert equivalent([("6", "3+3"), ("7", "3+4")]) == [True, True]


@needed
def test_a_copy_that_is_killed_while_idle_puts_no_verdict_in_anothers_place():
    assert equivalent([("4", "2+2"), ("5", "2+3")]) == [True, True]
    for worker in math_answers._WORKERS:
        if worker.process is not None:
            children = f"/proc/{worker.process.pid}/task/{worker.process.pid}/children"
            for child in Path(children).read_text().split():
                os.kill(int(child), signal.SIGKILL)
    equivalent([("6", f"{one}+4") for one in range(8)])  # of which some may have been lost
    assert equivalent([("6", f"{one}+3") for one in range(8)]) == [one == 3 for one in range(8)]


@needed
def test_an_error_in_a_process_is_no_verdict():
    """A limit below 0 is one that the operating system refuses."""
    with pytest.raises(RuntimeError, match=r"'5' with the answer '4' ended in an error"):
        equivalent([("4", "5")], seconds=-1.0)
    assert equivalent([("5", "2+3")]) == [True]


@needed
def test_closing_ends_the_processes_and_comparing_starts_others():
    equivalent([("4", "2+2")])
    before = [worker.process for worker in math_answers._WORKERS if worker.process]
    close()
    assert before and all(process.poll() is not None for process in before)
    assert equivalent([("5", "2+3")]) == [True]


@needed
def test_nothing_that_is_said_is_ever_run(tmp_path):
    """The worker hands no text to an evaluator of Python."""
    touch = f"__import__('pathlib').Path('{tmp_path}/x').touch()"
    assert equivalent([("1", touch), ("1", f"1+{touch}")]) in ([None, None], [False, False])
    assert not list(tmp_path.iterdir())


@needed
def test_an_answer_that_is_no_expression_is_refused():
    for gold in ("", "(1+2", "1 2", "?"):
        with pytest.raises(ValueError, match=r"cannot be read as one expression.*correct the"):
            equivalent([("3", "3"), (gold, "3")])


def test_without_the_package_it_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert equivalent([]) == []
    with pytest.raises(ValueError, match=r"'1' is of type math.*pip install math-verify"):
        equivalent([("1", "2")])


def test_nothing_needs_no_process():
    close()
    assert equivalent([]) == []
    assert all(worker.process is None for worker in math_answers._WORKERS)
