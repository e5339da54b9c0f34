"""Time the phases of a step."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import final

import torch


@final
class PhaseTimer:
    """Adds up the seconds of named phases. A phase inside another is charged to itself alone, so
    that all phases together are the time that passed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running: list[str] = []
        self._since = 0.0

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Count the seconds inside for `name`, also where an exception ends them."""
        self._charge()
        self._running.append(name)
        try:
            yield
        finally:
            self._charge()
            self._running.pop()

    def _charge(self) -> None:
        """Add the time since the last change to the running phase."""
        if torch.cuda.is_initialized():
            # Work is only queued on a GPU; without this, a phase would be charged for another's.
            # Asked here and not by an argument, so that phases can be timed wherever they are.
            torch.cuda.synchronize()
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


def timed(timer: PhaseTimer | None, name: str) -> AbstractContextManager[None]:
    """Time a phase where there is a timer."""
    return nullcontext() if timer is None else timer.timed(name)
