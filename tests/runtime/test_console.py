"""What both scripts share: streams that are closed, and what is said there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

CODE = """
import os, sys
from runtime.console import run_to_exit, say
def work():
    file = open(sys.argv[1], "w")
    assert file.fileno() > 2
    say("said")
    print("also said", file=sys.stderr)
    subprocess = os.system("echo a library speaks; read line; echo of it >&2")
    assert subprocess == 0
    if len(sys.argv) > 2:
        raise ValueError("what is wrong, and the way out.")
run_to_exit(work)
"""


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("fails", [False, True])
def test_streams_that_are_closed_change_nothing(tmp_path, closed, fails):
    command = [sys.executable, "-c", CODE, str(tmp_path / "file"), *["fail"] * fails]
    done = subprocess.run(
        ["bash", "-c", f'exec "$@" {closed}', "bash", *command],
        cwd=ROOT,
        input="a line\n",
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == fails and "Traceback" not in done.stderr
    assert (tmp_path / "file").read_text() == ""
    if "2>&-" not in closed and fails:
        assert "error: what is wrong" in done.stderr
