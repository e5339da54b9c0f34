"""What a promise is, how hard it is tried, and the line of a table that comes of it."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from tests.fork_server import ForkServer

FULL = 50
"""Kills a stage of the whole measurement; with fewer it is the short form."""


@final
@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard promises are tried, and where."""

    kills: int
    """Of each stage; the other loops have a fixed multiple of it."""

    place: Path
    """A directory for runs."""

    elsewhere: Path
    """The temporary directory of all runs, on another file system where there is one."""

    @property
    def digits(self) -> Path:
        """Where the questions lie that all runs get a copy of."""
        return self.place / "digits"

    @property
    def short(self) -> bool:
        """Leave to `make test` what tests alone show, and to the whole form what is timed."""
        return self.kills < FULL


@final
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of trying a promise, or a part of it."""

    tried: int = 0
    held: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    """What else was counted; the parts of a promise are added up."""

    notes: Sequence[str] = ()
    """Figures that are no counts, and faults."""

    missing: str = ""
    """Why it could not be tried on this machine."""

    detail: str = ""
    """A row of the table of kills."""

    left_to: str = ""
    """The command that tries it instead, in the short form."""


Attempt = Callable[[Effort, ForkServer], Outcome]
"""Tries a promise, with a server that starts its runs."""


@final
@dataclass(frozen=True, kw_only=True)
class Promise:
    """One row of the table."""

    name: str
    words: str
    """The promise, in plain words."""

    by: Sequence[str]
    """Files that show it: benches, and tests, which are run and counted."""

    attempts: Sequence[Attempt] = ()
    """Attacks beside the tests."""

    alone: bool = False
    """Its attacks are timed, or look at what the others leave, so nothing else runs beside them."""

    @property
    def shown_by(self) -> str:
        """Name the files as a page does."""
        return ", ".join(f"`{file}`" for file in self.by)

    @property
    def tests(self) -> list[str]:
        """List the files of tests that need no cluster."""
        return [file for file in self.by if re.match(r"tests/(?!slurm)", file)]


HEAD = "| | promise | shown by | measured | s |\n|---|---|---|---|---|"


def verdict(outcomes: Sequence[Outcome]) -> str:
    """Tell whether a promise was kept: held, BROKEN, NOT SHOWN, or left to another command."""
    if any(outcome.held < outcome.tried for outcome in outcomes):
        return "BROKEN"
    if any(outcome.missing for outcome in outcomes):
        return "NOT SHOWN"
    return "held" if any(outcome.tried for outcome in outcomes) else "left"


def measured(outcomes: Sequence[Outcome]) -> str:
    """Write the figures of a promise, those of its parts added up."""
    counts = Counter[str]()
    for outcome in outcomes:
        counts.update(outcome.counts)
    tried, held = (sum(getattr(each, what) for each in outcomes) for what in ("tried", "held"))
    words = [f"{held:,} of {tried:,} held"] if tried else []
    words += [f"{count:,} {name}" for name, count in counts.items()]
    for outcome in outcomes:
        words += outcome.notes
        words += [f"not shown: {outcome.missing}"] if outcome.missing else []
    commands = dict.fromkeys(each.left_to for each in outcomes if each.left_to)
    words += [f"{'the rest ' if words else ''}by `{command}`" for command in commands]
    told = verdict(outcomes)
    return ("" if told in ("held", "left") else f"**{told}**: ") + "; ".join(words)


def line(promise: Promise, outcomes: Sequence[Outcome], seconds: float) -> str:
    """Write the row of a promise as the page has it."""
    cells = (promise.name, promise.words, promise.shown_by, measured(outcomes), f"{seconds:.0f}")
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
