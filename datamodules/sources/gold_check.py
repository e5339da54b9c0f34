"""Set aside the questions whose own answer would be judged wrong: nobody could answer them."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from datamodules.quarantine import Quarantine
from datamodules.sample import Sample
from datamodules.sources.table import SampleTable, take

TOGETHER = 2048
"""Questions that are judged in one call."""


@final
@dataclass(frozen=True, kw_only=True)
class GoldCheck:
    """How the answers of a manifest are judged, before anybody is asked for them."""

    key: str
    """Names how a model is shown the options and how it is judged: what decides the outcome."""

    judge: Callable[[Sequence[Sample]], Sequence[str]]
    """Says of each question why its answer would not be judged right; `""` where it would."""


def with_right_golds(
    samples: Sequence[Sample], check: GoldCheck, quarantine: Quarantine, path: Path
) -> Sequence[Sample]:
    """Take the questions whose answers are judged right, and quarantine the others.

    What an index holds is judged once and kept with it; a small manifest is judged each time.

    Args:
        path: the manifest, for the quarantine.
    """
    wrong = _kept(samples, check) if isinstance(samples, SampleTable) else _wrong(samples, check)
    if not wrong:
        return samples
    for place, why in wrong.items():
        quarantine.add(samples[place].id, "gold_not_right", why, f"{path}#{samples[place].id}")
    good = np.array([place for place in range(len(samples)) if place not in wrong], dtype=np.int64)
    return take(samples, good)


def _wrong(samples: Sequence[Sample], check: GoldCheck) -> dict[int, str]:
    """Judge all golds; the places of those that are not right, with the reason."""
    found: dict[int, str] = {}
    for start in range(0, len(samples), TOGETHER):
        reasons = check.judge([*samples[start : start + TOGETHER]])
        found |= {start + at: why for at, why in enumerate(reasons) if why}
    return found


def _kept(table: SampleTable, check: GoldCheck) -> dict[int, str]:
    """Read what was found when the table was judged first, or judge all that its file holds."""
    file = table.file.with_name(f"golds-{check.key}.json")
    try:
        found = {int(place): why for place, why in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError):
        whole = SampleTable(table.file, root=table.root, outside_root=table.outside_root)
        found = _wrong(whole, check)
        _keep(file, found)
    if not found:
        return {}
    return {at: found[place] for at, place in enumerate(map(int, table.places)) if place in found}


def _keep(file: Path, found: dict[int, str]) -> None:
    """Write down which golds are wrong; whoever cannot write judges again next time."""
    made = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    try:
        made.write_text(json.dumps(found), encoding="utf-8")
        made.replace(file)
    except OSError:
        made.unlink(missing_ok=True)
