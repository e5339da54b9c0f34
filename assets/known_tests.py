"""Add published test sets to those that are known by their questions, or renew them.

    python -m assets.known_tests mmsu=MMSU/mmsu.jsonl mmau=old.json mmau=new.json

Each set is written anew from the files that are named for it, in whatever format they come, and the
other sets stay. Media are not looked at. `datamodules/sources/published/known_tests.py` says what
is hashed.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from datamodules.sources.answers.normalize import RowError, written
from datamodules.sources.formats import format_of
from datamodules.sources.published.known_tests import FILE, question_key, read_known
from datamodules.sources.reader import Reader
from datamodules.sources.row_files import read_rows
from runtime.console import run_to_exit, say
from runtime.writing import write_text

UNREAD = 0.1
"""Share of a file's rows that may be no questions, such as those without a published answer."""


def main(arguments: Sequence[str], file: Path = FILE) -> None:
    """Renew the sets that are named, in `file`."""
    paths = defaultdict[str, list[Path]](list)
    for argument in arguments:
        name, given, path = argument.partition("=")
        if not (given and path and name.isidentifier()):
            raise SystemExit(f"{argument!r} is no SET=FILE, such as mmsu=MMSU/mmsu.jsonl.")
        paths[name].append(Path(path))
    if not paths:
        raise SystemExit(__doc__)
    keys = {(name, key) for name, key in read_known(file) if name not in paths}
    for name, files in paths.items():
        found = {key for path in files for key in keys_of(path)}
        keys |= {(name, key) for key in found}
        say(f"{name}: {len(found)} questions of {', '.join(map(str, files))}")
    lines = sorted(f"{name}\t{key.hex()}\n" for name, key in keys)
    remarks = [line for line in file.read_text("utf-8").splitlines(keepends=True) if line[0] == "#"]
    write_text(file, "".join([*remarks, *lines]))


def keys_of(path: Path) -> list[bytes]:
    """Hash the questions of a published file; a `ValueError` if it cannot be read as such."""
    chosen = format_of(path)
    reader = Reader(path, path.parent, chosen)
    rows = [row for found in read_rows(path) for row in reader.questions(found)]
    good = [row for row in rows if not isinstance(row, RowError) and row.get("question")]
    if not good or len(rows) - len(good) > UNREAD * len(rows):
        first = next((row for row in rows if isinstance(row, RowError)), "there is none")
        raise ValueError(
            f"{len(good)} of the {len(rows)} rows of {path} are questions of the format "
            f"{chosen.name} (first fault: {first}), but a set is known by all of its questions: "
            "name the file as it is published."
        )
    return [question_key(str(row["question"]), _options(row.get("options"))) for row in good]


def _options(given: object) -> Iterator[str]:
    return map(written, given if isinstance(given, list) else [])


if __name__ == "__main__":
    run_to_exit(partial(main, sys.argv[1:]))
