"""Read what probes counted: join each probe once, then answer any query about it.

A shard may be deleted after it was listed because it was merged into another, or its rows may be
there twice because the merging process was killed; both are handled. A file that is no shard is an
error and never skipped: rows that vanish unnoticed would change what is trained on. Files that may
not be read are logged, and count as not asked.
"""

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from configs.ablation import Condition, Replacement
from datamodules.contribution.decide import Counts
from datamodules.contribution.probe_shards import SCHEMA, read_shard, warn_unread

_NEEDED = [name for name in SCHEMA.names if name not in ("sample_id", "option_logprobs", "shard")]

_LOOKS = 30
"""How often a reader starts again because shards were merged while it read."""

_PAUSE = 0.1
"""Seconds by which each new try waits longer: deleting old shards takes a while."""


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """The counts of one probe, joined on the questions of a run.

    The arrays hold an entry for each row that counts. No Python object is made per row or per
    question, because there are millions.
    """

    content: NDArray[np.int64]
    """Number of each question's content; equal contents share their scores."""

    about: NDArray[np.int64]
    """Number of the content that each row is about."""

    setting: NDArray[np.int64]
    settings: dict[tuple[object, object], int]
    """How `setting` encodes condition and how."""

    option_seed: NDArray[np.int64]
    n: NDArray[np.int64]
    n_correct: NDArray[np.int64]
    n_unparsed: NDArray[np.int64]

    @staticmethod
    def load(root: str | Path, key: str, content_hashes: Sequence[str]) -> "Scores":
        """Read one probe; without any shard, it has answered nothing."""
        wanted, content = encode(_binary(content_hashes))
        _, table = read_shards(root, key, _NEEDED)
        known = pc.index_in(table["content_hash"], value_set=wanted)
        table = table.drop_columns(["content_hash"])
        if known.null_count:
            table, known = table.filter(known.is_valid()), known.drop_null()
        about = _numbers(known)
        identity, starts = identities(table, about)
        rows = earliest(table, identity)
        first, n = (_numbers(table[name])[rows] for name in ("first", "n"))
        counted = _in_sequence(identity[rows] // starts, first, n)
        rows = rows[counted]
        conditions, condition = encode(table["condition"])
        hows, how = encode(table["how"])
        return Scores(
            content=content,
            about=about[rows],
            setting=(condition * len(hows) + how)[rows],
            settings={
                (left, right): i * len(hows) + j
                for i, left in enumerate(conditions.to_pylist())
                for j, right in enumerate(hows.to_pylist())
            },
            option_seed=_numbers(table["option_seed"])[rows],
            n=n[counted],
            n_correct=_numbers(table["n_correct"])[rows],
            n_unparsed=_numbers(table["n_unparsed"])[rows],
        )

    def counts(
        self, condition: Condition, replacement: Replacement, *, orders: int | None = None
    ) -> Counts:
        """Sum the answers to each question under one condition, over the first orders of options.

        Args:
            orders: how many of the orders count; None takes all that were asked.
        """
        asked = self._asked(condition, replacement)
        if orders is not None:
            asked &= self.option_seed < orders
        return Counts(n=self._sum(self.n, asked), n_correct=self._sum(self.n_correct, asked))

    def unparsed(self, condition: Condition, replacement: Replacement) -> NDArray[np.int64]:
        """Sum the answers to each question that could not be parsed; no rule needs them."""
        return self._sum(self.n_unparsed, self._asked(condition, replacement))

    def done(
        self, condition: Condition, replacement: Replacement, option_seed: int
    ) -> NDArray[np.int64]:
        """Count the answers that each question has already in one order of its options."""
        asked = self._asked(condition, replacement) & (self.option_seed == option_seed)
        return self._sum(self.n, asked)

    def _asked(self, condition: Condition, replacement: Replacement) -> NDArray[np.bool_]:
        return self.setting == self.settings.get((condition, replacement), -1)

    def _sum(self, values: NDArray[np.int64], asked: NDArray[np.bool_]) -> NDArray[np.int64]:
        contents = int(self.content.max(initial=-1)) + 1
        sums = np.bincount(self.about[asked], values[asked], minlength=contents)
        return sums.astype(np.int64)[self.content]


def read_shards(root: str | Path, key: str, columns: Sequence[str]) -> tuple[list[Path], pa.Table]:
    """Read some columns of all rows of one probe, and list the files that hold them."""
    folder = Path(root) / f"probe={key}"
    for look in range(_LOOKS):
        try:
            found = {shard: read_shard(shard, key, columns) for shard in _list_shards(folder)}
        except FileNotFoundError:  # it was merged into another after it was listed
            time.sleep(_PAUSE * look)
            continue
        tables = {shard: table for shard, table in found.items() if table is not None}
        empty = SCHEMA.empty_table().select(columns)
        return [*tables], pa.concat_tables([empty, *tables.values()]).unify_dictionaries()
    raise ValueError(
        f"Shards of {folder} went away {_LOOKS} times while they were read, but a reader needs "
        "them to stay for a moment: compact less often, or wait until that is done."
    )


def identities(table: pa.Table, content: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Number the rows so that rows which repeat the same answers have the same number.

    Numbers are made of how many contents, conditions, orders and so on there are, never of their
    values, so they do not overflow. Divided by the second value returned they leave out `first`, by
    which they ascend.
    """
    firsts, start = np.unique(_numbers(table["first"]), return_inverse=True)
    starts = max(1, len(firsts))
    identity = content
    for name in ("condition", "how", "option_seed"):
        words, codes = encode(table[name])
        identity = identity * max(1, len(words)) + codes
    return identity * starts + start, starts


def earliest(table: pa.Table, identity: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows in the order of their numbers, and of equal numbers the earliest.

    What was selected once stays selected, whatever is probed again. Rows of one time are ranked by
    their counts, so that neither names nor numbers of files matter.
    """
    order = np.argsort(identity)
    repeats = np.diff(identity[order], prepend=-1) == 0
    if repeats.any():
        rivals = repeats | np.append(repeats[1:], False)
        rows = order[rivals]
        ranks = [np.asarray(table[name])[rows] for name in ("n_unparsed", "n_correct", "n", "time")]
        order[rivals] = rows[np.lexsort((*ranks, identity[rows]))]
    return order[~repeats]


def encode(column: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int64]]:
    """Number the distinct values of a column; return them, and the number in each row."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    encoded = column.combine_chunks()
    return encoded.dictionary, _numbers(encoded.indices)


def _in_sequence(
    group: NDArray[np.int64], first: NDArray[np.int64], n: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Mark the rows that start where the one before them in their group ended, the first at 0.

    Rows come sorted by group and first. A row that overlaps another would count answers twice; one
    behind a gap waits until the answers before it are there.
    """
    at = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(at[1:], len(group))
    reached = np.zeros(len(at), dtype=np.int64)
    counted = np.zeros(len(group), dtype=np.bool_)
    while len(at):  # one row of every group at a time
        counted[at] = first[at] == reached
        reached = reached + n[at] * counted[at]
        going = at + 1 < ends
        at, ends, reached = at[going] + 1, ends[going], reached[going]
    return counted


def _binary(content_hashes: Sequence[str]) -> pa.ChunkedArray:
    """Turn hexadecimal hashes into the 16 bytes that are on disk."""
    packed = bytes.fromhex("".join(content_hashes))
    assert len(packed) == 16 * len(content_hashes), "a content hash has 32 digits"
    size, buffers = len(content_hashes), [None, pa.py_buffer(packed)]
    return pa.chunked_array([pa.Array.from_buffers(pa.binary(16), size, buffers)])


def _numbers(column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(column, dtype=np.int64)


def _list_shards(folder: Path) -> list[Path]:
    """List all finished shards; what crashes left behind ends in .tmp.

    A listing may miss a shard that appears while it runs, and then the shards merged into it.
    Listing twice reveals this: the new shard is in the second list, or an old one is missing from
    it.
    """
    before = None
    while True:
        try:
            names = os.listdir(folder) if folder.is_dir() else []
        except PermissionError as error:
            warn_unread(folder, str(error.strerror))
            return []
        shards = {folder / name for name in names if re.fullmatch(r"[^.].*\.parquet", name)}
        if before is not None and before <= shards:
            return sorted(shards)
        before = shards
