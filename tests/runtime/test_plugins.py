"""Functions of the user's own: what goes wrong in them is told with their own line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from configs.plugins import pinned
from runtime import plugins
from runtime.plugins import Function, PluginError, call, load, number

TAKES = ("question", "completion", "facts")
Loader = Callable[[str], Function]


@pytest.fixture
def loader(tmp_path: Path) -> Loader:
    """Write a body below `def mine(a, b, c):`, and load it."""

    def write(body: str) -> Function:
        (tmp_path / "my.py").write_text(body if "def " in body else f"def mine(a, b, c):\n {body}")
        return load("s", pinned("s", f"{tmp_path}/my.py:mine", TAKES))

    return write


def test_what_a_function_returns_is_returned(loader):
    assert call(loader("return a + b * c"), 2, 3, 5, about="x") == 17


def test_an_error_names_the_last_line_of_the_file_that_led_to_it(loader, tmp_path):
    mine = loader("def mine(a, b, c):\n    return deeper(b)\n\ndef deeper(b):\n    return {}[b]\n")
    with pytest.raises(PluginError) as error:
        call(mine, 1, "loud", 3, about="the completion 'x' of question 'q7'")
    assert str(error.value) == (
        f"{tmp_path}/my.py:5 (return {{}}[b]) raised KeyError: 'loud' in mine, called for the "
        "completion 'x' of question 'q7', but a function of your own returns within 60 seconds, "
        "whatever it is given: mend that line."
    )


def test_a_function_that_never_returns_is_stopped_whatever_it_catches(loader, monkeypatch):
    monkeypatch.setattr(plugins, "SECONDS", 0.05)
    mine = loader("def mine(a, b, c):\n while True:\n  try:\n   pass\n  except Exception:\n   pass")
    with pytest.raises(PluginError, match=r"my\.py:\d .* raised it took longer than 0 seconds"):
        call(mine, 1, 2, 3, about="x")


def test_values_that_are_drawn_one_by_one_are_drawn_under_the_same_limit(loader):
    assert call(loader("yield from (a, b, c)"), 1, 2, 3, about="x", drawn=True) == [1, 2, 3]
    with pytest.raises(PluginError, match=r"my\.py:2 \(yield 1 / c\) raised ZeroDivisionError"):
        call(loader("yield 1 / c"), 1, 2, 0, about="x", drawn=True)


def test_a_file_that_cannot_be_loaded_is_blamed_by_its_line(loader):
    with pytest.raises(PluginError, match=r"my\.py:1 \(import nothing_of_that_name\) raised Modul"):
        loader("import nothing_of_that_name\ndef mine(a, b, c): ...")


def test_a_file_that_has_changed_since_its_settings_were_read_is_not_run(tmp_path):
    file = tmp_path / "my.py"
    file.write_text("def mine(a, b, c): ...")
    name = pinned("s", f"{file}:mine", TAKES)
    file.write_text("raise SystemExit('run')\ndef mine(a, b, c): ...")
    with pytest.raises(PluginError, match="is another file than when the settings of this run"):
        load("s", name)
    with pytest.raises(PluginError, match="is another file than"):
        load("s", f"{file}:mine")  # as a file that somebody else wrote might have it


def test_decorated_functions_and_dataclasses_work(loader):
    mine = loader(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\nfrom functools import cache\n"
        "@dataclass\nclass Heard:\n    level: float\n"
        "@cache\ndef mine(a, b, c):\n    return Heard(a).level\n"
    )
    assert call(mine, 0.25, 2, 3, about="x") == 0.25


@pytest.mark.parametrize("returned", [True, 1, 0.5, 0])
def test_numbers_within_bounds_are_taken(loader, returned):
    assert number(loader("return a"), returned, least=-1, about="x") == float(returned)


@pytest.mark.parametrize("returned", [1.5, -1.5, float("nan"), float("inf"), None, "1", [1]])
def test_anything_else_is_refused_with_what_it_was_returned_for(loader, returned):
    with pytest.raises(PluginError) as error:
        number(loader("return a"), returned, least=-1, about="the completion 'x'")
    assert f"returned {returned!r} for the completion 'x', but returns a number from -1 to 1" in (
        str(error.value)
    )
