"""Writers of the probe cache that are killed, for `python -m bench.probe_cache crash`."""

import multiprocessing
import os
import random
import tempfile
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from datamodules.contribution.probe_cache import ProbeRow, compact, write_shard
from datamodules.contribution.probe_scores import Scores

KEY = "ab" * 16
BATCH, PAUSE = 20, 0.02
QUICK = multiprocessing.get_context("forkserver")
QUICK.set_forkserver_preload(
    ["datamodules.contribution.decide", "datamodules.contribution.probe_cache"]
)


def content(writer: int, life: int, batch: int, number: int) -> str:
    """Name a content that nobody else writes."""
    return f"{writer:08x}{life:08x}{batch:08x}{number:08x}"


def write(root: Path, journal: Path, writer: int, life: int) -> None:
    """Add batches until killed, faster than any model; note each once it is safe."""
    with journal.open("a") as notes:
        for batch in range(1 << 30):
            rows = [
                ProbeRow(
                    sample_id=f"{writer}-{number}",
                    content_hash=content(writer, life, batch, number),
                    probe_key=KEY,
                    condition="no_audio",
                    how="absent",
                    n=16,
                    n_correct=number % 17,
                    n_unparsed=0,
                    time=time.time(),
                )
                for number in range(BATCH)
            ]
            write_shard(root, rows)
            notes.write(f"{life} {batch}\n")
            notes.flush()
            os.fsync(notes.fileno())
            time.sleep(PAUSE)


def merge(root: Path, journal: Path, _: int, life: int) -> None:
    """Merge shards until killed."""
    with journal.open("a") as notes:
        while True:
            notes.write(f"{life} 0\n")
            notes.flush()
            compact(root, KEY)


@dataclass(kw_only=True)
class Worker:
    """A process that is killed and started again."""

    number: int
    root: Path
    merges: bool
    life: int = 0
    process: BaseProcess | None = None

    @property
    def journal(self) -> Path:
        """Where it notes what it has done."""
        return self.root / f"journal-{self.number}"

    def notes(self) -> list[list[int]]:
        """Return life and batch of what it noted; a line without its end was never acknowledged."""
        lines = self.journal.read_text().split("\n")[:-1] if self.journal.exists() else []
        return [[int(word) for word in line.split()] for line in lines]

    def start(self) -> None:
        """Begin another life."""
        self.life += 1
        target = merge if self.merges else write
        arguments = (self.root, self.journal, self.number, self.life)
        self.process = QUICK.Process(target=target, args=arguments, daemon=True)
        self.process.start()

    def kill(self) -> None:
        """End it without warning."""
        assert self.process is not None
        assert self.process.is_alive(), f"{self.journal.name}: the process died by itself"
        self.process.kill()
        self.process.join()


def lost(root: Path, writers: list[Worker]) -> tuple[int, int]:
    """Count the acknowledged rows, and those of them that a reader does not find as written."""
    hashes = [
        content(writer.number, life, batch, number)
        for writer in writers
        for life, batch in writer.notes()
        for number in range(BATCH)
    ]
    counts = Scores.load(root, KEY, hashes).counts("no_audio", "absent")
    expected = np.tile(np.arange(BATCH) % 17, len(hashes) // BATCH)
    return len(hashes), int(((counts.n != 16) | (counts.n_correct != expected)).sum())


@dataclass(frozen=True, kw_only=True)
class Crash:
    """What writing while processes are killed has cost."""

    rows: int
    """Acknowledged."""

    lost: int
    reads: int
    """By others, meanwhile; with merging alone."""

    missed: int
    """Acknowledged rows that those did not find."""

    shards: int
    unreadable: int
    unfinished: int
    """Files that kills left half-written, and the next start removes."""

    @property
    def faults(self) -> int:
        """Count what must not be."""
        return self.lost + self.missed + self.unreadable


def crash(writers: int, kills: int, seed: int, *, merging: bool) -> Crash:
    """Count what was acknowledged, lost and left behind."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        workers = [
            Worker(number=i, root=root, merges=i == writers) for i in range(writers + merging)
        ]
        for worker in workers:
            worker.start()
        missed = reads = 0
        for _ in range(kills):
            victim = rng.choice(workers)
            while not any(life == victim.life for life, _ in victim.notes()):
                time.sleep(0.01)  # it is still starting
            time.sleep(rng.uniform(0, 0.2))
            victim.kill()
            victim.start()
            if merging:
                missed += lost(root, workers[:writers])[1]
                reads += 1
        for worker in workers:
            worker.kill()
        rows, gone = lost(root, workers[:writers])
        files = [path for path in root.glob("probe=*/*") if path.suffix != ".tmp"]
        return Crash(
            rows=rows,
            lost=gone,
            reads=reads,
            missed=missed,
            shards=len(files),
            unreadable=sum(not readable(file) for file in files),
            unfinished=len(list(root.glob("probe=*/*.tmp"))),
        )


def readable(path: Path) -> bool:
    """Read all of a file."""
    try:
        with pq.ParquetFile(path) as file:
            return file.read().num_rows > 0
    except (pa.ArrowException, OSError):
        return False
