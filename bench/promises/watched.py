"""What a run shows to those who kill it: where it is, and which samples it has learned from."""

import atexit
import faulthandler
import json
import math
import random
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from modules.base import PostTrainingModule
from modules.rlvr import RlvrModule
from modules.rollout.collector import RolloutCollector
from modules.step.micro_batch import LossOf, M, StepCounts

SHOW = signal.SIGRTMIN
"""Signal at which a run writes its stack to a file, in whatever code it is."""

JUMPS = (-3e7, -86_400.0, -3_600.0, 0.0, 3_600.0, 86_400.0, 3e7)
"""Seconds by which a jumping clock is wrong."""


SPOILED = ("loss", "gradient", "log-prob", "reward")
"""Numbers that may be spoiled."""

FIRST = 6
"""Optimizer steps before a number is spoiled."""


def watch(place: str, *, jumping: bool, spoiled: str) -> None:
    """Prepare this process, before its run begins.

    Args:
        place: a directory for the stack, and for what is learned from.
        jumping: let the clock jump forth and back, by up to a year, whenever it is read.
        spoiled: a number of reinforcement learning that is none after some steps; "" for none.
    """
    stack = (Path(place) / "stack").open("w")
    # Lightning puts back the handlers that Python knows of, once a training has ended.
    signal.signal(SHOW, lambda *_: faulthandler.dump_traceback(stack, all_threads=False))
    faulthandler.register(SHOW, file=stack, all_threads=False)
    atexit.register(_end_showing)
    optimize = PostTrainingModule.optimize

    def noted(
        self: PostTrainingModule, micro_batches: Sequence[M], loss_of: LossOf[M], counts: StepCounts
    ) -> None:
        spoils = self.global_step >= FIRST and spoiled in ("loss", "gradient")
        optimize(
            self, micro_batches, _spoiled(loss_of, self, spoiled) if spoils else loss_of, counts
        )
        ids = [sample.id for each in micro_batches for sample in each.batch.samples]
        with (Path(place) / "learned").open("a") as file:
            file.write(json.dumps([self.global_step, sorted(ids)]) + "\n")

    PostTrainingModule.optimize = noted  # type: ignore[method-assign]  # of this process alone
    if spoiled == "log-prob":
        _spoil(RlvrModule, "score_rollout", "sampler")
    elif spoiled == "reward":
        _spoil(RolloutCollector, "_rollout", "rewards")
    if jumping:
        real, dice = time.time, random.Random(0)
        time.time = lambda: real() + dice.choice(JUMPS)


def _end_showing() -> None:
    """Write no stack while Python ends, which would not always survive it."""
    faulthandler.unregister(SHOW)
    signal.signal(SHOW, signal.SIG_IGN)


def _spoiled(loss_of: LossOf[M], module: PostTrainingModule, what: str) -> LossOf[M]:
    """Let a loss be NaN, or its gradient alone."""

    def spoiled(micro_batch: M) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss, stats = loss_of(micro_batch)
        if what == "loss":
            return loss * math.nan, stats
        weight = next(each for each in module.policy.parameters() if each.requires_grad)
        return loss + (weight.sum() * 0).sqrt() * 0, stats  # the root has no slope at 0

    return spoiled


def _spoil(owner: type, method: str, field: str) -> None:
    """Let a field of what a method returns be NaN after some steps."""
    kept = getattr(owner, method)

    def spoiling(self: Any, *arguments: Any, **named: Any) -> Any:  # whatever the method takes
        found = kept(self, *arguments, **named)
        if named.get("step", getattr(self, "global_step", 0)) < FIRST:
            return found
        return replace(found, **{field: getattr(found, field) * math.nan})

    setattr(owner, method, spoiling)
