"""What a worst case of reading or judging is, for `python -m bench.worst`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final


@final
@dataclass(frozen=True, kw_only=True)
class Case:
    """One row that is as costly as the limits allow, or goes beyond them and has to be refused.

    It runs in a process of its own, whose time and peak of memory are those of `run` alone.
    """

    room: str
    """What bears the cost: a reader, a judge, a cache."""

    name: str
    run: Callable[[Path], str]
    """Read or judge it; returns what came of it in a few words, as "read" or "refused: ..."."""

    prepare: Callable[[Path], object] = lambda folder: None
    """Write into an empty directory what is to be read; not measured."""
