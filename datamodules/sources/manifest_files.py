"""Find the file of a manifest by its name, and say why it cannot be read."""

import codecs
from pathlib import Path

ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")

PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".tar", ".tgz")
"""Archives and compressed files, which would have to be unpacked at every opening."""

WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Marks at the beginning of texts in which every character has several bytes, longest first."""


def manifest_path(root: Path, name: str) -> Path:
    """Find a manifest by its name: a `.jsonl` file, unless the name has another ending or is that
    of a directory of Parquet shards without such a file beside it."""
    path, lines = root / name, root / f"{name}.jsonl"
    return (
        path
        if path.suffix in (*ENDINGS, *PACKED) or (path.is_dir() and not lines.is_file())
        else lines
    )


def check_text(path: Path) -> None:
    """Raise where the file of a manifest is missing, packed or of wide characters."""
    if path.suffix in PACKED:
        raise ValueError(
            f"{path} is packed, but manifests are read as they are: unpack it, and name the file "
            f"that comes out of it, one of {', '.join(ENDINGS)}."
        )
    if not path.is_file():
        raise _missing(path)
    with path.open("rb") as file:
        begin = file.read(4)
    wide = next((name for mark, name in WIDE.items() if begin.startswith(mark)), None)
    if wide is None and begin.count(0) > 1:  # without a mark; one alone is a bad row
        wide = "UTF-16 or UTF-32"
    if wide is not None:
        raise ValueError(
            f"{path} is written in {wide}, but manifests are in UTF-8: save it so, or convert it "
            f"with `iconv -f {wide.split()[0]} -t UTF-8`."
        )


def _missing(path: Path) -> ValueError:
    """Say what is there in place of a manifest."""
    place = path.parent
    if place.is_file():
        return ValueError(
            f"{place} is a file, but manifests are read from a directory: give its directory, "
            f"data.root={place.parent}, and name the file as in data.train={place.name}."
        )
    if not place.is_dir():
        return ValueError(
            f"There is no directory {place}, but {path.name} is read from it: correct data.root, "
            f"which starts at {Path.cwd()} unless it is absolute."
        )
    beside = sorted(each.name for each in place.glob(f"{path.stem}.*") if each.suffix in ENDINGS)
    if beside:
        return ValueError(
            f"There is no manifest {path}, but {beside[0]} stands in its place, and a name without "
            f"an ending means .jsonl: name it with its ending, as in data.train={beside[0]}."
        )
    return ValueError(
        f"There is no manifest {path}, but questions are read from one: write it there, one "
        "JSON object per line, or name another directory with data.root=..."
    )
