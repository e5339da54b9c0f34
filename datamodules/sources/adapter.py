"""The interface of adapters: a function from a published row to rows of our own manifest."""

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from os.path import isfile
from pathlib import Path, PurePosixPath
from typing import final

from datamodules.media.files import file_digest
from datamodules.media.paths import ensure_inside
from datamodules.sources.answers.golds import BY_TEXT, Golds, Way
from datamodules.sources.answers.normalize import RowError
from runtime.writing import sweep, write_bytes

Row = Mapping[str, object]


@final
@dataclass(frozen=True, kw_only=True)
class Place:
    """The position of a row, for adapters that look for media beside it."""

    root: Path
    directory: str
    """The manifest's own directory below `root`, with forward slashes; `""` is the root."""

    name: str
    """The manifest's name without its ending."""

    number: int
    """Of the row in the manifest, from 1."""

    golds: Golds = field(default_factory=Golds)
    """How the manifest writes its answers to choices, for generic formats."""

    keeps: bool = True
    """Whether media inside rows are written to files; they are not while answers are surveyed."""

    @property
    def id(self) -> str:
        """The id of a row that has none, made of its place."""
        return self.path(f"{self.name}-{self.number}")

    def path(self, relative: str) -> str:
        """Resolve a path relative to the manifest; absolute paths and URLs stay what they are."""
        return relative if "://" in relative else str(PurePosixPath(self.directory, relative))

    def first_of(self, candidates: Sequence[str]) -> str:
        """Choose the first path that exists beside the manifest, else the first: layouts differ."""
        paths = [self.path(candidate) for candidate in candidates]
        # os's test also takes names that are too long, or hold a NUL.
        return next((path for path in paths if isfile(self.root / path)), paths[0])

    def keep(self, data: bytes, name: str = "") -> str:
        """Write a medium inside a row, once, to a file in a directory beside the manifest.

        Args:
            name: original name of the file, or its ending alone.
        """
        ending = re.search(r"\.[A-Za-z0-9]{1,8}$", name)
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        kept = self.path(f"{self.name}-media/{digest}{ending[0].lower() if ending else ''}")
        if not self.keeps:
            return kept
        path = self.root / kept
        try:
            ensure_inside(self.root, path)
            if not path.is_file() or file_digest(path) != digest:  # damaged, or another's
                path.parent.mkdir(parents=True, exist_ok=True)
                _clear(path.parent)
                write_bytes(path, data)
        except OSError as error:
            raise ValueError(
                f"{path} cannot be written ({error}), but media inside a manifest are kept in "
                "files beside it: make its directory writable, or copy it to one that is."
            ) from error
        return kept


@cache
def _clear(directory: Path) -> None:
    """Remove what killed processes left among the media of a manifest, once."""
    sweep(directory)


@final
@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of question files.

        Format(name="mmau", fields=frozenset({"audio_id", "choices"}), adapt=mmau, test=True)

    A data set whose copies differ has several, of the same name.
    """

    name: str
    fields: frozenset[str]
    """A row with all of these may have this format; the format with most of them is chosen, and one
    of a data set before a generic one. A format without any is used only where it is named."""

    adapt: Callable[[Row, Place], Iterator[Row | RowError]]
    """Converts a row to one row of our own manifest, seldom to several, media paths by `Place`.
    Raises a `RowError`, or yields it where others of the row are still good. Rows without an id get
    `Place.id`; without a source, the format's name."""

    tells: Callable[[Row], bool] | None = None
    """Checks the values of a row, where the names of its fields are not specific."""

    test: bool = False
    """A benchmark: neither trained on, nor used to select checkpoints."""

    harmless: frozenset[str] = frozenset()
    """Fields that the adapter leaves unread because no answer depends on them, nested ones as
    `metadata.license`; any other unread field is logged, or quarantines the row
    (`fields/row.py`)."""

    ways: Collection[Way] = BY_TEXT
    """Notations of answers to choices that the format allows, for an adapter that uses
    `Place.golds`."""

    generic: bool = False
    """Any data set may have this format: questions are named after their manifest, not the
    format."""
