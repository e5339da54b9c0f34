"""What an adapter is: a function from a published row to rows of our own manifest."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import final

from configs.inputs import FormatName
from datamodules.media.files import file_digest
from datamodules.media.places import own
from datamodules.sources.answers.golds import WAYS, Golds, Way
from datamodules.sources.answers.normalize import RowError
from runtime.writing import sweep, write_bytes

Row = Mapping[str, object]


@final
@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a row stands, for adapters that look for media beside it."""

    root: Path
    directory: str
    """The manifest's own directory below `root`, with forward slashes; `""` is the root."""

    name: str
    """The manifest's name without its ending."""

    number: int
    """Of the row in the manifest, from 1."""

    golds: Golds = field(default_factory=Golds)
    """How the manifest writes its answers to choices, for formats that anyone may write."""

    keeps: bool = True
    """Whether media inside rows are written to files; they are not while golds are looked up."""

    @property
    def id(self) -> str:
        """Name a row that has no id, by its place."""
        return self.path(f"{self.name}-{self.number}")

    def path(self, relative: str) -> str:
        """Find a medium beside the manifest; absolute paths and URLs stay what they are."""
        return relative if "://" in relative else str(PurePosixPath(self.directory, relative))

    def first_of(self, candidates: Sequence[str]) -> str:
        """Choose the first that exists beside the manifest, else the first: layouts differ."""
        paths = [self.path(candidate) for candidate in candidates]
        return next((path for path in paths if _is_file(self.root / path)), paths[0])

    def keep(self, data: bytes, name: str = "") -> str:
        """Write a medium that a row itself holds, once, into a directory beside the manifest.

        Args:
            name: of the file that it was, or its ending alone.
        """
        ending = re.search(r"\.[A-Za-z0-9]{1,8}$", name)
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        kept = self.path(f"{self.name}-media/{digest}{ending[0].lower() if ending else ''}")
        if not self.keeps:
            return kept
        path = self.root / kept
        try:
            own(self.root, path)
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


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return False


@final
@dataclass(frozen=True, kw_only=True)
class Format:
    """One manner of writing questions down.

        Format(name="mmau", fields=frozenset({"audio_id", "choices"}), adapt=mmau, test=True)

    A data set whose copies differ has several, of the same name.
    """

    name: FormatName
    fields: frozenset[str]
    """A row that has all of these may be of this format, and the format with most of them is
    chosen, of a data set before a generic one. A format without any is read where it is named."""

    adapt: Callable[[Row, Place], Iterator[Row | RowError]]
    """Writes a row as one, seldom several, with the fields of our own manifest, media paths by
    `Place`. Raises a `RowError`, or yields it where others of the row are still good. Rows without
    an id get `Place.id`; without a source, the format's name."""

    tells: Callable[[Row], bool] | None = None
    """Looks at what a row holds, where its names of fields could be those of any."""

    test: bool = False
    """A benchmark: neither trained on, nor chosen by."""

    harmless: frozenset[str] = frozenset()
    """Fields that the adapter leaves unread because no answer depends on them, those within objects
    as `metadata.license`; any other that it leaves is told, or sets the row aside (`fields.py`)."""

    ways: frozenset[Way] = frozenset(WAYS)
    """In which answers to choices may be written, for an adapter that asks `Place.golds`."""

    generic: bool = False
    """Any data set may be written so: questions are named after their manifest, not the format."""
