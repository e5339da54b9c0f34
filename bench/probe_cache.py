"""How fast the probe cache is, and what a crash costs it: `python -m bench.probe_cache [crash]`.

    python -m bench.probe_cache          the size of AudioMCQ, four conditions: time and memory
    python -m bench.probe_cache crash    writing, merging and reading while processes are killed

The first fills a cache as 128 processes would have, and reads it in fresh processes, before and
after its shards are merged. The second lets every writer note what `write_shard` acknowledged, and
counts afterwards what of that is gone; it does so with and without a process that merges shards.
"""

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from bench.probe_crash import KEY, crash
from configs.ablation import Condition
from datamodules.contribution.decide import Counts, QuestionFeatures, apply_rule
from datamodules.contribution.presets import PRESETS
from datamodules.contribution.probe_cache import add_table, compact
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.probe_shards import SCHEMA

CONDITIONS: tuple[Condition, ...] = ("full", "no_audio", "no_visual", "text_only")
SPAWN = multiprocessing.get_context("spawn")

T = TypeVar("T")


def content_hashes(samples: int) -> list[str]:
    """Make up contents; the same ones in every process."""
    text = np.random.default_rng(0).bytes(16 * samples).hex()
    return [text[at : at + 32] for at in range(0, len(text), 32)]


def fill(root: Path, samples: int, shards: int, answers: int) -> None:
    """Write what so many processes would have: each has its share of the questions."""
    rng = np.random.default_rng(1)
    contents = np.frombuffer(np.random.default_rng(0).bytes(16 * samples), dtype="V16")
    for shard in range(shards):
        mine = np.arange(shard, samples, shards)
        size = len(mine) * len(CONDITIONS)
        n_correct = rng.integers(0, answers + 1, size)
        packed = pa.py_buffer(np.tile(contents[mine], len(CONDITIONS)).tobytes())
        columns = {
            "sample_id": [f"audiomcq-{i:06d}" for i in mine] * len(CONDITIONS),
            "content_hash": pa.FixedSizeBinaryArray.from_buffers(
                pa.binary(16), size, [None, packed]
            ),
            "probe_key": [KEY] * size,
            "condition": np.repeat(CONDITIONS, len(mine)).tolist(),
            "how": ["absent"] * size,
            "option_seed": np.zeros(size, dtype=np.int64),
            "first": np.zeros(size, dtype=np.int32),
            "n": np.full(size, answers),
            "n_correct": n_correct,
            "n_unparsed": rng.binomial(answers - n_correct, 0.1),
            "option_logprobs": [None] * size,
            "shard": [f"{shard + 1}/{shards}"] * size,
            "time": 1.7e9 + np.sort(rng.uniform(0, 3600, size)),
        }
        add_table(root, KEY, pa.table(columns, schema=SCHEMA))


def measure(root: Path, samples: int) -> list[float]:
    """Return the seconds to load, to count and to decide, and the peak of memory in GB."""
    hashes = content_hashes(samples)
    items = QuestionFeatures(
        chance=np.full(samples, 0.25),
        closed=np.ones(samples, dtype=np.bool_),
        source=np.full(samples, "audiomcq"),
        undefined=np.full(samples, ""),
    )
    started = time.perf_counter()
    scores = Scores.load(root, KEY, hashes)
    loaded = time.perf_counter()
    counts: list[Counts] = [scores.counts(condition, "absent") for condition in CONDITIONS]
    counted = time.perf_counter()
    bands = apply_rule(PRESETS["calibrated"], [counts[CONDITIONS.index("no_audio")]], items)
    decided = time.perf_counter()
    assert all((count.n == 16).all() for count in counts) and not (bands == "missing").any()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return [loaded - started, counted - loaded, decided - counted, peak]


def apart(function: Callable[..., T], *arguments: object) -> T:
    """Call a function in a process of its own, whose memory holds nothing else."""
    with ProcessPoolExecutor(max_workers=1, mp_context=SPAWN) as pool:
        return pool.submit(function, *arguments).result()


def speed(samples: int, shards: int, rounds: int) -> list[tuple[float, float, float]]:
    """Print medians for many shards and for one; return seconds to load and to filter, and GB."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        apart(fill, root, samples, shards, 16)
        print(f"{samples} questions x {len(CONDITIONS)} conditions; medians of {rounds} processes")
        print("shards     MB    load s  counts s  decide s  peak GB")
        found = []
        for merged in (False, True):
            if merged:
                started = time.perf_counter()
                apart(compact, root, KEY)
                print(f"         merged in {time.perf_counter() - started:.1f} s")
            files = list(root.glob("*/*.parquet"))
            runs = [apart(measure, root, samples) for _ in range(rounds)]
            load, count, judge, peak = (statistics.median(one) for one in zip(*runs, strict=True))
            size = sum(file.stat().st_size for file in files) / 1e6
            print(f"{len(files):>6} {size:>6.0f} {load:>9.2f} {count:>9.3f}", end="")
            print(f" {judge:>9.3f} {peak:>8.2f}")
            found.append((load, count + judge, peak))
    return found


def within(found: Sequence[tuple[float, float, float]]) -> bool:
    """Tell whether loading, filtering and memory are as small as they have to be."""
    return all(load < 2 and filtered < 1 and peak < 1.2 for load, filtered, peak in found)


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("speed", "crash"), default="speed")
    parser.add_argument("--samples", type=int, default=571_118, help="questions")
    parser.add_argument("--shards", type=int, default=128, help="processes that wrote them")
    parser.add_argument("--rounds", type=int, default=5, help="processes that read them")
    parser.add_argument("--writers", type=int, default=8, help="processes that write at once")
    parser.add_argument("--kills", type=int, default=50, help="processes killed in all")
    parser.add_argument("--seed", type=int, default=0, help="of which is killed, and when")
    settings = parser.parse_args()
    if settings.what == "speed":
        reached = within(speed(settings.samples, settings.shards, settings.rounds))
        print(f"load < 2 s, filter < 1 s, peak < 1.2 GB: {'not ' * (not reached)}reached")
        return
    for merging in (False, True):
        found = crash(settings.writers, settings.kills, settings.seed, merging=merging)
        with_merging = "one that merges" if merging else "none that merges"
        print(f"{settings.writers} writers, {with_merging}, {settings.kills} kills: {found}")
        print(f"  nothing lost, nothing unreadable: {'not ' * bool(found.faults)}reached")


if __name__ == "__main__":
    main()
