"""Start commands with Weights & Biases offline and nothing configured, and read what it wrote."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

from tests.mortal import mortal

ROOT = Path(__file__).parents[1]

NURSERY = """
import json, os, sys
import eval, train
import evaluation.benchmarking.wandb_scores, evaluation.benchmarking.stage
import training.run, training.wandb_curves
from runtime.console import run_to_exit
from tests.mortal import mortal

for line in sys.stdin:
    (script, *words), environ, cwd = json.loads(line)
    if os.fork() == 0:
        mortal()
        os.chdir(cwd)
        out = os.open("said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1), os.dup2(out, 2), os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.update(environ)
        with open("pid", "w") as file:
            file.write(str(os.getpid()))
        sys.argv = [script, *words]
        run_to_exit({"train.py": train, "eval.py": eval}[script].main)
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@dataclass(frozen=True, kw_only=True)
class Starter:
    """A process that has imported what takes long, off which commands are forked."""

    process: subprocess.Popen[str]
    home: Path
    """Where nothing is configured, and nothing may be written."""

    def start(self, words: list[str], cwd: Path, **environ: str) -> int:
        """Run a command to its end, and return its exit code."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps([words, environ, str(cwd)]), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())


@contextmanager
def starting(home: Path, path: str) -> Iterator[Starter]:
    """Begin the process that commands are forked off."""
    process = subprocess.Popen(
        [sys.executable, "-c", NURSERY],
        cwd=ROOT,
        env={
            "PATH": path,
            "HOME": str(home),
            "MPLCONFIGDIR": str(home.with_name("matplotlib")),  # of what Lightning imports
            "WANDB_MODE": "offline",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=mortal,
    )
    yield Starter(process=process, home=home)
    process.kill()
    process.communicate()


def records(file: Path) -> Iterator[Record]:
    """Read the records of an offline run, which are cut where a block of 32 kB ends.

    In front of each part stand a checksum of four bytes, its length in two and its kind in one: 1
    is a whole record, and 4 the last part of one.
    """
    data, at, joined = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        left = (1 << 15) - at % (1 << 15)
        if left < 7:
            at += left
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        joined += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = Record()
            record.ParseFromString(joined)
            yield record
            joined = b""


def logged(file: Path) -> dict[str, list[Any]]:
    """List all values that an offline run logged, by name."""
    found: dict[str, list[Any]] = {}
    for record in records(file):
        for item in record.history.item:
            name = item.key or ".".join(item.nested_key)
            found.setdefault(name, []).append(json.loads(item.value_json))
    return found


def sessions(run_dir: Path) -> list[Path]:
    """List the files of the offline runs of a run directory, in their order."""
    return sorted(run_dir.glob("wandb/offline-run-*/*.wandb"))
