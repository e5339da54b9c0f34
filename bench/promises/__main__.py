"""Measure the promises of docs/reliability.md, and print the table that the page holds.

    python -m bench.promises                     all of them, 50 kills of each stage
    python -m bench.promises --kills 5           the short form
    python -m bench.promises 1 3 clock           only these rows
    python -m bench.promises sft probe           only kills of these stages

A row is printed as soon as it is known, and all in their order at the end. Ends with 1 where one
is BROKEN. What this machine cannot show is said to be NOT SHOWN, which is no success either, but
does not end with 1.
"""

import argparse
import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from bench.promises.outcome import FULL, HEAD, Attempt, Effort, Outcome, Promise, line, verdict
from bench.promises.seventeen import EVERY, PROMISES
from bench.promises.stages import KILLS, STAGE_HEAD
from bench.promises.tested import run_tests
from datamodules.digits.build import ensure
from tests.fork_server import ForkServer, fork_server
from tests.small_digits import SMALL

ASIDE = Path("/dev/shm")
"""A file system that is another one on most machines."""

CORES = 2
Servers = SimpleQueue[ForkServer]
"""Each is taken by one part of a promise at a time."""


@contextmanager
def prepared(kills: int) -> Iterator[tuple[Effort, Servers]]:
    """Make the directories and the servers that start runs, which have their temporary files on
    another file system."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="promises-")))
        other = ASIDE if os.access(ASIDE, os.W_OK) else None
        elsewhere = tempfile.TemporaryDirectory(prefix="promises-", dir=other)
        effort = Effort(kills=kills, place=place, elsewhere=Path(stack.enter_context(elsewhere)))
        ensure(effort.digits, sizes=SMALL)
        runs = effort.elsewhere / "runs"
        runs.mkdir()
        servers: Servers = SimpleQueue()
        for _ in range(CORES):
            servers.put(stack.enter_context(fork_server(TMPDIR=str(runs))))
        yield effort, servers


def jobs_of(promise: Promise) -> list[Attempt]:
    """List what shows a promise: its attacks, and its tests together."""
    return [*promise.attempts, *([partial(tests_of, promise)] if promise.tests else [])]


def tests_of(promise: Promise, effort: Effort, _: ForkServer) -> Outcome:
    """Run the tests of a promise, unless `make test` has done so."""
    return Outcome(left_to="make test") if effort.short else run_tests(promise.tests, effort)


def results(
    promises: Sequence[Promise], effort: Effort, servers: Servers
) -> Iterator[tuple[Promise, Outcome, float]]:
    """Try promises, two at a time but for those that need the machine alone; yield each part of
    one as soon as it is known, with its seconds."""

    def tried(job: Attempt) -> tuple[Outcome, float]:
        server, began = servers.get(), time.monotonic()
        try:
            outcome = job(effort, server)
        except Exception as error:  # such as a run that ends by itself: the promise is broken
            words = " ".join(str(error).split())
            said = f"{type(error).__name__}: {words[:60]} ... {words[60:][-540:]}"
            outcome = Outcome(tried=1, notes=[said])
        servers.put(server)
        return outcome, time.monotonic() - began

    with ThreadPoolExecutor(CORES) as pool:
        jobs = {
            pool.submit(tried, job): one
            for one in promises
            if not one.alone
            for job in jobs_of(one)
        }
        for future in as_completed(jobs):
            yield jobs[future], *future.result()
    for promise in promises:
        for job in jobs_of(promise) if promise.alone else ():
            yield promise, *tried(job)


def measure(promises: Sequence[Promise], kills: int) -> bool:
    """Print the rows; return whether none is broken."""
    parts: dict[str, list[tuple[Outcome, float]]] = {promise.name: [] for promise in promises}
    lines: dict[str, str] = {}
    kept = True
    print(HEAD, flush=True)
    with prepared(kills) as (effort, servers):
        for promise, outcome, seconds in results(promises, effort, servers):
            parts[promise.name].append((outcome, seconds))
            if outcome.detail:
                print(outcome.detail, flush=True)
            if len(parts[promise.name]) == len(jobs_of(promise)):
                outcomes = [each for each, _ in parts[promise.name]]
                spent = sum(each for _, each in parts[promise.name])
                lines[promise.name] = line(promise, outcomes, spent)
                kept = kept and verdict(outcomes) != "BROKEN"
                print(lines[promise.name], flush=True)
    print(f"\n{HEAD}", *(lines[promise.name] for promise in promises), sep="\n")
    if details := [each.detail for part in parts.values() for each, _ in part if each.detail]:
        print(f"\n{STAGE_HEAD}", *details, sep="\n")
    return kept


def main() -> None:
    """Read which promises are asked for, and measure them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW or STAGE")
    parser.add_argument("--kills", type=int, default=FULL)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # of the checkpoints that are damaged here
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # directories are removed
    known = [*(promise.name for promise in EVERY), *KILLS]
    if strange := {*asked.rows} - {*known}:
        parser.error(f"{', '.join(sorted(strange))} is none: choose from {', '.join(known)}")
    promises = [promise for promise in EVERY if promise.name in asked.rows or not asked.rows]
    if stages := [name for name in KILLS if name in asked.rows]:
        kills = tuple(KILLS[name] for name in stages)
        promises.append(replace(PROMISES[0], name=", ".join(stages), by=(), attempts=kills))
    sys.exit(0 if measure(promises, asked.kills) else 1)


if __name__ == "__main__":
    main()
