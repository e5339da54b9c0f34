"""Look at the beginning of manifests, which tells most mistakes without reading them."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from configs.inputs import DataConfig
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.formats import LOOKED_AT, choose
from datamodules.sources.manifest_files import check_text, manifest_path
from datamodules.sources.reader import Reader
from datamodules.sources.row_files import read_rows

WHOLE_BYTES = 2**24
"""A file that is one JSON value is parsed as a whole; beyond this, not twice."""


def check_manifests(data: DataConfig, names: Iterable[str]) -> None:
    """Raise where a manifest is missing, no text, of no known format, or without a row.

    Args:
        names: manifests inside `data.root`, several joined by `+`.
    """
    root = Path(data.root)
    if data.embedded and not root.exists():  # it is made
        return
    for name in dict.fromkeys(part for names_ in names for part in names_.split("+")):
        path = manifest_path(root, name)
        large = path.suffix == ".json" and path.is_file() and path.stat().st_size > WHOLE_BYTES
        if large or ".py" in data.format:  # which reads rows as it likes
            if not path.is_dir():
                check_text(path)
            continue
        first = [*islice(read_rows(path), LOOKED_AT)]
        reader = Reader(path, root, choose(path, first, data.format))
        if data.format == "auto":
            reader.refuse_mostly_unread(first)
        if not first:
            raise ValueError(
                f"{path} is empty, but questions are read from it: write one JSON object per line, "
                "or name another file."
            )
        bad = [found.row for found in first if isinstance(found.row, RowError)]
        if len(first) == len(bad) < LOOKED_AT and data.max_bad_share < 1:
            raise ValueError(f"{path} has no row that can be read, but questions are: {bad[0]}")
