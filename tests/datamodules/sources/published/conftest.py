"""Excerpts of published files, read whole or with a row that is changed."""

import json
from collections import Counter
from pathlib import Path
from typing import get_args

from configs.inputs import FormatName
from datamodules.sample import Sample
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from tests.format_media import FIXTURES, values, with_media

ALL = sorted(path for path in FIXTURES.iterdir() if path.suffix != ".media")
EXCERPTS = [path for path in ALL if not path.stem.endswith("_train")]
"""But those in the form of a benchmark, which are read where they are named."""


def name_of(excerpt: Path) -> str:
    """Tell the format by the file's name, behind which copies have a word of their own."""
    fitting = [name for name in get_args(FormatName) if excerpt.stem.startswith(name)]
    return max(fitting, key=len)


def load(manifest: Path, root: Path, name: FormatName = "auto") -> tuple[list[Sample], Counter]:
    quarantine = Quarantine(max_bad_share=1)
    return read_manifest(manifest, root, quarantine, format=name), quarantine.counts


def excerpt(name: str, root: Path) -> list[Sample]:
    samples, counts = load(with_media(FIXTURES / name, root), root)
    assert not counts
    return samples


def changed(name: str, root: Path, number: int = 0, **fields: object) -> tuple[list[Sample], str]:
    """Read one row of an excerpt with other fields; what it is counted as, if it is set aside."""
    rows = [row for held in values(FIXTURES / name) for row in rows_of(held)]
    path = with_media(FIXTURES / name, root).with_suffix(".jsonl")
    row = {key: value for key, value in (rows[number] | fields).items() if value != "absent"}
    path.write_text(json.dumps(row))
    samples, counts = load(path, root, name_of(Path(name)))
    return samples, " ".join(counts)


def rows_of(held: object) -> list:
    return held if isinstance(held, list) else [held]
