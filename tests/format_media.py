"""Media for the excerpts in tests/formats: each file that an excerpt names, a fifth of a second."""

import csv
import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from bench.media_files import RATE, write_film

FIXTURES = Path(__file__).parent / "formats"
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
FILMS = (".mp4", ".mkv", ".mov")


def with_media(fixture: Path, root: Path) -> Path:
    """Copy an excerpt below `root`, with every medium that it names beside it.

    Those are its texts that end as media do, and the lines of `<format>.media` beside the excerpt,
    for data sets that name their files by an id.
    """
    root.mkdir(parents=True, exist_ok=True)
    copy = Path(shutil.copy(fixture, root))
    more = fixture.with_suffix(".media")
    names = {text for value in values(fixture) for text in texts(value)}
    names |= {*more.read_text().split()} if more.is_file() else set()
    for name in sorted(names):
        if "://" not in name and not Path(name).is_absolute():
            write_medium(root / name)
    return copy


def write_medium(path: Path) -> None:
    """Make a file of the kind that its ending says, if it is one; its name decides what is in it.

    The directory is made, and a file that is there already is left alone.
    """
    tone = 200 + zlib.crc32(path.name.encode()) % 2000
    times = np.arange(RATE // 5) / RATE
    wave = (0.3 * np.sin(2 * np.pi * tone * times)).astype(np.float32)
    color = tuple(zlib.crc32(path.name.encode()).to_bytes(4, "big")[:3])
    ending = path.suffix.lower()
    if ending not in (*SOUNDS, *PICTURES, *FILMS) or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if ending in SOUNDS:
        soundfile.write(path, wave, RATE)
    elif ending in PICTURES:
        Image.new("RGB", (32, 32), color).save(path)
    else:
        shown = [np.full((32, 32, 3), color, dtype=np.uint8)] * 4
        write_film(path, shown, sounds=[wave[None]], rate=20, codec="mpeg4")


def values(fixture: Path) -> Iterator[object]:
    """Read whatever an excerpt holds, by its ending."""
    text = fixture.read_text(encoding="utf-8")
    if fixture.suffix == ".json":
        yield json.loads(text)
    elif fixture.suffix == ".jsonl":
        yield from (json.loads(line) for line in text.splitlines() if line.strip())
    else:
        yield from csv.reader(text.splitlines(), delimiter="\t" if ".tsv" in fixture.name else ",")


def texts(value: object) -> Iterator[str]:
    """List the texts in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, dict):
        yield from texts([*value.values()])
