"""What a large manifest costs: `python -m bench.manifest`.

As many questions as AudioMCQ has, with choices and without, about one recording, are read in two
ways: through an index, and by `list` into memory as small manifests are. Each open, and each
process that reads questions as a loader's worker does, is a fresh one. Memory is what a process has
more than before: anonymous pages, its own, and pages of files, which processes share.
"""

import argparse
import gc
import multiprocessing
import pickle
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from datamodules.prompts.templates import target_text
from datamodules.sample import Sample
from datamodules.sources.index.gold_check import GoldCheck, with_right_golds
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.index.table import checked
from datamodules.sources.manifest import read_manifest
from datamodules.sources.published.known_tests import known_in
from datamodules.sources.quarantine import Quarantine
from modules.verifiers.golds import wrong_golds

SPAWN = multiprocessing.get_context("spawn")
WORDS = ("dog", "bark", "rain", "door", "bell", "voice", "engine", "wind", "is", "louder", "after")
LOOKS = 5_000
"""Questions that a worker looks at, drawn from all."""


def write(root: Path, rows: int) -> Path:
    """Write a manifest; one row in a thousand is bad."""
    soundfile.write(root / "clip.flac", np.zeros(1_600), 16_000)
    draw = random.Random(0)
    path = root / "train.jsonl"
    with path.open("w") as out:
        for number in range(rows):
            text = " ".join(draw.choices(WORDS, k=22))
            options = ", ".join(
                f'"{draw.choice(WORDS)} {draw.choice(WORDS)} {letter}"' for letter in "wxyz"
            )
            answer = "Z" if number % 1000 == 999 else "ABCD"[number % 4]
            out.write(
                f'{{"id": "audiomcq-{number:06d}", "question": "{text}?", "options": [{options}], '
                f'"answer": "{answer}", "asset_id": "clip-{number // 5:06d}", "completion": '
                f'"{text}. <answer>{answer}</answer>", "source": "AudioCaps", '
                '"media": [{"modality": "audio", "path": "clip.flac"}]}\n'
            )
    return path


def memory() -> dict[str, float]:
    """Anonymous pages and pages of files of this process, in MB."""
    gc.collect()
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(lines[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile")}


def added_since(before: dict[str, float]) -> dict[str, float]:
    """Give what the process has more than then."""
    return {name: value - before[name] for name, value in memory().items()}


def opened(path: Path) -> tuple[float, Sequence[Sample]]:
    quarantine = Quarantine(max_bad_share=1.0)
    start = time.perf_counter()
    samples = open_samples(path, path.parent, quarantine, above=0)
    return time.perf_counter() - start, samples


def open_once(path: Path) -> dict[str, Any]:
    """Open the manifest through its index, which is made where there is none."""
    before = memory()
    seconds, samples = opened(path)
    added = added_since(before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "questions": len(samples), "peak": peak, **added}


def listed(path: Path) -> dict[str, Any]:
    """Read the manifest into memory."""
    before = memory()
    start = time.perf_counter()
    samples = read_manifest(path, path.parent, Quarantine(max_bad_share=1.0))
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "questions": len(samples), **added_since(before)}


def worker(sent: bytes) -> dict[str, Any]:
    """Look at questions in the order of a shuffled epoch, as a loader's worker does."""
    before = memory()
    samples: Sequence[Sample] = pickle.loads(sent)
    places = random.Random(1).sample(range(len(samples)), k=min(LOOKS, len(samples)))
    start = time.perf_counter()
    for place in places:
        checked(samples, place)
    each = (time.perf_counter() - start) / len(places)
    return {"milliseconds": 1000 * each, **added_since(before)}


def walk(sent: bytes) -> float:
    """Make every sample once, in their order."""
    start = time.perf_counter()
    for _ in pickle.loads(sent):
        pass
    return time.perf_counter() - start


def judge(sent: bytes) -> dict[str, Any]:
    """Judge every gold and look for known tests, as runs do that find the index new, and old."""
    samples, found = pickle.loads(sent), {}
    check = GoldCheck(
        key="bench", judge=partial(wrong_golds, answer_with="letter", imitated=target_text)
    )
    for name in ("first", "again"):
        quarantine = Quarantine(max_bad_share=1.0)
        start = time.perf_counter()
        kept = with_right_golds(samples, check, quarantine, samples.file)
        found[f"golds {name}"] = time.perf_counter() - start
        assert len(kept) + len(quarantine) == len(samples)
        start = time.perf_counter()
        known_in(samples)
        found[f"tests {name}"] = time.perf_counter() - start
    return found


def ids(sent: bytes) -> float:
    start = time.perf_counter()
    assert pickle.loads(sent).column("content_hash")
    return time.perf_counter() - start


def fresh(function: Any, *arguments: Any) -> Any:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        return pool.submit(function, *arguments).result()


def shown(found: dict[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.3f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in found.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=571_118)
    parser.add_argument("--opens", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="also read into memory")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), asked.rows)
        print(f"{asked.rows} rows, {path.stat().st_size / 2**20:.0f} MB; memory in MB")
        print("indexing: ", shown(fresh(open_once, path)))
        size = sum(file.stat().st_size for file in (path.parent / "index").rglob("*.arrow"))
        print(f"index:     {size / 2**20:.0f} MB")
        opens = [fresh(open_once, path) for _ in range(asked.opens)]
        middle = statistics.median(one["seconds"] for one in opens)
        print(f"open:      median {middle:.3f} s of {asked.opens};", shown(opens[-1]))
        sent = pickle.dumps(opened(path)[1])
        for number in range(asked.workers):
            print(f"worker {number}:  {len(sent)} bytes sent;", shown(fresh(worker, sent)))
        print(f"all ids:   {fresh(ids, sent):.2f} s; all samples: {fresh(walk, sent):.1f} s")
        print("judged, s:", shown(fresh(judge, sent)))
        if asked.list:
            print("list:     ", shown(fresh(listed, path)))


if __name__ == "__main__":
    main()
