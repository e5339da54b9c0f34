"""Truth files: what questions are known to need, in `truth/SPLIT.jsonl` beside a manifest."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from configs.ablation import LEFT, Condition, Part
from datamodules.sources.row_files import own_lines
from untrusted.json_text import json_of

ENOUGH: Mapping[str, tuple[frozenset[Part], ...]] = {
    "text": (frozenset({"text"}),),
    "audio": (frozenset({"audio", "text"}),),
    "visual": (frozenset({"visual", "text"}),),
    "both": (frozenset({"audio", "visual", "text"}),),
    "either": (frozenset({"audio", "text"}), frozenset({"visual", "text"})),
}
"""By the `evidence` of a truth file: the sets of parts any one of which suffices to answer."""


def known_fields(root: Path, split: str, fields: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read the truth rows of manifests joined by `+`, by question id."""
    return {
        id_: row
        for name in split.split("+")
        for id_, row in read_fields(root / "truth" / f"{name}.jsonl", fields).items()
    }


def read_fields(file: Path, fields: Sequence[str]) -> dict[str, dict[str, str]]:
    """Read the rows of a truth file by question id; empty where there is no such file."""
    required = {"id", *fields}
    lines = own_lines(file) if file.exists() else ()
    truth = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json_of(line)
            missing = sorted(required - row.keys())
        except (ValueError, AttributeError) as error:
            raise ValueError(
                f"{file}:{number} is no object of JSON ({error}), but each line of a truth file "
                "is: mend it."
            ) from error
        if missing:
            raise ValueError(
                f"{file}:{number} has no {missing[0]!r}, but every row of a truth file names "
                f"{', '.join(sorted(required))}: add it, or choose another group_by."
            )
        truth[row["id"]] = row
    return truth


def read_truth(file: Path, fields: Sequence[str] = ("evidence",)) -> dict[str, dict[str, str]]:
    """Read a truth file whose `evidence` rules can be compared with."""
    truth = read_fields(file, fields)
    for id_, row in truth.items():
        if row["evidence"] not in ENOUGH:
            raise ValueError(
                f"{file}: {id_!r} has evidence {row['evidence']!r}, but evidence says what an "
                f"answer needs: choose from {', '.join(ENOUGH)}."
            )
    return truth


def answerable(evidence: str, condition: Condition) -> bool:
    """Tell whether a condition leaves enough to answer."""
    return any(parts <= LEFT[condition] for parts in ENOUGH[evidence])
