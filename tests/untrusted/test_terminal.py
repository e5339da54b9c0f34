"""What terminals obey is refused in settings, and written out where texts of others are shown."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from configs.load import SCRIPTS, load_config
from evaluation.auditing.plot import _bars
from evaluation.statistics.intervals import Interval
from runtime.console import Plain, say
from untrusted.terminal import LONGEST, escaped, for_terminal

ROOT = Path(__file__).parents[2]
STAGES = tuple(SCRIPTS)

OBEYED = {
    "an escape": ("\x1b[2J\x1b]52;c;aGk=\x07", r"\x1b[2J\x1b]52;c;aGk=\x07"),
    "one of eight bits": ("\x9b31m", r"\x9b31m"),
    "a link": ("\x1b]8;;http://x\x1b\\y", r"\x1b]8;;http://x\x1b\y"),
    "the start of the line": ("right\rwrong", r"right\rwrong"),
    "a step back": ("a\bb", r"a\x08b"),
    "another direction": ("\u202egnp.exe", r"\u202egnp.exe"),
    "a direction by itself": ("\u2067a\u2069", r"\u2067a\u2069"),
    "half a character": ("\udcff", r"\udcff"),
    "nothing": ("\0", r"\x00"),
    "a line of its own": ("a\u2028b", r"a\u2028b"),
}


@pytest.mark.parametrize("name", OBEYED)
def test_what_a_terminal_obeys_is_written_out(name, capsys):
    text, safe = OBEYED[name]
    assert escaped(text) == for_terminal(ValueError(text)) == safe
    assert Plain().format(logging.LogRecord("x", 20, "x", 1, "%s", (text,), None)) == safe
    say(text)
    assert capsys.readouterr().out == f"{safe}\n"


def test_letters_of_all_people_lines_and_columns_stay():
    text = "né\t漢字 العربية 👩‍🔬\nzwei"
    assert escaped(text) == text


@pytest.mark.parametrize("name", OBEYED)
@pytest.mark.parametrize("key", ["run.name", "data.root", "model.system_prompt", "benchmark.sets"])
def test_it_is_refused_in_settings(name, key):
    with pytest.raises(ValueError, match=r"holds the character .* give a text in UTF-8"):
        load_config(["stage=audit", f"{key}=a{OBEYED[name][0]}"], STAGES)


def test_a_prompt_has_lines_and_a_name_has_none():
    config = load_config(["stage=audit", "model.system_prompt=a\n\tb"], STAGES)
    assert config.model.system_prompt == "a\n\tb"
    with pytest.raises(ValueError, match=r"run\.name holds the character '\\n'"):
        load_config(["stage=audit", "run.name=a\nb"], STAGES)


def test_a_book_is_cut_in_the_middle():
    long = for_terminal(f"begin {'x' * 100_000} end")
    assert len(long) < LONGEST + 10 and long.startswith("begin x") and long.endswith("x end")


BUG = """
import os, sys
from runtime.console import _prepare, run_to_exit, say
_prepare()
say("caf\\u00e9 \\u6f22")
def broken():
    raise KeyError("\\x1b[2J" + os.environ["HF_TOKEN"])
run_to_exit(broken)
"""


def test_a_bug_is_told_without_keys_and_on_any_terminal():
    environ = os.environ | {"HF_TOKEN": "hf_0123456789abcdef", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", BUG], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert done.returncode == 1 and done.stdout == "caf\\xe9 \\u6f22\n"
    assert "Traceback" in done.stderr and "broken" in done.stderr and "***" in done.stderr
    assert "hf_0" not in done.stderr and "\x1b" not in done.stderr


def test_names_of_the_data_are_no_formulas_in_a_plot():
    figure = Figure()
    canvas = FigureCanvasAgg(figure)
    share = Interval(mean=0.5, low=0.25, high=0.75, n=3, clusters=2)
    shares = dict.fromkeys(("audio", "visual"), share)
    axes = figure.subplots()
    _bars(axes, [(name, shares) for name in (r"$\frac{$", "<script>", "\x1b[2J", "$x$")])
    canvas.print_png(io.BytesIO())
    assert [label.get_text().split("\n")[0] for label in axes.get_yticklabels()] == [
        r"$\frac{$",
        "<script>",
        r"\x1b[2J",
        "$x$",
    ]
    assert np.isfinite(axes.get_xlim()).all()
