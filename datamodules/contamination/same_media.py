"""Find the same files, and the same questions about them, under whatever names."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from datamodules.media.files import file_digest
from datamodules.sample import Sample
from datamodules.sources.published.known_tests import plain


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What identifies a training question."""

    id: str
    wording: str
    asset_id: str
    media: tuple[str, ...]


Known = Mapping[str, Sequence[tuple[Trained, tuple[str, ...]]]]
"""Training questions and all their digests, by each digest; by their words where they show
nothing."""


@final
class MediaBytes:
    """Digests of the files of test sets, and of those others that are as large as one of these."""

    def __init__(self, asked: Iterable[Path]) -> None:
        self._sizes = {_size(path) for path in {*asked}} - {None}
        self._digests: dict[Path, str | None] = {}

    def digests(self, root: Path, names: Iterable[str]) -> tuple[str, ...]:
        """List the digests of files in order, without those that can be no file of the sets."""
        found = (self._digest(root / name) for name in names)
        return tuple(digest for digest in found if digest is not None)

    def _digest(self, path: Path) -> str | None:
        if path not in self._digests:
            try:
                alike = _size(path) in self._sizes
                self._digests[path] = file_digest(path) if alike else None
            except OSError:  # unreadable, or gone since
                self._digests[path] = None
        return self._digests[path]


def _size(path: Path) -> int | None:
    """Size of a file; None where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def questions_by_digest(trained: Sequence[Trained], root: Path, bytes_of: MediaBytes) -> Known:
    """List the training questions that show a file which may be one of the sets, or nothing."""
    found = defaultdict[str, list[tuple[Trained, tuple[str, ...]]]](list)
    for row in trained:
        shows = bytes_of.digests(root, row.media)
        for key in {*shows} if row.media else {_without_media(row.wording)}:
            found[key].append((row, shows))
    return found


def same_question(sample: Sample, shows: Sequence[str], known: Known) -> Trained | None:
    """Find the first training question with the words and the media of a question, in any order."""
    if len(shows) < len(sample.media):
        return None
    text = wording(sample.question, sample.options)
    words = _words(text)
    for row, other in known.get(shows[0] if shows else _without_media(text), ()):
        alike = sorted(other) == sorted(shows) and len(row.media) == len(shows)
        if alike and _words(row.wording) == words:
            return row
    return None


def wording(question: str, options: Iterable[object]) -> str:
    """Join a question and its options, a line each."""
    return "\n".join([question, *map(str, options)])


def _without_media(text: str) -> str:
    """Write the key of a question that shows nothing."""
    return repr(_words(text))


def _words(text: str) -> list[bytes]:
    """List the words of each line, alike for all orders of options."""
    return sorted(map(plain, text.splitlines()))
