"""Read and write the clean subset of a benchmark by a rule: the files that `stage=clean` makes.

    <data.root>/<clean.views>/SET.RULE.jsonl

The first line names the rule, the set and the probes; then one line for each question, kept or not,
with its band and the reason:

    {"set": "test", "rule": "omniclean", "numbers": {...}, "condition": "no_audio", "how": "absent",
     "probes": [{"key": "5f0c...", "model": "..."}], "questions": 2, "kept": 1}
    {"id": "q1", "content_hash": "9b1e...", "band": "weak", "kept": false, "reason": "..."}

A view applies to exactly the questions that were judged, by their content hashes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import final, get_args

import numpy as np
from numpy.typing import NDArray

from configs.inputs import RuleName
from datamodules.sample import Sample
from datamodules.sources.row_files import own_lines
from untrusted.json_text import json_of


@dataclass(frozen=True, kw_only=True)
class JudgedQuestion:
    """The outcome of one question."""

    id: str
    content_hash: str
    band: str
    """See datamodules/contribution/decide.py."""

    kept: bool
    reason: str
    """Why a question is kept on which no answers decide, or else the counts."""


@final
@dataclass(frozen=True, kw_only=True)
class CleanView:
    """The outcome of one rule on one set."""

    set: str
    rule: str
    numbers: Mapping[str, object]
    """Those of the rule."""

    condition: str
    how: str
    probes: Sequence[Mapping[str, str]]
    """Key and model of each probe whose answers were read; empty where no answer could matter."""

    rows: Sequence[JudgedQuestion]
    """In the order of the manifest."""

    def kept(self, samples: Sequence[Sample]) -> NDArray[np.bool_]:
        """Mark the questions of the set, all of them, that count for a clean score.

        Shapes: -> (questions,)
        """
        judged = {row.id: row for row in self.rows}
        changed = [
            sample.id
            for sample in samples
            if sample.id in judged and judged[sample.id].content_hash != sample.content_hash
        ]
        unknown = [sample.id for sample in samples if sample.id not in judged]
        gone = judged.keys() - {sample.id for sample in samples}
        complaints = (
            (changed, "have changed since"),
            (unknown, "were not judged"),
            ([row.id for row in self.rows if row.id in gone], "were judged and are there no more"),
        )
        for ids, complaint in complaints:
            if ids:
                raise ValueError(
                    f"{len(ids)} questions of {self.set} {complaint} (first: {ids[0]!r}), but the "
                    f"view that {self.rule} left speaks of {len(judged)} questions as they were: "
                    f"judge them again with `python eval.py stage=clean 'clean.sets=[{self.set}]' "
                    f"'clean.rules=[{self.rule}]'`, or show the raw score alone with "
                    "benchmark.clean_view=none."
                )
        return np.array([judged[sample.id].kept for sample in samples], dtype=np.bool_)


def view_path(directory: Path, set_name: str, rule: str) -> Path:
    """Name the file of a view; a set keeps its ending in it unless that is `.jsonl`."""
    name = PurePosixPath(set_name)
    if name.is_absolute() or ".." in name.parts:
        raise ValueError(
            f"the set {set_name!r} lies outside data.root, but its view lies in {directory} under "
            "the same name: set data.root to a directory that holds it."
        )
    return directory / f"{set_name.removesuffix('.jsonl')}.{rule}.jsonl"


def view_text(view: CleanView) -> str:
    """Serialize a view; the same outcome gives the same bytes."""
    fields = ("set", "rule", "numbers", "condition", "how", "probes")
    head = {name: vars(view)[name] for name in fields}
    head |= {"questions": len(view.rows), "kept": sum(row.kept for row in view.rows)}
    lines = [head, *map(asdict, view.rows)]
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def read_view(path: Path) -> CleanView:
    """Read what `view_text` wrote, all of it."""
    try:
        head, *lines = map(json_of, own_lines(path))
        questions, kept = head.pop("questions"), head.pop("kept")
        view = CleanView(**head, rows=[JudgedQuestion(**line) for line in lines])
        found = (len(view.rows), sum(row.kept for row in view.rows))
        if found != (questions, kept):
            raise ValueError(f"{found} questions and kept ones, not {(questions, kept)}")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}), but a view is read whole or not at all: delete it, and "
            "make it again with `python eval.py stage=clean`."
        ) from error
    return view


def find_views(directory: Path, set_name: str) -> list[CleanView]:
    """Read the views of a set, in the order in which rules are listed."""
    paths = [view_path(directory, set_name, rule) for rule in get_args(RuleName)]
    return [read_view(path) for path in paths if path.exists()]
