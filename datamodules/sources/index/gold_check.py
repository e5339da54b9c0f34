"""Quarantine questions whose reference answer the verifier would judge wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

import numpy as np

from datamodules.sample import Sample
from datamodules.sources.index.memo import memoized
from datamodules.sources.index.table import take
from datamodules.sources.quarantine import Quarantine

TOGETHER = 2048
"""Questions that are judged in one call."""


@final
@dataclass(frozen=True, kw_only=True)
class GoldCheck:
    """How reference answers are judged."""

    key: str
    """Identifies how options are shown and answers are judged: everything that decides the
    outcome."""

    judge: Callable[[Sequence[Sample]], Sequence[str]]
    """Returns for each question why its answer would be judged wrong; `""` where it would be
    right."""


def with_right_golds(
    samples: Sequence[Sample], check: GoldCheck, quarantine: Quarantine, path: Path
) -> Sequence[Sample]:
    """Keep the questions whose answers are judged right, and quarantine the others.

    The outcome is stored with an index; a small manifest is judged each time.

    Args:
        path: the manifest, for the quarantine.
    """
    wrong = memoized(samples, f"golds-{check.key}", partial(_wrong, check=check))
    if not wrong:
        return samples
    for place, why in wrong.items():
        quarantine.add(samples[place].id, "gold_not_right", why, f"{path}#{samples[place].id}")
    good = np.array([place for place in range(len(samples)) if place not in wrong], dtype=np.int64)
    return take(samples, good)


def _wrong(samples: Sequence[Sample], check: GoldCheck) -> dict[int, str]:
    """Judge all reference answers; return the places of wrong ones, with the reason."""
    found: dict[int, str] = {}
    for start in range(0, len(samples), TOGETHER):
        reasons = check.judge([*samples[start : start + TOGETHER]])
        found |= {start + at: why for at, why in enumerate(reasons) if why}
    return found
