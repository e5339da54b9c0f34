"""Run the tests that show a promise, and count them by pytest's own report."""

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from bench.promises.outcome import Effort, Outcome

ROOT = Path(__file__).parents[2]
NO_CLUSTER = 75
"""Code by which scripts/slurm.sh says that no cluster can be started here."""


def run_tests(files: Sequence[str], effort: Effort, before: Sequence[str] = ()) -> Outcome:
    """Run files of tests.

    Args:
        before: words of a command that starts pytest.
    """
    with tempfile.TemporaryDirectory(dir=effort.place) as folder:
        report, base = Path(folder, "report.xml"), Path(folder, "base")
        options = ["-q", "-p", "no:cacheprovider", f"--junitxml={report}", f"--basetemp={base}"]
        command = [*before, sys.executable, "-m", "pytest", *options, *files]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode == NO_CLUSTER and before:
            return Outcome(missing=done.stderr.strip().splitlines()[-1].removeprefix("SKIPPED: "))
        if not report.exists():
            return Outcome(tried=1, notes=[f"pytest said: {done.stdout[-300:]!r}"])
        suite = ET.parse(report).getroot().find("testsuite")
    assert suite is not None
    number = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    tried = number["tests"] - number["skipped"]
    failed = number["failures"] + number["errors"]
    return Outcome(
        tried=tried,
        held=tried - failed,
        counts={"tests": tried, **({"skipped": number["skipped"]} if number["skipped"] else {})},
        notes=[] if not failed else [f"failed: {done.stdout[-300:]!r}"],
    )
