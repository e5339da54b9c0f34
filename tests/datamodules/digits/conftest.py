"""The rows of a digits set, and what is known of them."""

import json
from pathlib import Path

Row = dict  # of JSON, whose values are of any type


def read(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def rows(root: Path) -> list[Row]:
    return [row for file in sorted(root.glob("*.jsonl")) for row in read(file)]


def families(root: Path, split: str) -> dict[str, Row]:
    return {row["id"]: row for row in read(root / "truth" / f"{split}.jsonl")}


def paths(row: Row) -> list[str]:
    return [media["path"] for media in row["media"]]
