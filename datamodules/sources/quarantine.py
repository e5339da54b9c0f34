"""Quarantine bad records, count them, and stop a run that has too many.

A bad record neither crashes a run nor is skipped silently: it is recorded with a reason, and the
run continues while such records are few.
"""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import final

from runtime.writing import append

KNOWN_TEST = "known_test"
"""The reason of good questions that belong to a test set, and must not be trained on."""

LONGEST_DETAIL = 2_000
"""Longest explanation that is kept, in characters: it may quote a row, and rows may be long."""

log = logging.getLogger(__name__)


@final
class Quarantine:
    """The bad records of one process, by reason; a record is counted once.

    Loader processes may share a file: every record is one short append. Each counts its own.
    """

    def __init__(self, *, max_bad_share: float, run_dir: Path | None = None) -> None:
        self.max_bad_share = max_bad_share
        self.file = None if run_dir is None else run_dir / "quarantine.jsonl"
        self.counts: Counter[str] = Counter()
        self._seen: dict[tuple[str, str, str], str] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, sample_id: str, reason: str, detail: str, path: str) -> None:
        """Record one bad record.

        Args:
            reason: a word to count by, such as `missing`.
            detail: what is wrong, the rule, and the way out.
            path: the file that is bad, or the manifest and row, as in `train.jsonl:17`.
        """
        detail = detail if len(detail) <= LONGEST_DETAIL else f"{detail[:LONGEST_DETAIL]}..."
        key = (sample_id, reason, path)
        if key in self._seen:
            return
        if reason not in self.counts:
            log.warning("set aside the first record as %s: %s (%s)", reason, detail, path)
        self._seen[key] = detail
        self.counts[reason] += 1
        if self.file is not None:
            row = {"id": sample_id, "reason": reason, "detail": detail, "path": path}
            append(self.file, json.dumps(row).encode() + b"\n")

    def first(self, reason: str) -> tuple[str, str, str]:
        """Return the id, the path and the detail of the first record of a reason."""
        return next((key[0], key[2], said) for key, said in self._seen.items() if key[1] == reason)

    def check(self, total: int) -> None:
        """Raise when too many of `total` records, good and bad, are in quarantine.

        Known tests do not count as bad: `data.max_test_share` bounds them.
        """
        bad = len(self) - self.counts[KNOWN_TEST]
        if bad <= self.max_bad_share * total:
            return
        found = (one for one in self._seen.items() if one[0][1] != KNOWN_TEST)
        (sample_id, _, path), detail = next(found)
        counts = (one for one in self.counts.most_common() if one[0] != KNOWN_TEST)
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts)
        listed = f"; {self.file} lists all" if self.file is not None else ""
        raise ValueError(
            f"{bad} of {total} records are bad ({reasons}), but data.max_bad_share is "
            f"{self.max_bad_share}. The first is {sample_id!r} at {path}: {detail} Mend them"
            f"{listed}, or raise data.max_bad_share."
        )
