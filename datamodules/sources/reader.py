"""Convert the rows of one manifest to our own format."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import final

from datamodules.sources.adapter import Format, Place, Row
from datamodules.sources.answers.golds import Golds, Readings
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.fields.columns import plain_name
from datamodules.sources.fields.hints import is_empty, is_fact
from datamodules.sources.fields.marks import refuse_lost_media
from datamodules.sources.fields.row import Fields, Unread, whole
from datamodules.sources.formats import MANIFEST
from datamodules.sources.generic.preferences import refuse_preferences
from datamodules.sources.row_files import Found, read_rows


@final
class Reader:
    """Converts the rows of a manifest, with answers read as the whole file writes them."""

    def __init__(self, path: Path, root: Path, format: Format) -> None:
        self.path = path
        self.root = root
        self.format = format
        self.golds = Golds(self._survey, format.ways)
        self.unread = Unread()

    def questions(self, found: Found) -> Iterator[Row | RowError]:
        """Convert a row to one or several of our own, or yield the error."""
        if isinstance(found.row, RowError):
            yield found.row
            return
        place = self._place(found, self.golds)
        try:
            if self.format is MANIFEST:
                for row in self.format.adapt(found.row, place):
                    if not isinstance(row, RowError):
                        refuse_lost_media(row)
                    yield row
                return
            if self.format.generic:
                refuse_preferences(found.row)
            fields = Fields(found.row)
            rows = [
                row if isinstance(row, RowError) else _named(row, self.format, place)
                for row in self.format.adapt(fields, place)
            ]
            if not rows:
                raise RowError(
                    "missing_question",
                    f"the row holds no question of {self.format.name}: mend or drop it.",
                )
            for row in rows:
                if not isinstance(row, RowError):
                    refuse_lost_media(row)
            if not all(isinstance(row, RowError) for row in rows):
                self.unread.check(fields, self.format.name, self.format.harmless, rows)
        except RowError as error:
            yield error
            return
        except RecursionError:
            yield RowError(
                "malformed",
                "the row holds lists within lists, too deep to look into, but a question is seldom "
                "more than five deep: mend it.",
            )
            return
        yield from rows

    def refuse_mostly_unread(self, first: Sequence[Found]) -> None:
        """Raise a `ValueError` if most columns of a file in a generic format are not read.

        Columns whose names say that they are mere facts do not count.
        """
        if not self.format.generic or self.format is MANIFEST:
            return
        golds = Golds.listening(self.format.ways)
        columns, used = dict[str, None](), set[str]()
        for found in first:
            if isinstance(found.row, RowError):
                continue
            fields = Fields(found.row)
            with suppress(RowError, RecursionError):
                rows = [*self.format.adapt(fields, self._place(found, golds))]
                columns |= dict.fromkeys(name for name in fields if not is_empty(fields.peek(name)))
                mere = {name for row in rows if isinstance(row, Mapping) for name in _facts(row)}
                used |= {name for name in fields.taken if plain_name(name) not in mere}
        unread = [name for name in columns if name not in used and not is_fact(name)]
        if 2 * len(unread) > len(columns):
            raise ValueError(
                f"{self.path} looks like {self.format.name}, but {len(unread)} of its "
                f"{len(columns)} columns are not read: {', '.join(unread)[:300]}. A file is read "
                f"if most of it is understood: drop them, or name it with "
                f"data.format={self.format.name} to read it without them."
            )

    def _survey(self) -> list[Readings]:
        """Read the answers of all rows."""
        golds = Golds.listening(self.format.ways)
        for found in read_rows(self.path):
            if not isinstance(found.row, RowError):
                with suppress(RowError, RecursionError):
                    for _ in self.format.adapt(Fields(found.row), self._place(found, golds)):
                        pass
        return golds.heard or []

    def _place(self, found: Found, golds: Golds) -> Place:
        return Place(
            root=self.root,
            directory=_directory(self.path, self.root),
            name=self.path.stem,
            number=found.number,
            golds=golds,
            keeps=golds is self.golds,
        )


def _named(row: Row, format: Format, place: Place) -> Row:
    """Fill in what a published row omits."""
    named = {name: whole(value) for name, value in row.items() if not is_empty(value)}
    if isinstance(number := named.get("id"), float) and number.is_integer():
        named["id"] = int(number)  # a column of numbers with gaps is one of floats
    source = {} if format.generic else {"source": format.name}
    return {"id": place.id, **source, **named}


@lru_cache(maxsize=16)
def _directory(path: Path, root: Path) -> str:
    """Return the directory that media paths are relative to: the manifest's own, below the root."""
    if not path.is_relative_to(root) or path.parent == root:
        return ""
    return path.parent.relative_to(root).as_posix()


def _facts(row: Row) -> list[str]:
    held = row.get("facts")
    return [*held] if isinstance(held, Mapping) else []
