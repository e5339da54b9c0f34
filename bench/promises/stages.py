"""Kill runs of each stage, repeat their command, and compare what they leave in the end.

Every second kill comes at a time drawn evenly, the others when a run is at the moment whose turn it
is: within an export, a refill, a checkpoint, validation, generation. Half of them hit all processes
of a run at once, the others its first one alone, with which the others have to end.
"""

import hashlib
import json
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, cycle
from typing import final

from bench.promises.moments import killed, moment_of
from bench.promises.outcome import Attempt, Effort, Outcome
from bench.promises.watched import SHOW
from bench.signals import below
from datamodules.contribution.probe_cache import read_rows
from tests.fork_server import Child, ForkServer, alive

TRAINING = (
    *("trainer.batch_size=3", "trainer.max_steps=12", "trainer.checkpoint_every=2"),
    *("trainer.val_check_interval=4", "trainer.val_limit=6", "trainer.log_every_n_steps=1"),
    *("rlvr.group_size=4", "rlvr.max_completion_tokens=12", "rlvr.log_rollouts_every=1"),
    "optim.lr=1e-3",
)
REFILLED = (
    *("rlvr.num_iterations=2", "rlvr.dynamic_sampling.max_batches=2"),
    *("trainer.log_every_n_steps=2", "rlvr.log_rollouts_every=2"),
)
ASKING = ("probe.limit=60", "probe.batch_size=4", "probe.conditions=[full,text_only]")
SAMPLING = ("export", "checkpoint", "validation", "generation")
EXACT = ("metrics.jsonl", "rollouts.jsonl", "results.json", "model.safetensors", "tiny.jsonl")
"""Files of run directories that are compared."""

COUNTED = (
    *("sample_id", "content_hash", "probe_key", "condition", "how", "option_seed", "first"),
    *("n", "n_correct", "n_unparsed"),
)
"""Columns of a probe that are compared; the others say when and by whom."""

AIMING = 0.01
"""Seconds between two looks at what a run is doing."""

GONE = 20.0
"""Seconds after which a process that is still there counts as left over."""


@final
@dataclass(frozen=True, kw_only=True)
class Stage:
    """What is run, and at which of its moments it is killed."""

    words: tuple[str, ...]
    moments: tuple[str, ...]
    """They take turns; with few kills only the first ones are met."""

    learns: bool = True
    """It takes steps, whose samples are noted."""

    one_in: int = 1
    """Of so many kills; those of a recipe meet runs of the stages again, which take the longest."""


STAGES: Mapping[str, Stage] = {
    "recipe": Stage(
        words=(
            *("train.py", "recipe=vidground", "trainer.max_steps=4", "trainer.checkpoint_every=1"),
            *("rlvr.log_rollouts_every=1", "benchmark.limit=30", "probe.batch_size=16"),
        ),
        moments=("probe step", "rlvr step", "benchmark step"),
        one_in=5,
    ),
    "rlvr": Stage(
        words=("train.py", "stage=rlvr", *TRAINING, *REFILLED), moments=("refill", *SAMPLING)
    ),
    "prealign": Stage(words=("train.py", "stage=prealign", *TRAINING), moments=SAMPLING),
    "distill": Stage(
        words=("train.py", "stage=distill", *TRAINING, "distill.rejection_sampling.limit=24"),
        moments=SAMPLING,
    ),
    "sft": Stage(words=("train.py", "stage=sft", *TRAINING), moments=SAMPLING[:-1]),
    "probe": Stage(
        words=("eval.py", "stage=probe", *ASKING),
        moments=("generation", "counts written"),
        learns=False,
    ),
    "benchmark": Stage(
        words=("eval.py", "stage=benchmark", "benchmark.limit=60", "benchmark.batch_size=4"),
        moments=("generation", "counts written", "report"),
        learns=False,
    ),
}


@final
@dataclass(kw_only=True)
class Tally:
    """What became of the runs of one stage."""

    kills: Counter[str] = field(default_factory=Counter)
    """By moment."""

    ends: int = 0
    """Runs that reached their end through kills."""

    equal: int = 0
    lost: int = 0
    """Samples that a step of the undisturbed run learned from, and the same step here did not."""

    repeated: int = 0
    left: int = 0
    """Processes that outlived their run."""

    files: int = 0
    """Half-written files that the finished run left."""

    seconds: float = 0.0
    """Of the undisturbed run."""


@final
class Subject:
    """The runs of one stage: all with the same name in the same place, as files hold both."""

    def __init__(
        self,
        server: ForkServer,
        stage: Stage,
        effort: Effort,
        name: str,
        *,
        jumping: bool = False,
        spoiled: str = "",
    ) -> None:
        self.server, self.stage, self.digits = server, stage, effort.digits
        self.place = effort.place / name
        there = str(self.place / "watched")
        self.watched = {"place": there, "jumping": jumping, "spoiled": spoiled}

    def reset(self) -> None:
        """Throw away what runs have left."""
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.digits, self.place / "data")
        (self.place / "watched").mkdir()

    def begin(self) -> Child:
        """Give the command."""
        script, *words = self.stage.words
        given = ["data=manifest", f"data.root={self.place / 'data'}", f"run.root={self.place}"]
        given += ["run.name=run", "trainer.accelerator=cpu"]
        return self.server.start(
            script, [*words, *given], self.place / "said", watched=self.watched
        )

    def end(self, child: Child) -> tuple[int, int]:
        """Wait for the end of a run; return its code, and how many processes are left over."""
        child.code = int(child.replies())
        server, latest = self.server.process.pid, time.monotonic() + GONE
        while (left := below(server)) and time.monotonic() < latest:
            time.sleep(0.02)
        killed(left)
        return child.code, len(left)

    @property
    def said(self) -> str:
        """The last words of all runs."""
        return (self.place / "said").read_text(errors="replace")[-2000:]

    def learned(self) -> Counter[tuple[int, str]]:
        """Count the samples of each step: of what was noted twice, what the kill did not undo."""
        noted: dict[int, list[str]] = {}
        if (file := self.place / "watched/learned").exists():
            noted |= dict(map(json.loads, file.read_text().splitlines()))
        elif not self.stage.words[1].startswith("stage="):
            for file in (self.place / "run").rglob("rollouts.jsonl"):
                for row in map(json.loads, file.read_text().splitlines()):
                    noted.setdefault(row["step"], []).append(row["id"])
        return Counter((step, name) for step, ids in noted.items() for name in ids)

    def left_by(self) -> dict[str, str]:
        """Digest what a run has left that its repetition must leave as well."""
        found = {
            str(file.relative_to(self.place)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted((self.place / "run").rglob("*"))
            if file.name in EXACT
        }
        if (self.place / "data/probes").exists():
            table = read_rows(self.place / "data/probes").to_pylist()
            found["counts"] = repr(sorted([str(row[name]) for name in COUNTED] for row in table))
        return found


def measure(subject: Subject, kills: int) -> Tally:
    """Kill runs until there were enough kills, and each run until it reaches its end."""
    tally, dice = Tally(seconds=undisturbed(subject)), random.Random(subject.place.name)
    expected, learned = subject.left_by(), subject.learned()
    turns = aims(subject.stage)
    assert expected and bool(learned) == subject.stage.learns, learned
    while (before := tally.kills.total()) < kills:
        subject.reset()
        began = time.monotonic()
        while not (subject.place / "run/finished").exists():
            child, moment = subject.begin(), ""
            if asked := tally.kills.total() < kills:
                moment = disturb(subject, child, dice, tally.seconds, next(turns))
                tally.kills.update([moment] if moment else [])
            code, left = subject.end(child)
            tally.left += left
            if asked and not moment and code in (-signal.SIGSEGV, -SHOW):  # by the asking
                tally.kills.update(["being asked"])
            elif code and not moment:
                raise RuntimeError(f"{subject.place.name} ends with {code}: {subject.said}")
        if tally.kills.total() == before:  # it was over before its time
            tally.seconds = time.monotonic() - began
            continue
        tally.ends += 1
        tally.equal += subject.left_by() == expected
        tally.lost += (learned - subject.learned()).total()
        tally.repeated += (subject.learned() - learned).total()
        tally.files += len(list(subject.place.rglob("*.tmp")))
    shutil.rmtree(subject.place)
    return tally


def aims(stage: Stage) -> Iterator[str]:
    """Give the moment of each kill; "" is a time drawn evenly."""
    return cycle(chain.from_iterable((moment, "") for moment in stage.moments))


def undisturbed(subject: Subject) -> float:
    """Let a run reach its end; return its seconds."""
    subject.reset()
    began = time.monotonic()
    code, _ = subject.end(subject.begin())
    if code:
        raise RuntimeError(f"{subject.place.name} ends undisturbed with {code}: {subject.said}")
    return time.monotonic() - began


def disturb(subject: Subject, child: Child, dice: random.Random, seconds: float, aim: str) -> str:
    """Kill a run once it is at a moment; return what it was doing, or "" where it ended before.

    Args:
        seconds: of the undisturbed run.
        aim: the moment; "" is a time drawn evenly.
    """
    begins = time.monotonic() + dice.uniform(0, seconds / 2 if aim else seconds * 0.8)
    everybody = dice.random() < 0.5
    stack = subject.place / "watched/stack"
    while alive(child.pid):
        if time.monotonic() >= begins:
            moment = moment_of(child.pid, stack)
            if moment == aim or not aim:
                killed([child.pid, *(below(child.pid) if everybody else ())])
                return moment
        time.sleep(AIMING)
    return ""


def kill_stage(effort: Effort, server: ForkServer, *, name: str) -> Outcome:
    """Kill runs of one stage."""
    kills = max(3, effort.kills // STAGES[name].one_in)
    return as_outcome(measure(Subject(server, STAGES[name], effort, name), kills), name)


def as_outcome(tally: Tally, name: str) -> Outcome:
    """A run counts as held where all of it is as without kills."""
    at = ", ".join(f"{count} {moment}" for moment, count in tally.kills.most_common())
    faults = tally.lost + tally.repeated + tally.left + tally.files
    numbers = (tally.ends, tally.equal, tally.lost, tally.repeated, tally.left, tally.files)
    cells = (name, tally.kills.total(), at, *numbers, f"{tally.seconds:.1f}")
    return Outcome(
        tried=tally.ends,
        held=tally.equal if not faults else 0,
        counts={
            "kills": tally.kills.total(),
            "samples lost": tally.lost,
            "learned from twice": tally.repeated,
            "processes left": tally.left,
            "half-written files left": tally.files,
        },
        detail=f"| {' | '.join(map(str, cells))} |",
    )


STAGE_HEAD = (
    "| stage | kills | while in | ended after kills | equal | samples lost | learned twice "
    "| processes left | files left | undisturbed, s |\n|---|---|---|---|---|---|---|---|---|---|"
)
KILLS: Mapping[str, Attempt] = {name: partial(kill_stage, name=name) for name in STAGES}
