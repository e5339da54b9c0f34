"""Attacks beside kills of runs: on caches, records, media, verifiers, directories and clocks."""

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

from bench import fuzz_records, media, probe_cache, probe_crash
from bench.failing import may_mount
from bench.promises.outcome import Effort, Outcome
from bench.promises.stages import STAGES, Subject, as_outcome, measure
from bench.promises.starts import claim_at_once
from bench.promises.tested import ROOT
from bench.promises.watched import SPOILED
from tests.fork_server import ForkServer
from training.callbacks.checkpoints import AtomicCheckpointIO

STARTS = 100
FUZZED = 200
"""Damaged records, media and completions for each kill of a stage."""

HANG = 10.0
"""Seconds after which one record or medium counts as hanging."""

P99, BUDGET = 50.0, 10_000.0
"""Milliseconds for a completion: of 99 in a hundred, and of the slowest."""

JUDGE = "import json; from bench.verifiers import judge_all; print(json.dumps(judge_all({})))"
MEMORY = 1_000.0
"""Megabytes that judging may take, the limit of a worker."""


def crash_cache(effort: Effort, server: ForkServer) -> Outcome:
    """Kill those who write counts of probes, without and with one who merges them."""
    found = [probe_crash.crash(8, effort.kills, seed=0, merging=each) for each in (False, True)]
    rows = sum(each.rows for each in found)
    return Outcome(
        tried=rows,
        held=rows - sum(each.faults for each in found),
        counts={
            "kills of 8 writers": 2 * effort.kills,
            "acknowledged rows": rows,
            "lost": sum(each.lost for each in found),
            "missed by reads meanwhile": sum(each.missed for each in found),
            "unreadable files": sum(each.unreadable for each in found),
        },
    )


def time_cache(effort: Effort, server: ForkServer) -> Outcome:
    """Load and filter as many counts as AudioMCQ would have, from many files and from one."""
    if effort.short:
        return Outcome(left_to="make promises")
    found = probe_cache.speed(571_118, 128, rounds=3)
    load, filtered, peak = (max(each) for each in zip(*found, strict=True))
    return Outcome(
        tried=1,
        held=int(probe_cache.within(found)),
        notes=[
            f"571,118 x 4 rows: loaded in {load:.2f} s, filtered in {filtered:.2f} s, {peak:.2f} GB"
        ],
    )


def damage_records(effort: Effort, server: ForkServer) -> Outcome:
    """Read damaged records of all formats."""
    records = FUZZED * effort.kills
    found = probe_cache.apart(fuzz_quietly, records)
    held = records - len(found.crashes) if found.slowest < HANG else 0
    return Outcome(
        tried=records,
        held=held,
        counts={
            "damaged records": records,
            "crashes": len(found.crashes),
            "records set aside with a reason": sum(found.reasons.values()),
        },
        notes=[f"the slowest {found.slowest:.1f} s"],
    )


def fuzz_quietly(records: int) -> fuzz_records.Outcome:
    """Fuzz in a process of its own, whose warnings nobody reads."""
    logging.disable()
    with TemporaryDirectory() as root:
        return fuzz_records.fuzz(records, 0, Path(root))


def damage_media(effort: Effort, server: ForkServer) -> Outcome:
    """Decode and measure damaged media of all kinds."""
    found = media.Fuzzed()
    for _, each in media.fuzz(FUZZED * effort.kills):
        found.add(each)
    ends, bad = found.kinds()
    reads = sum(ends.values())
    return Outcome(
        tried=reads,
        held=reads - bad if found.slowest < HANG else 0,
        counts={"reads of damaged media": reads, "crashes, hangs and foreign errors": bad},
        notes=[f"the slowest {found.slowest:.1f} s"],
    )


def judge_adversaries(effort: Effort, server: ForkServer) -> Outcome:
    """Judge completions that mean harm."""
    asked = FUZZED * effort.kills
    told = subprocess.run(  # what this process has imported takes a gigabyte by itself
        [sys.executable, "-c", JUDGE.format(asked)], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    times, raised, megabytes = json.loads(told.stdout)
    p99 = quantiles(times, n=100)[98]
    bounded = p99 < P99 and max(times) < BUDGET and megabytes < MEMORY
    return Outcome(
        tried=len(times),
        held=len(times) - raised if bounded else 0,
        counts={"adversarial completions": len(times), "uncaught": raised},
        notes=[f"p99 {p99:.1f} ms, the slowest {max(times):,.0f} ms, {megabytes:.0f} MB at most"],
    )


def start_at_once(effort: Effort, server: ForkServer) -> Outcome:
    """Take run directories in many processes at one moment, with the same settings."""
    taken = probe_cache.apart(claim_at_once, effort.place / "starts", STARTS)
    return Outcome(
        tried=STARTS,
        held=len(taken),
        counts={"starts at once": STARTS, "distinct run directories": len(taken)},
    )


def fail(effort: Effort, server: ForkServer, *, conditions: Sequence[str]) -> Outcome:
    """Let a disk fail under all that a run writes."""
    if not may_mount():
        return Outcome(missing="this user may not mount small disks")
    cells = faults = 0
    notes = []
    for more in ([],) if effort.short else ([], ["torch"]):
        command = [sys.executable, "-m", "bench.failing", *more, *conditions]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        told = re.search(r"^(\d+) cells, (\d+) faults$", done.stdout, re.MULTILINE)
        if told is None:
            return Outcome(tried=1, notes=[f"bench.failing said: {done.stderr[-300:]!r}"])
        cells, faults = cells + int(told[1]), faults + int(told[2])
        notes += re.findall(r"^FAULT .*$", done.stdout, re.MULTILINE)
    return Outcome(
        tried=cells, held=cells - faults, counts={"writes that met it": cells}, notes=notes
    )


def jump_clocks(effort: Effort, server: ForkServer) -> Outcome:
    """Kill runs whose clock jumps forth and back by up to a year."""
    subject = Subject(server, STAGES["sft"], effort, "clock", jumping=True)
    return as_outcome(measure(subject, max(2, effort.kills // 10)), "sft, clock")


def spoil_numbers(effort: Effort, server: ForkServer) -> Outcome:
    """Let a number of reinforcement learning be none, in its seventh step."""
    held, notes = 0, list[str]()
    numbers = SPOILED[::2] if effort.short else SPOILED
    for number in numbers:
        subject = Subject(server, STAGES["rlvr"], effort, "spoiled", spoiled=number)
        subject.reset()
        code, _ = subject.end(subject.begin())
        checkpoints = [*(subject.place / "run/checkpoints").glob("*.ckpt")]
        finite = all(map(is_finite, checkpoints)) and bool(checkpoints)
        stopped = code == 1 and "stopped after step 6" in subject.said
        held += stopped and finite
        if not (stopped and finite):
            notes.append(f"{number}: exit {code}, {subject.said[-200:]!r}")
        shutil.rmtree(subject.place)
    return Outcome(
        tried=len(numbers),
        held=held,
        counts={"runs stopped before the step, with finite checkpoints": held},
        notes=notes,
    )


def is_finite(checkpoint: Path) -> bool:
    """Tell whether all weights of a checkpoint are numbers."""
    weights = AtomicCheckpointIO().load_checkpoint(checkpoint)["state_dict"].values()
    return all(bool(weight.isfinite().all()) for weight in weights)
