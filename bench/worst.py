"""What the worst rows cost that can be written: `python -m bench.worst [room ...]`.

Each case is prepared in one process and run in another, so that the memory it takes is its own. It
may take a second of processor time, helpers included, and a gigabyte above what the process had;
whoever takes more is marked, and the exit code is 1.
"""

import argparse
import logging
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from bench import worst_media, worst_rows, worst_text
from bench.worst_case import Case

FILES = (worst_rows, worst_text, worst_media)
"""Those whose tuples of cases are run."""

SECONDS = 1.0
BYTES = 10**9
PATIENCE = 60.0
"""Seconds after which a case is ended."""

PREPARED = 600.0
"""Seconds for writing what it reads."""


class Cost(NamedTuple):
    """What one case took."""

    processor: float
    """Seconds, those of processes that it started included."""

    wall: float
    peak: int
    """Bytes above those that were there before."""

    outcome: str

    @property
    def over(self) -> bool:
        """Whether it is more than a row may cost."""
        return self.processor > SECONDS or self.peak > BYTES or self.wall >= PATIENCE


def cases() -> list[Case]:
    """List the cases of all files that there are."""
    tuples = (one for file in FILES for one in vars(file).values())
    listed = (case for one in tuples if isinstance(one, tuple) for case in one)
    return [*dict.fromkeys(case for case in listed if isinstance(case, Case))]


def measured(number: int, folder: Path, reply: Connection) -> None:
    """Run a case that is prepared, and reply with what it cost."""
    run = cases()[number].run
    before = _bytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    start, busy = time.perf_counter(), _processor()
    try:
        outcome = run(folder)
    except Exception as error:  # whatever it is, it is what the table shows
        outcome = f"raised {type(error).__name__}: {error}"
    wall, processor = time.perf_counter() - start, _processor() - busy
    reply.send(Cost(processor, wall, max(0, _bytes("VmHWM") - before), outcome))


def prepared(number: int, folder: Path, reply: Connection) -> None:
    """Write what a case reads."""
    cases()[number].prepare(folder)
    reply.send(True)


def cost_of(number: int) -> Cost:
    """Prepare a case and run it, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        _in_process(prepared, number, Path(folder), PREPARED)
        start = time.perf_counter()
        cost = _in_process(measured, number, Path(folder), PATIENCE)
        if isinstance(cost, Cost):
            return cost
        return Cost(0.0, time.perf_counter() - start, 0, f"ended ({cost})")


Task = Callable[[int, Path, Connection], None]


def _quietly(task: Task, number: int, folder: Path, reply: Connection) -> None:
    """Do something without what it logs: the table shows what came of it."""
    logging.disable()
    task(number, folder, reply)


def _in_process(task: Task, number: int, folder: Path, patience: float) -> object:
    """Do something in a process, and return its reply, or else the code with which it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([file.__name__ for file in FILES])
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_quietly, args=(task, number, folder, theirs))
    child.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(patience) else "too long"
    except EOFError:
        child.join()
        return child.exitcode
    finally:
        child.kill()
        child.join()
        ours.close()


def _processor() -> float:
    """Count the seconds of processor time of this process and of those that it started."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def _bytes(name: str) -> int:
    """Read one number of what the kernel says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    told = next(line for line in lines if line.startswith(f"{name}:"))
    return 1024 * int(told.split()[1])


def main(words: Sequence[str] | None = None) -> int:
    """Print a row for each case; 1 if one costs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("room", nargs="*", help="only these; all without one")
    rooms = parser.parse_args(words).room
    found = cases()
    chosen = [n for n, case in enumerate(found) if not rooms or case.room in rooms]
    if not chosen:
        known = ", ".join(dict.fromkeys(case.room for case in found))
        print(f"{', '.join(rooms)} has no cases: choose from {known}.", file=sys.stderr)
        return 2
    print(f"{'room':12}{'case':44}{'cpu s':>7}{'wall s':>8}{'MB':>7}  outcome")
    over = 0
    for number in chosen:
        case, cost = found[number], cost_of(number)
        over += cost.over
        print(
            f"{case.room:12}{case.name:44}{cost.processor:7.2f}{cost.wall:8.2f}"
            f"{cost.peak / 1e6:7.0f}  {'OVER  ' * cost.over}{cost.outcome[:90]}",
            flush=True,
        )
    print(f"{over} of {len(chosen)} cases take over {SECONDS:g} s or {BYTES / 1e9:g} GB")
    return int(over > 0)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
