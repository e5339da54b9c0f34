"""Index a large manifest, so that it is parsed once and never held in memory.

An index is a directory `index/NAME-KEY` of the data root, with the good rows as a table and the bad
ones as a quarantine lists them. The key covers the manifest's files by name, size and times, how
they are read, and the code that reads them, so that a change of any makes another index. Unused
indices may be deleted at any time.

Its checksum is verified when it is opened; a changed index is made anew.

Media are hashed when they are indexed, and not again when the index is opened; `table.checked`
tests whether they are unchanged. A row whose medium was missing stays in quarantine.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import getfile
from pathlib import Path
from typing import final, get_args

import numpy as np

from datamodules.media.files import resolve
from datamodules.media.paths import ensure_inside
from datamodules.sample import Media, Sample
from datamodules.sources.answers.normalize import Reason
from datamodules.sources.fields.row import Unread
from datamodules.sources.index.sealed import broken, seal
from datamodules.sources.index.table import SampleTable, Stamp, stamp, write_table
from datamodules.sources.manifest import read_manifest, samples_of
from datamodules.sources.quarantine import Quarantine
from datamodules.sources.row_files import own_lines
from runtime.writing import holding, sweep, whole_directory, write_text
from untrusted.json_text import json_of

log = logging.getLogger(__name__)

INDEXED_BYTES = 32 * 2**20
"""Manifests up to this size are not indexed."""


def open_samples(
    path: Path,
    root: Path,
    quarantine: Quarantine,
    *,
    taken: Container[str] = (),
    format: str = "auto",
    verifiers: Sequence[str] = (),
    outside_root: bool = False,
    above: int = INDEXED_BYTES,
) -> Sequence[Sample]:
    """Read a manifest as `read_manifest` does, through an index if it is larger than that.

    The questions are the same in either case, and so is what is quarantined.
    """
    read_as = ReadAs(format=format, verifiers=tuple(verifiers), outside_root=outside_root)
    index = _index_of(path, root, read_as, above=above)
    if index is not None:
        try:
            if _lacking(ensure_inside(root, index)):
                log.info("indexing %s in %s, once", path, index)
                _build(index, path, root, read_as)
        except OSError as error:
            log.warning("%s cannot be written (%s): the questions are kept in memory", index, error)
            index = None
    if index is None:
        return read_manifest(path, root, quarantine, taken=taken, **vars(read_as))
    _replay(index, quarantine)
    _unread(index).tell(path)
    table = SampleTable(
        index / "rows.arrow", root=root, verifiers=verifiers, outside_root=outside_root
    )
    return _without(table, taken, quarantine, path) if taken else table


@final
@dataclass(frozen=True, kw_only=True)
class ReadAs:
    """How a manifest is read, see `samples_of`."""

    format: str
    verifiers: tuple[str, ...]
    outside_root: bool


def _index_of(path: Path, root: Path, read_as: ReadAs, *, above: int) -> Path | None:
    """Return the directory of a manifest's index; None where it is too small to have one, or
    missing."""
    files = sorted(path.glob("**/*.parquet")) if path.is_dir() else [path]
    stamps = [(os.path.relpath(file, root), *stamp(file)) for file in files if file.is_file()]
    if sum(size for _, size, *_ in stamps) <= above:
        return None
    text = json.dumps([stamps, *vars(read_as).values(), _reading_code()])
    key = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return root / "index" / f"{path.stem}-{key}"


@cache
def _reading_code() -> str:
    """Hash the code that turns rows into samples."""
    sources = Path(__file__).parents[1]
    read_by = (*sorted(sources.rglob("*.py")), *(Path(getfile(one)) for one in (resolve, Sample)))
    digest = hashlib.blake2b(digest_size=8)
    for file in read_by:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _build(index: Path, path: Path, root: Path, read_as: ReadAs) -> None:
    """Write an index beside its place and rename it, or keep that of another process."""

    @cache
    def stamp_of(item: Media) -> Stamp:
        return stamp(resolve(root, item.path, outside_root=read_as.outside_root))

    try:
        with whole_directory(index, replaces=False) as made:
            bad = Quarantine(max_bad_share=1.0, run_dir=made)
            unread = Unread()
            samples = samples_of(path, root, bad, unread=unread, **vars(read_as))
            write_table(made / "rows.arrow", samples, stamp_of)
            write_text(made / "unread.json", json.dumps(unread.as_dict()))
            seal(made)
    except OSError:
        if broken(index) is not None:  # else another process was faster, and its index is as good
            raise


def _lacking(index: Path) -> bool:
    """Tell whether an index has to be made; remove a damaged one."""
    index.parent.mkdir(parents=True, exist_ok=True)
    sweep(index.parent)
    with holding(index.parent):  # another process may have made it anew by now
        if not os.path.lexists(index):
            return True
        reason = broken(index) if index.is_dir() and not index.is_symlink() else "it is no folder"
        if reason is None:
            return False
        log.warning("the index %s is damaged (%s), and is made anew", index, reason)
        if index.is_dir() and not index.is_symlink():
            shutil.rmtree(index)
        else:
            index.unlink()
    return True


def _replay(index: Path, quarantine: Quarantine) -> None:
    """Quarantine the rows that were when the manifest was indexed."""
    file = index / "quarantine.jsonl"
    unseen = 0
    for row in map(json_of, own_lines(file) if file.exists() else ()):
        quarantine.add(row["id"], row["reason"], row["detail"], row["path"])
        unseen += row["reason"] not in get_args(Reason)
    if unseen:
        log.warning(
            "%d rows stay set aside for media that were missing or bad when %s was made: once "
            "these are mended, delete it, so that the manifest is read again",
            unseen,
            index,
        )


def _unread(index: Path) -> Unread:
    """Load the fields that were unread when the manifest was indexed."""
    return Unread(**json_of((index / "unread.json").read_text(encoding="utf-8")))


def _without(
    table: SampleTable, taken: Container[str], quarantine: Quarantine, path: Path
) -> SampleTable:
    """Drop the questions whose ids occur in other manifests."""
    ids = table.column("id")
    kept = np.array([sample_id not in taken for sample_id in ids], dtype=np.bool_)
    for place in np.flatnonzero(~kept):
        quarantine.add(
            ids[place],
            "duplicate_id",
            f"{ids[place]!r} is the id of a row of another manifest too, but scores are kept by "
            "id: give each row its own.",
            str(path),
        )
    return table if kept.all() else table.take(np.flatnonzero(kept))
