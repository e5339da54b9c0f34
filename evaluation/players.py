"""Show questions in tables of Weights & Biases, with players of their media."""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import wandb

from configs.schema import DataConfig
from datamodules.loading.question_set import QuestionSet
from datamodules.media.files import Decoded, resolve
from datamodules.media.players import KINDS, play
from datamodules.sample import Media, Sample
from runtime.writing import write_bytes
from untrusted.terminal import first_line

log = logging.getLogger(__name__)

MEGABYTE = 1_000_000

MOST_PLAYERS = 8
"""Of one question; a column is made for each of a kind, and tables get wide."""

PLAYED = (".mp4", ".webm", ".ogg", ".gif")
"""Endings of films that wandb shows as they are."""

Players = Mapping[str, object]
"""The players of a question, by the column that they stand in."""


@final
class Showcase:
    """Makes players until a number of bytes is reached, in a directory that wandb copies from."""

    def __init__(self, folder: Path, *, megabytes: float) -> None:
        self.folder = folder
        self.left = round(megabytes * MEGABYTE)
        self.lacking = 0
        self.reason = ""

    def players(self, questions: QuestionSet, sample: Sample) -> Players:
        """Play the media of a question as its model is shown them; those that cannot be are counted
        and left out."""
        found: dict[str, object] = {}
        if not self.left:
            return found
        try:
            shown = questions.visible_media(sample)
        except Exception as error:  # a row without players is worth more than none
            return self._lack(found, str(first_line(error)))
        for medium, parts in zip(questions.media(sample), shown, strict=True):
            for item in (part for part in parts if isinstance(part, Decoded)):
                number = sum(name.startswith(item.modality) for name in found)
                column = f"{item.modality} {number + 1}" if number else item.modality
                if len(found) == MOST_PLAYERS:
                    return self._lack(found, f"{MOST_PLAYERS} of a question are shown")
                try:
                    found[column] = self._player(item, medium, questions.data)
                except Exception as error:  # as above
                    self._lack(found, str(first_line(error)))
        return found

    def _lack(self, found: dict[str, object], reason: str) -> dict[str, object]:
        """Count a medium that has no player."""
        self.lacking += 1
        self.reason = self.reason or reason
        return found

    def _player(self, item: Decoded, medium: Media, data: DataConfig) -> object:
        """Make one player; of a film that cannot be encoded here, of its file."""
        try:
            content, ending = play(item), KINDS[item.modality]
        except Exception:
            file = resolve(Path(data.root), medium.path, outside_root=data.outside_root)
            if item.modality != "video" or file.suffix.lower() not in PLAYED:
                raise
            self._take(file.stat().st_size)
            return wandb.Video(str(file), caption=caption(medium))
        name = hashlib.blake2b(content, digest_size=8).hexdigest()
        path = self.folder / f"{name}.{ending}"
        if not path.exists():  # one picture may belong to several questions
            self._take(len(content))
            self.folder.mkdir(parents=True, exist_ok=True)
            write_bytes(path, content, durable=False)
        kind = {"audio": wandb.Audio, "image": wandb.Image, "video": wandb.Video}[item.modality]
        return kind(str(path), caption=caption(medium))

    def _take(self, size: int) -> None:
        if size > self.left:
            raise ValueError(
                f"{size:,} bytes, but {self.left:,} are left of wandb.media_megabytes: raise it."
            )
        self.left -= size


@contextmanager
def showcase(run_dir: Path, *, megabytes: float) -> Iterator[Showcase]:
    """Make players beside a run while a table is logged, which copies them; say what has none."""
    folder = run_dir / "wandb/players"
    shutil.rmtree(folder, ignore_errors=True)  # left behind by a kill
    shown = Showcase(folder, megabytes=megabytes)
    try:
        yield shown
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if shown.lacking:
        log.info(
            "%d media have no player in Weights & Biases, the first since: %s",
            shown.lacking,
            shown.reason,
        )


def caption(medium: Media) -> str:
    """Name a medium by its file, and the seconds of it that are shown."""
    if medium.start is None and medium.end is None:
        return medium.path
    end = "the end" if medium.end is None else f"{medium.end:g} s"
    return f"{medium.path}, {medium.start or 0:g} s to {end}"


def spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Take at most so many samples, evenly from the first one on."""
    count = min(most, len(samples))
    return [samples[number * len(samples) // count] for number in range(count)]


# Any: cells of every type
def table(columns: Sequence[str], rows: Sequence[tuple[Sequence[Any], Players]]) -> wandb.Table:
    """Lay out rows with their players, in a column for each of a kind."""
    names = sorted({name for _, players in rows for name in players})
    data = [[*cells, *(players.get(name) for name in names)] for cells, players in rows]
    return wandb.Table(columns=[*columns, *names], data=data)
