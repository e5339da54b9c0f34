"""How fast media are read, who waits for them, and what damaged ones do: `python -m bench.media`.

    python -m bench.media                  clips a second of one process, with a cache and without;
                                           seconds are those that it computes
    python -m bench.media wait             share of training steps on films spent waiting for them
    python -m bench.media matrix           what becomes of each container and codec, whole, cut,
                                           doubled, misnamed, streamed and asked for in part
    python -m bench.media fuzz             10,000 damaged files of these

The first writes files of usual sizes. The second trains on the films among the embedded digits
with 0, 1 and 2 loader processes. The last counts crashes and hangs, each in a process of its own,
and whatever else comes out of the decoders than arrays or a `MediaError`.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

from bench.media_cases import CASES, Case, contents
from bench.media_files import add_frames, add_sound
from bench.media_matrix import table
from configs.schema import MediaConfig
from datamodules.media.cache import MediaCache
from datamodules.media.decoders import MediaError
from datamodules.media.files import decode, measure
from datamodules.sample import Media

BUDGET = MediaConfig(image_max_pixels=48 * 32, video_max_frames=4, audio_max_seconds=3.0)
USUAL = MediaConfig(image_max_pixels=200_704, video_max_frames=16, audio_max_seconds=60.0)
BLOCK = 128
HANG = 60.0
"""Seconds after which a block of damaged files is taken to hang."""


def film(path: Path, *, seconds: float, rate: int, width: int, height: int) -> None:
    """Write a moving pattern, a key frame every 250, and 440 Hz."""
    with av.open(str(path), "w") as file:
        seen = file.add_stream("libx264", rate=rate, options={"g": "250", "preset": "veryfast"})
        seen.width, seen.height, seen.pix_fmt = width, height, "yuv420p"
        heard = file.add_stream("aac", rate=16_000, layout="mono")
        coarse = np.random.default_rng(0).integers(0, 255, (9, 32, 3), dtype=np.uint8)
        size = (2 * width, height)
        pattern = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC))
        places = (3 * number % width for number in range(round(seconds * rate)))
        add_frames(file, seen, (np.ascontiguousarray(pattern[:, at:][:, :width]) for at in places))
        wave = 0.5 * np.sin(2 * np.pi * 440 / 16_000 * np.arange(round(seconds * 16_000)))
        add_sound(file, heard, wave[None])


def mutated(intact: bytes, dice: random.Random) -> bytes:
    """Flip some bytes, most of them near the beginning, and sometimes cut or blank a part."""
    data = bytearray(intact)
    near = min(len(data), dice.choice((64, 200, len(data))))
    for _ in range(dice.randrange(1, 9)):
        data[dice.randrange(near)] = dice.randrange(256)
    if dice.random() < 0.2:
        del data[dice.randrange(len(data)) :]
    elif dice.random() < 0.2:
        at = dice.randrange(len(data))
        data[at : at + 40] = bytes(40)
    return bytes(data)


@dataclass(kw_only=True)
class Fuzzed:
    """What became of some damaged files of one format."""

    ends: Counter[str] = field(default_factory=Counter)
    """Read, or the kind of `MediaError`, or another exception."""

    slowest: float = 0.0

    def add(self, other: "Fuzzed") -> None:
        """Join the counts of two blocks."""
        self.ends += other.ends
        self.slowest = max(self.slowest, other.slowest)

    def kinds(self) -> tuple[dict[str, int], int]:
        """Count the ends by their first word, and those that must not be."""
        kinds = Counter[str]()
        for end, count in self.ends.items():
            kinds[end.split()[0]] += count
        return dict(kinds), sum(kinds[end] for end in ("BUG", "CRASH", "HANG"))


def fuzz_block(case: Case, first: int, count: int) -> Fuzzed:
    """Damage a file in so many ways, and read and measure each."""
    found = Fuzzed()
    intact = contents(case, streamed=False), contents(case, streamed=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        media = Media(modality=case.modality, path="mutant")
        for number in range(first, first + count):
            dice = random.Random(f"{case.name} {number}")
            (root / media.path).write_bytes(mutated(intact[number % 2], dice))
            began = time.perf_counter()
            for read in (decode, measure):
                try:
                    read(root, media, BUDGET)
                    found.ends["read"] += 1
                except MediaError as error:
                    found.ends[error.kind] += 1
                except Exception as error:  # the bug that is looked for
                    found.ends[f"BUG {type(error).__name__}: {error}"] += 1
            found.slowest = max(found.slowest, time.perf_counter() - began)
    return found


def fuzz(files: int) -> Iterator[tuple[str, Fuzzed]]:
    """Read damaged files of each format, each block in a process that may die or hang."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["bench.media"])
    for case in CASES:
        found, share = Fuzzed(), -(-files // len(CASES))
        for first in range(0, share, BLOCK):
            pool = ProcessPoolExecutor(1, mp_context=context)
            block = pool.submit(fuzz_block, case, first, min(BLOCK, share - first))
            try:
                found.add(block.result(timeout=HANG))
                pool.shutdown()
            except BrokenProcessPool:
                found.ends[f"CRASH in {first}.."] += 1
            except TimeoutError:
                found.ends[f"HANG in {first}.."] += 1
                for process in list(pool._processes.values()):  # there is no public way
                    process.kill()
        yield case.name, found


def print_fuzzed(files: int) -> None:
    """Print what becomes of damaged files of each format, and of all."""
    total = Fuzzed()
    for name, found in fuzz(files):
        ends = ", ".join(f"{count} {end}" for end, count in found.ends.most_common())
        print(f"{name:<22} slowest {found.slowest * 1e3:6.1f} ms: {ends}")
        total.add(found)
    ends, bad = total.kinds()
    print(f"in all, each file read and measured: {ends}; {bad} bugs, crashes and hangs")


def throughput(repeats: int) -> None:
    """Read usual files again and again: decoded, kept in a cache, and read from it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        film(root / "film.mp4", seconds=30, rate=25, width=640, height=360)
        rng = np.random.default_rng(0)
        soundfile.write(root / "sound.flac", rng.normal(size=(30 * 44_100, 2)) * 0.05, 44_100)
        pixels = rng.integers(0, 255, (96, 128, 3), dtype=np.uint8)
        photo = Image.fromarray(pixels).resize((1280, 960), Image.Resampling.BICUBIC)
        photo.save(root / "photo.jpg", quality=90)
        media = {
            "film, 30 s of 640x360 at 25/s": Media(modality="video", path="film.mp4"),
            "sound, 30 s of 44.1 kHz stereo": Media(modality="audio", path="sound.flac"),
            "picture, 1280x960": Media(modality="image", path="photo.jpg"),
        }
        print(f"{'':<32}{'decoded':>14}{'first into cache':>18}{'from cache':>14}{'gain':>8}")
        for name, item in media.items():
            caches = [MediaCache(root / f"cold{number}", gigabytes=1) for number in range(repeats)]
            plain = _seconds([partial(decode, root, item, USUAL)] * repeats)
            cold = _seconds([partial(cache.decode, root, item, USUAL) for cache in caches])
            warm = _seconds([partial(caches[0].decode, root, item, USUAL)] * repeats)
            print(
                f"{name:<32}{1 / plain:>10.1f} /s{1 / cold:>15.1f} /s{1 / warm:>11.1f} /s"
                f"{plain / warm:>7.1f}x"
            )


def _seconds(reads: Sequence[Callable[[], object]]) -> float:
    """Take the median of some times of this process alone, whatever else runs beside it."""
    times = []
    for read in reads:
        began = time.process_time()
        read()
        times.append(time.process_time() - began)
    return float(np.median(times))


def wait(steps: int, root: str) -> None:
    """Train on films with several numbers of loader processes."""
    with tempfile.TemporaryDirectory() as folder:
        rows = (Path(root) / "train.jsonl").read_text().splitlines()
        films = [
            row for row in rows if any(m["modality"] == "video" for m in json.loads(row)["media"])
        ]
        manifest = Path(folder) / "films.jsonl"
        manifest.write_text("\n".join(films) + "\n")
        for workers in (0, 1, 2):
            words = (
                *("stage=rlvr", "data=digits", f"data.root={root}", f"data.train={manifest}"),
                *(f"data.workers={workers}", f"trainer.max_steps={steps}", f"run.root={folder}"),
                *(f"run.name=w{workers}", "trainer.log_every_n_steps=1"),
                "trainer.val_check_interval=0",
            )
            subprocess.run([sys.executable, "train.py", *words], check=True, capture_output=True)
            [file] = Path(folder).glob(f"w{workers}*/timings.jsonl")
            told = [json.loads(line) for line in file.read_text().splitlines()][2:]
            data, step = (sum(row[f"time/{name}"] for row in told) for name in ("data", "step"))
            print(
                f"{workers} loader processes: {data / step:5.1%} of {step / len(told) * 1e3:.0f} "
                f"ms a step waiting, {len(told)} steps on {len(films)} films"
            )


def main() -> None:
    """Run the part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=("throughput", "wait", "matrix", "fuzz"))
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--root", default="data/digits")
    words = parser.parse_args()
    if words.part == "fuzz":
        print_fuzzed(words.files)
    elif words.part == "matrix":
        table()
    elif words.part == "wait":
        wait(words.steps, words.root)
    else:
        throughput(words.repeats)


if __name__ == "__main__":
    main()
