"""Settings of comparisons: which runs that exist are set side by side."""

from dataclasses import dataclass, field

ARMS = "arms.json"
"""File of a recipe's directory that lists its arms: by label and seed, the directory of a chain."""

BEFORE = "before"
"""Label of the weights that all arms start from."""


@dataclass(frozen=True, kw_only=True)
class CompareConfig:
    """Arms side by side; no model is run."""

    runs: list[str] = field(default_factory=list)
    """Directories of benchmarks, recipes and arms that stage=compare compares. `*` stands for any
    letters. May be written as `runs=[...]`."""

    against: str = ""
    """Arm that the others are compared with, `before` for the weights that they start from; empty
    takes the first. May be written as `against=ARM`."""
