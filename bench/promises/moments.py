"""What a run is doing, by the stack that it writes when it is asked."""

import os
import re
import signal
import time
from pathlib import Path

from bench.promises.watched import SHOW
from bench.signals import below, command_of

FRAME = re.compile(r'^  File "(.*)", line \d+ in (.*)$', re.MULTILINE)
MOMENTS = {
    "checkpoint": ("checkpoints.py save_checkpoint",),
    "export": ("training/run.py leave",),
    "resuming": ("checkpoints.py load_checkpoint", "checkpoints.py newest_valid"),
    "validation": ("evaluation_loop.py run", "policy_module.py validation_step"),
    "refill": ("rollout/collector.py _resample",),
    "generation": (
        *("rollout/collector.py _rollout", "inference/generate.py ask", "policy/omni.py sample"),
        *("probing/local.py _answered", "training/rejection_sampling.py _sampled"),
    ),
    "update": ("modules/base.py optimize",),
    "counts written": ("contribution/probe_cache.py add_table", "answers.py append_answers"),
    "report": ("benchmarking/stage.py _report", "benchmarking/stage.py _grade"),
    "step": ("modules/rlvr.py training_step", "loops/training_epoch_loop.py advance"),
    "reading": (
        *("training/run.py train", "probing/stage.py probe", "benchmarking/stage.py benchmark"),
    ),
}
"""Of each moment the functions that are running then; the first moment that fits counts."""

STEPS = ("stage=probe", "stage=rlvr", "stage=benchmark")
"""Words by which a step of a recipe is known."""

PATIENCE = 0.2
"""Seconds within which a run has written its stack."""


def moment_of(pid: int, stack: Path) -> str:
    """Ask a run what it is doing; of a recipe, which of its steps runs."""
    for other in below(pid):
        for step in STEPS:
            if step in command_of(other):
                return f"{step.removeprefix('stage=')} step"
    if not _hears(pid):
        return "start or end"
    return read_moment(_asked(pid, stack))


def read_moment(stack: str) -> str:
    """Tell the moment from a stack."""
    frames = {f"{file} {function}" for file, function in FRAME.findall(stack)}
    for moment, functions in MOMENTS.items():
        if any(frame.endswith(function) for function in functions for frame in frames):
            return moment
    return "start or end"


def _hears(pid: int) -> bool:
    """Tell whether a run has come to where it writes its stack at the signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = re.search(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> SHOW - 1 & 1)


def _asked(pid: int, stack: Path) -> str:
    """Let a run write its stack, and read it as soon as it is whole."""
    before = stack.stat().st_size
    try:
        os.kill(pid, SHOW)
    except ProcessLookupError:
        return ""
    latest, text = time.monotonic() + PATIENCE, ""
    while time.monotonic() < latest and not text.endswith(("in <module>\n", "...\n")):
        time.sleep(0.0005)
        text = stack.read_bytes()[before:].decode(errors="replace")
    return text


def killed(pids: list[int]) -> None:
    """Kill processes, of which some may have ended."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
