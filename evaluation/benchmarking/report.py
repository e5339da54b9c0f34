"""The report of a benchmark: the rows of all its tables, and the same as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from evaluation.benchmarking.fixed_options import MacroF1
from evaluation.statistics.intervals import Interval, without_nan
from evaluation.statistics.significance import ComparisonRow

POWER = 0.8
"""Power of the test that `Comparison.smallest` assumes."""


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """The score of one checkpoint on one set, with all that is needed to interpret it."""

    set: str
    checkpoint: str
    score: Interval
    """Over all questions of the set; missing and unparsed answers are wrong."""

    unparsed: float
    missing: float
    first_option: float
    longest_option: float
    text_only: float | None
    """None where that condition was not run."""

    clean: Mapping[str, Interval]
    """By rule, the score on its clean view."""

    official: Mapping[str, float] | None
    """None where no rule of the publisher is known."""

    all_orders: float | None
    """Share of questions that are right in every order; None with one order."""

    given_away: float | None
    """Share of descriptions that leak the answer; None where answers are graded."""

    macro_f1: MacroF1 | None = None
    """None where questions have different options."""


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean scores of one checkpoint over all sets."""

    checkpoint: str
    macro: Interval
    weighted: Interval
    clean: Mapping[str, tuple[Interval, Interval]]
    """Macro and weighted means, by the rules that have a view of every set."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The baseline, alone or beside one checkpoint, on groups of questions of one set."""

    set: str
    rows: Sequence[ComparisonRow]
    smallest: float | None
    """Smallest true difference on all questions that is found with `POWER`."""

    discordance: float | None = None
    """Mean square of the differences; of binary scores, the share that differ."""


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Scores of one checkpoint under full and under a condition, on the affected questions."""

    set: str
    setting: str
    checkpoint: str
    full: Interval
    left: Interval
    difference: Interval
    """Full minus left, paired."""


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """One grounding metric of a checkpoint."""

    set: str
    checkpoint: str
    measure: str
    value: Interval


@dataclass(frozen=True, kw_only=True)
class Report:
    """All tables of one benchmark."""

    heading: str
    lines: Sequence[ScoreRow]
    means: Sequence[Mean]
    """Empty where there is one set."""

    comparisons: Sequence[Comparison]
    ablations: Sequence[Ablation]
    groundings: Sequence[Grounding]
    notes: Sequence[str] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values, with null for NaN."""
        report = asdict(self) | {"rows": [row for each in self.comparisons for row in _rows(each)]}
        del report["comparisons"]
        flat: dict[str, Any] = without_nan(report)
        return flat


def _rows(comparison: Comparison) -> list[dict[str, object]]:
    """Flatten a comparison into rows; its power is in the first, which is all questions."""
    nothing = dict.fromkeys(("smallest", "discordance"))
    return [
        {"set": comparison.set}
        | asdict(row)
        | {"questions": row.questions.strip()}
        | (nothing if number else {name: vars(comparison)[name] for name in nothing})
        for number, row in enumerate(comparison.rows)
    ]
