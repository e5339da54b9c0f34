"""Kill runs at random moments, repeat their command, and compare what they leave.

    python -m bench.promises                     50 kills of each stage
    python -m bench.promises --kills 5           the short form
    python -m bench.promises sft probe           only these

Each row is a stage: how often it was killed with SIGKILL, all its processes at once, at moments
drawn evenly over the time that an undisturbed run takes; how many runs reached their end through
those kills; and how many of them left the same as the undisturbed one, bit for bit: metrics,
rollouts and weights of a training, counts of a probe, results and answers of a benchmark, both of a
recipe. Ends with 1 where one did not.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from bench.signals import members
from datamodules.contribution.probe_cache import read_rows
from datamodules.digits.build import ensure
from tests.fork_server import Child, ForkServer, fork_server
from tests.small_digits import SMALL

TRAINING = (
    *("trainer.batch_size=3", "trainer.max_steps=12", "trainer.checkpoint_every=2"),
    *("trainer.val_check_interval=4", "trainer.val_limit=6", "trainer.log_every_n_steps=2"),
    *("rlvr.group_size=4", "rlvr.max_completion_tokens=12", "optim.lr=1e-3"),
)
ASKING = ("probe.limit=60", "probe.batch_size=4", "probe.conditions=[full,text_only]")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "sft": ("train.py", "stage=sft", *TRAINING),
    "rlvr": (
        *("train.py", "stage=rlvr", *TRAINING, "rlvr.num_iterations=2"),
        *("rlvr.dynamic_sampling.max_batches=2", "rlvr.log_rollouts_every=2"),
    ),
    "distill": ("train.py", "stage=distill", *TRAINING, "distill.rejection_sampling.limit=24"),
    "prealign": ("train.py", "stage=prealign", *TRAINING),
    "probe": ("eval.py", "stage=probe", *ASKING),
    "benchmark": ("eval.py", "stage=benchmark", "benchmark.limit=60", "benchmark.batch_size=4"),
    "recipe": (
        *("train.py", "recipe=vidground", "trainer.max_steps=4", "trainer.checkpoint_every=1"),
        *("benchmark.limit=30", "probe.batch_size=4"),
    ),
}
EXACT = ("metrics.jsonl", "rollouts.jsonl", "results.json", "model.safetensors", "tiny.jsonl")
"""Files of run directories that are compared."""

COUNTED = (
    *("sample_id", "content_hash", "probe_key", "condition", "how", "option_seed", "first"),
    *("n", "n_correct", "n_unparsed"),
)
"""Columns of a probe that are compared; the others say when and by whom."""


@final
@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one stage."""

    stage: str
    kills: int
    ends: int
    equal: int
    seconds: float
    """Of the undisturbed run."""


def measure(server: ForkServer, stage: str, digits: Path, place: Path, kills: int) -> Row:
    """Kill runs of a stage until there were enough, and each run until it reaches its end.

    Args:
        place: a directory that is not there yet, the same for all runs, as files name it.
    """

    def begin() -> Child:
        script, *words = COMMANDS[stage]
        given = ["data=manifest", f"data.root={place / 'data'}", f"run.root={place}"]
        more = [*given, "run.name=run", "trainer.accelerator=cpu"]
        return server.start(script, [*words, *more], place / "said")

    shutil.copytree(digits, place / "data")
    began = time.monotonic()
    code = begin().end()
    seconds = time.monotonic() - began
    if code:
        raise SystemExit(f"{stage} ends with {code}: {(place / 'said').read_text()[-2000:]}")
    expected = left_by(place)
    dice = random.Random(stage)
    killed = ends = equal = 0
    while killed < kills:
        shutil.rmtree(place)
        shutil.copytree(digits, place / "data")
        while True:
            child = begin()
            dying = killed < kills and killed_within(child, dice.uniform(0, seconds))
            killed += dying
            child.end()
            if (place / "run/finished").exists():  # a kill may come after that
                break
            if not dying:
                said = (place / "said").read_text()[-2000:]
                raise SystemExit(f"{stage} does not go on after {killed} kills: {said}")
        ends, equal = ends + 1, equal + (left_by(place) == expected)
    shutil.rmtree(place)
    return Row(stage=stage, kills=killed, ends=ends, equal=equal, seconds=seconds)


def killed_within(child: Child, seconds: float) -> bool:
    """Kill a run and all that it started after some time; False if it has ended by then."""
    latest = time.monotonic() + seconds
    while time.monotonic() < latest:
        if not members(child.pid):
            return False
        time.sleep(0.01)
    for member in members(child.pid):
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return True


def left_by(place: Path) -> dict[str, str]:
    """Digest what a run has left that its repetition must leave as well."""
    found = {
        str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted((place / "run").rglob("*"))
        if file.name in EXACT
    }
    if (place / "data/probes").exists():
        table = read_rows(place / "data/probes").to_pylist()
        rows = sorted([str(row[name]) for name in COUNTED] for row in table)
        found["counts"] = repr(rows)
    return found


def main() -> None:
    """Measure the stages that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(COMMANDS))
    parser.add_argument("--kills", type=int, default=50)
    asked = parser.parse_args()
    if strangers := {*asked.stages} - {*COMMANDS}:
        parser.error(
            f"{', '.join(sorted(strangers))} is no stage: choose from {', '.join(COMMANDS)}"
        )
    rows = []
    print(f"{'stage':<10}{'kills':>6}{'ends':>6}{'equal':>7}{'undisturbed':>13}", flush=True)
    with tempfile.TemporaryDirectory(prefix="promises-") as scratch, fork_server() as server:
        ensure(Path(scratch) / "digits", sizes=SMALL)
        for stage in asked.stages or COMMANDS:
            place = Path(scratch) / stage
            row = measure(server, stage, Path(scratch) / "digits", place, asked.kills)
            print(
                f"{stage:<10}{row.kills:>6}{row.ends:>6}{row.equal:>7}{row.seconds:>11.1f} s",
                flush=True,
            )
            rows.append(row)
    sys.exit(any(row.equal < row.ends for row in rows))


if __name__ == "__main__":
    main()
