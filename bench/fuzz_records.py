"""Read damaged records of every format: `python -m bench.fuzz_records [records] [seed]`.

Each record is a row of an excerpt in tests/formats with fields dropped, renamed, of other types,
huge, nested deeply, or holding what is no text; some lines are damaged as bytes or are in another
encoding. Each is read by itself, and must become a question or a line in quarantine with a reason;
a file in UTF-16 is refused as a whole.
"""

import argparse
import copy
import csv
import io
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.sources.formats import format_of
from datamodules.sources.manifest import read_manifest
from datamodules.sources.quarantine import Quarantine
from tests.format_media import FIXTURES, values, with_media

ODD: tuple[object, ...] = (
    *(None, True, False, 0, -1, 7, 2.5, 1e308, float("nan"), float("inf"), 10**300),
    *("", " ", "B", "Z", "(C)", "\x00", "\ud83d", "é\u202e", "<answer>", "<answer>B</answer>"),
    *("<audio><video><image>", "['a', 'b'", "[" * 9_000, "{}", "../../x.wav", "a" * 5_000 + ".wav"),
    *("x" * 200_000, "file:///etc/hosts", "A. a\nB. b", "<think>" * 9_000),
    *([], [None], [[]], ["a"], ["A. a", "B. b"], ["a", "a"], ["x"] * 2_000, [{}], {}),
    *({"A": "a"}, {"A": None, "C": 1}, {"": []}, {"bytes": "x", "path": 3}, {"type": "audio"}),
    *("DEEP", {"role": "user", "content": "DEEP"}),
)
"""What a value is replaced by; DEEP is nested more deeply than any reader follows."""

ENCODINGS = ("latin-1", "utf-16", "utf-8-sig", "cp037")


@dataclass(kw_only=True)
class Outcome:
    questions: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    crashes: list[tuple[str, bytes]] = field(default_factory=list)
    """What was raised, and by which record."""

    slowest: float = 0.0
    """Seconds of processor time for one record."""


def fuzz(records: int, seed: int, root: Path) -> Outcome:
    """Read damaged records, in their own format and as if it had to be recognized."""
    dice, outcome = random.Random(seed), Outcome()
    excerpts = sorted(path for path in FIXTURES.iterdir() if path.suffix in (".json", ".jsonl"))
    copies = [with_media(path, root / path.stem) for path in excerpts]
    names = [format_of(one).name for one in copies]
    rows = [_rows(path) for path in excerpts]
    for number in range(records):
        which = number % len(excerpts)
        ending, data = _damaged(dice.choice(rows[which]), dice)
        path = root / excerpts[which].stem / f"damaged{ending}"
        path.write_bytes(data)
        quarantine = Quarantine(max_bad_share=1)
        began = time.process_time()
        try:
            found = read_manifest(path, root, quarantine, format=names[which])
            if not found and not quarantine:
                outcome.crashes.append(("lost without a reason", data))
            try:
                read_manifest(path, root, Quarantine(max_bad_share=1))
            except ValueError as error:  # no format fits, which stops a run and says why
                if "data.format=" not in str(error) and ending == ".jsonl":
                    raise
            outcome.questions += len(found)
            outcome.reasons.update(quarantine.counts)
        except Exception as error:  # what this file is there to find
            if "is written in UTF-16, but manifests" in str(error) and data[:2] == b"\xff\xfe":
                outcome.reasons["utf-16"] += 1  # of a whole file, which is refused
                continue
            outcome.crashes.append((f"{type(error).__name__}: {error}"[:300], data))
        outcome.slowest = max(outcome.slowest, time.process_time() - began)
    return outcome


def _rows(path: Path) -> list[dict[str, object]]:
    return [
        row for value in values(path) for row in (value if isinstance(value, list) else [value])
    ]


def _damaged(row: dict[str, object], dice: random.Random) -> tuple[str, bytes]:
    """Change a few values, write the row in some container, and perhaps change a few bytes."""
    row = json.loads(json.dumps(row))
    for _ in range(dice.choice((0, 1, 1, 1, 2, 5))):
        _change(row, dice)
    depth = dice.choice((50, 900, 100_000))
    text = json.dumps(row).replace('"DEEP"', "[" * depth + "]" * depth)
    kind = dice.random()
    if kind < 0.1:
        return ".json", f"[{text}]".encode() if depth < 100_000 else b"[{}]"
    if kind < 0.2:
        table = io.StringIO()
        cells = [value if isinstance(value, str) else json.dumps(value) for value in row.values()]
        csv.writer(table).writerows([row or ["none"], cells or ["none"]])
        return ".csv", table.getvalue().encode(errors="surrogatepass")
    data = bytearray(text.encode())
    if kind < 0.3:
        data = bytearray(text.encode(dice.choice(ENCODINGS), errors="replace"))
    elif kind < 0.5:
        for _ in range(dice.randint(1, 5)):
            data[dice.randrange(len(data))] = dice.randrange(256)
    return ".jsonl", bytes(data)


def _change(row: dict[str, object], dice: random.Random) -> None:
    """Change one value, at the top or in what a list or an object holds."""
    place: dict[str, object] | list[object] = row
    while place:
        keys: list[object] = list(place) if isinstance(place, dict) else [*range(len(place))]
        key = dice.choice(keys)
        inner = place[key]  # type: ignore[index]  # a key of the one or an index of the other
        if isinstance(inner, dict | list) and inner and dice.random() < 0.6:
            place = inner
            continue
        what = dice.random()
        if what < 0.2:
            del place[key]  # type: ignore[arg-type]
        elif what < 0.3 and isinstance(place, dict):
            place[str(key).upper()] = place.pop(str(key))
        else:
            place[key] = copy.deepcopy(dice.choice(ODD))  # type: ignore[index]
        return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", type=int, nargs="?", default=10_000)
    parser.add_argument("seed", type=int, nargs="?", default=0)
    given = parser.parse_args()
    logging.disable()
    with tempfile.TemporaryDirectory() as root:
        outcome = fuzz(given.records, given.seed, Path(root))
    print(
        f"{given.records} records: {len(outcome.crashes)} crashes, slowest {outcome.slowest:.2f} s"
    )
    print(f"{outcome.questions} questions; set aside: {dict(outcome.reasons.most_common())}")
    for error, data in outcome.crashes[:10]:
        print(error, data[:300])
    sys.exit(1 if outcome.crashes else 0)


if __name__ == "__main__":
    main()
