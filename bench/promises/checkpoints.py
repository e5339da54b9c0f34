"""Kill processes that save checkpoints, and damage the newest checkpoint of killed runs."""

import logging
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import final

import torch

from bench.probe_cache import apart
from bench.promises.moments import killed
from bench.promises.outcome import Effort, Outcome
from bench.promises.stages import STAGES, Subject, undisturbed
from bench.signals import below
from runtime.writing import sweep
from tests.fork_server import ForkServer
from tests.mortal import mortal
from training.callbacks.checkpoints import NAMED, AtomicCheckpointIO, damage, newest_valid, prune

NEWEST = "step-00000008.ckpt"
LONGEST = 0.5
"""Seconds that a save is taken to last, on a disk that others keep busy."""


def halfway(effort: Effort, server: ForkServer, name: str) -> tuple[Subject, dict[str, str]]:
    """Leave a run that was killed once it had two checkpoints; return it, and what it has to leave
    in the end."""
    subject = Subject(server, STAGES["sft"], effort, name)
    undisturbed(subject)
    expected = subject.left_by()
    subject.reset()
    child = subject.begin()
    child.await_((subject.place / "run/checkpoints" / NEWEST).exists)
    killed([child.pid, *below(child.pid)])
    subject.end(child)
    return subject, expected


@final
@dataclass(kw_only=True)
class Saves:
    """What became of writers that were killed."""

    within: int = 0
    """Kills that left a half-written file."""

    whole: int = 0
    """Kills after which every checkpoint was whole, and none that was saved had gone."""

    corrupt: int = 0
    saved: int = 0
    """The newest step."""

    left: int = 0
    """Other files beside the checkpoints, once the next start has swept."""


def kill_writers(source: Path, directory: Path, elsewhere: Path, kills: int) -> Saves:
    """Kill writers of a checkpoint, each once a file is begun: two of three within the time of a
    save, the others within that of several."""
    os.environ["TMPDIR"], tempfile.tempdir = str(elsewhere), None
    torch.set_num_threads(1)  # a fork has no others
    logging.disable(logging.WARNING)
    store, dice, found = AtomicCheckpointIO(), random.Random(0), Saves()
    checkpoint, began = store.load_checkpoint(source), time.monotonic()
    store.save_checkpoint(checkpoint | {"global_step": 1}, directory / "step-00000001.ckpt")
    spell, found.saved = min(time.monotonic() - began, LONGEST), 1
    for _ in range(kills):
        sweep(directory)
        if (writer := os.fork()) == 0:
            mortal()
            for step in count(found.saved + 1):
                checkpoint["global_step"] = step
                store.save_checkpoint(checkpoint, directory / f"step-{step:08d}.ckpt")
                prune(directory, saved=step)
        while not list(directory.glob("step-*.ckpt.*.tmp")):
            assert os.waitpid(writer, os.WNOHANG) == (0, 0), "a writer ended by itself"
        time.sleep(dice.uniform(0, spell * dice.choice((1, 1, 8))))
        killed([writer])
        os.waitpid(writer, 0)
        found.within += any(directory.glob("*.tmp"))
        damaged = sum(damage(path) is not None for path in directory.glob("*.ckpt"))
        newest = newest_valid(directory)
        step = store.load_checkpoint(newest)["global_step"] if newest else 0
        found.corrupt += damaged
        found.whole += not damaged and step >= found.saved
        found.saved = step
    sweep(directory)
    found.left = sum(NAMED.match(path.name) is None for path in directory.iterdir())
    return found


def kill_saves(effort: Effort, server: ForkServer) -> Outcome:
    """Kill twice as many writers of a real checkpoint as runs of a stage."""
    subject, _ = halfway(effort, server, "saves")
    directory, elsewhere = subject.place / "saves", effort.elsewhere / "saves"
    for made in (directory, elsewhere):
        made.mkdir()
    source, kills = subject.place / "run/checkpoints" / NEWEST, 2 * effort.kills
    found = apart(kill_writers, source, directory, elsewhere, kills)
    outside = len(list(elsewhere.rglob("*")))
    shutil.rmtree(subject.place)
    other = effort.elsewhere.stat().st_dev != effort.place.stat().st_dev
    return Outcome(
        tried=kills,
        held=found.whole if not outside + found.left else 0,
        counts={
            "kills of a writer": kills,
            "with a file half written": found.within,
            "corrupt checkpoints": found.corrupt,
            "files left outside of the run": outside,
        },
        notes=[f"{found.saved:,} checkpoints written"],
        missing="" if other else "no other file system for temporary files",
    )


def nothing_outside(effort: Effort, server: ForkServer) -> Outcome:
    """Look for what killed runs have left in the temporary directory; libraries keep one there."""
    left = [path.name for path in (effort.elsewhere / "runs").iterdir()]
    left = [name for name in left if not name.startswith("earwitness-")]
    return Outcome(
        tried=1,
        held=not left,
        counts={"files of killed runs in the temporary directory": len(left)},
        notes=[", ".join(left[:5])] if left else [],
    )


def _changed(change: Callable[[bytearray, random.Random], bytes | bytearray]) -> Callable:  # type: ignore[type-arg]
    """Damage a file by a change of its bytes."""
    return lambda path, dice: path.write_bytes(change(bytearray(path.read_bytes()), dice))


def _flipped(content: bytearray, dice: random.Random) -> bytearray:
    content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    return content


def _misspelled(content: bytearray, dice: random.Random) -> bytearray:
    """Flip a bit of the sum; the name of the file behind it says nothing."""
    content[dice.randrange(64)] ^= 1 << dice.randrange(8)
    return content


def _zeroed(content: bytearray, dice: random.Random) -> bytearray:
    at = dice.randrange(len(content) - 4096)
    content[at : at + 4096] = bytes(4095) + b"\1"
    return content


DAMAGES: Mapping[str, Callable[[Path, random.Random], object]] = {
    "one bit": _changed(_flipped),
    "cut": _changed(lambda content, dice: content[: dice.randrange(1, len(content))]),
    "empty": _changed(lambda content, dice: b""),
    "a page": _changed(_zeroed),
    "longer": _changed(lambda content, dice: content + dice.randbytes(9)),
    "deleted": lambda path, dice: path.unlink(),
    "no checksum": lambda path, dice: path.with_name(f"{path.name}.sha256").unlink(),
    "its checksum": lambda path, dice: _changed(_misspelled)(
        path.with_name(f"{path.name}.sha256"), dice
    ),
}


def damage_newest(effort: Effort, server: ForkServer) -> Outcome:
    """Damage the newest checkpoint in many ways; let every tenth run go on, to its end."""
    subject, expected = halfway(effort, server, "damaged")
    before = subject.place.with_name("before")
    shutil.copytree(subject.place, before)
    dice = random.Random(0)
    fell_back = detected = equal = 0
    runs = max(1, effort.kills // 10)
    for number in range(effort.kills):
        checkpoints = subject.place / "run/checkpoints"
        shutil.rmtree(checkpoints, ignore_errors=True)
        shutil.copytree(before / "run/checkpoints", checkpoints)
        older = max(path for path in checkpoints.glob("*.ckpt") if path.name < NEWEST)
        [*DAMAGES.values()][number % len(DAMAGES)](checkpoints / NEWEST, dice)
        detected += damage(checkpoints / NEWEST) is not None
        fell_back += newest_valid(checkpoints) == older
        if number < runs:
            shutil.rmtree(subject.place)
            shutil.copytree(before, subject.place)
            [*DAMAGES.values()][number % len(DAMAGES)](checkpoints / NEWEST, dice)
            code, _ = subject.end(subject.begin())
            equal += not code and subject.left_by() == expected
    for each in (subject.place, before):
        shutil.rmtree(each)
    return Outcome(
        tried=effort.kills + runs,
        held=min(fell_back, detected) + equal,
        counts={
            "damaged": effort.kills,
            "detected": detected,
            "taken up at the one before": fell_back,
            "whole runs that went on": runs,
            "equal to the undisturbed one": equal,
        },
    )
