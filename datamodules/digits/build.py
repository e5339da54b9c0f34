"""Build the digits set: plan its media, write them, ask its questions."""

import errno
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from datamodules.digits.asking import ask, write_questions
from datamodules.digits.items import Item
from datamodules.digits.pictures import PICTURES, Picture, balanced
from datamodules.digits.shelf import Amount, Shelf, plan, plan_recordings
from datamodules.digits.speech import RECORDINGS, recorded_people, speakers
from runtime.writing import sweep, whole_directory, write_bytes, write_text
from untrusted.json_text import json_of

log = logging.getLogger(__name__)

VERSION = 1
"""Goes up with every change of what is built, so that `ensure` builds it again."""

ADDED = "annotated"
"""A split that sets of this version may lack: `ensure` adds it to them, and leaves the rest."""

CACHES = ("probes", "traces", "answers")
"""Folders that outlive a set: what is in them belongs to contents, so it stays valid."""

PROCESSES = 4
"""Each writes its share of the files and ends. Speech depends on what its process said before, so
the seed decides it only for a fixed number of them; how many run at a time does not matter."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much to build."""

    splits: Mapping[str, Amount] = field(
        default_factory=lambda: {
            "warm": Amount(
                questions=12_000, pictures=600, drawings=3, voices=0.3,
                clips=1300, pairs=200, sounds=240, films=300,
            ),
            "train": Amount(
                questions=8_000, pictures=700, drawings=3, voices=0.35,
                clips=1400, pairs=200, sounds=240, films=300,
            ),
            "val": Amount(
                questions=400, pictures=110, drawings=1, voices=0.1,
                clips=200, pairs=30, sounds=40, films=50,
            ),
            "test": Amount(
                questions=2_000, pictures=330, drawings=1, voices=0.25,
                clips=700, pairs=100, sounds=120, films=200,
            ),
        }
    )  # fmt: skip
    human_questions: int = 300
    human_takes: int = 6
    """Versions made of each recorded digit."""

    annotated_questions: int = 6_000
    """Of the split that shows the media of `warm` again, with their evidence in words."""

    def __post_init__(self) -> None:
        pictures = sum(amount.pictures for amount in self.splits.values())
        if pictures > PICTURES:
            raise ValueError(
                f"The splits ask for {pictures} pictures, but no two may share one and there are "
                f"{PICTURES}: ask for fewer, or raise `drawings`."
            )

    def questions(self, split: str) -> int:
        """Tell how many questions a split asks."""
        more = {"test_human": self.human_questions, ADDED: self.annotated_questions}
        return more[split] if split in more else self.splits[split].questions


def build(root: Path, *, seed: int = 0, sizes: Sizes | None = None, workers: int = 2) -> None:
    """Write the whole set into a new or empty folder; `digits.json` comes last."""
    sizes = sizes or Sizes()
    media = plan_media(sizes, seed)
    write_media(root, media, workers)
    counts = {
        split: write_split(root, split, items, sizes.questions(split), seed)
        for split, items in media.items()
    }
    write_about(root, {"version": VERSION, "seed": seed, "counts": counts})


def write_split(
    root: Path, split: str, items: Sequence[Item], questions: int, seed: int
) -> dict[str, int]:
    """Ask the questions of one split, and count them by family."""
    drafts = ask(Shelf(items), split, questions, random.Random(f"{seed}-{split}"))
    write_questions(root, split, drafts)
    return dict(sorted(Counter(draft.family for draft in drafts).items()))


def write_about(root: Path, about: Mapping[str, object]) -> None:
    """Say what a set holds; before this is said, it holds nothing."""
    write_text(root / "digits.json", json.dumps(about, indent=2) + "\n")


def ensure(root: Path, *, sizes: Sizes | None = None) -> None:
    """Build the set where it is missing or of another version; otherwise add what it lacks.

    It is built beside its place and renamed, so a kill leaves nothing half-made there, and of two
    simultaneous starts one finds its work done and keeps the other's.
    """
    if _current(root) or extend(root, sizes or Sizes()):
        return
    if root.exists() and not (root / "digits.json").exists() and any(root.iterdir()):
        raise ValueError(
            f"{str(root)!r} holds files but no digits.json, so it is no digits set, and a new "
            "one would replace them: choose another folder, or empty this one."
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    sweep(root.parent, of=root.name)
    started = time.monotonic()
    try:
        with whole_directory(root, keeps=CACHES, durable=False) as made:
            build(made, sizes=sizes)
            if _current(root):
                raise FileExistsError(errno.EEXIST, "another start was faster", str(root))
    except OSError:
        if not _current(root):  # else its set is as good as ours
            raise
    log.info("Built the digits set in %s in %.0f seconds.", root, time.monotonic() - started)


def extend(root: Path, sizes: Sizes) -> bool:
    """Add the split that a set of this version lacks, and leave the rest as it is.

    What media show is known from their plan alone, so False where the questions that stand there
    are not those of this plan: the set then is of other sizes, or of another release of the voices.
    """
    about = _about(root)
    if about is None or about["version"] != VERSION:
        return False
    seed: int = about["seed"]
    media = plan_media(sizes, seed)
    with TemporaryDirectory(prefix=f".{root.name}-", dir=root.parent) as folder:
        fresh = Path(folder)
        write_split(fresh, "warm", media["warm"], sizes.questions("warm"), seed)
        if (fresh / "warm.jsonl").read_bytes() != (root / "warm.jsonl").read_bytes():
            return False
        count = write_split(fresh, ADDED, media[ADDED], sizes.questions(ADDED), seed)
        write_about(fresh, {**about, "counts": {**about["counts"], ADDED: count}})
        for name in (f"truth/{ADDED}.jsonl", f"{ADDED}.jsonl", "digits.json"):
            (fresh / name).replace(root / name)
    log.info("Added the split %s to the digits set in %s.", ADDED, root)
    return True


def _current(root: Path) -> bool:
    """Tell whether a set is there, of this version and whole."""
    about = _about(root)
    return about is not None and about["version"] == VERSION and ADDED in about["counts"]


def _about(root: Path) -> dict[str, Any] | None:  # of JSON
    try:
        about: dict[str, Any] = json_of((root / "digits.json").read_text())
    except FileNotFoundError:
        return None
    return about


def plan_media(sizes: Sizes, seed: int) -> dict[str, list[Item]]:
    """Deal pictures and speakers to the splits, and decide on each split's media."""
    rng = np.random.default_rng(seed)
    numbers = balanced(rng)
    people = speakers()
    order_of_people = [people[index] for index in rng.permutation(len(people))]
    media: dict[str, list[Item]] = {}
    used_numbers, used_people = 0, 0.0
    for split, amount in sizes.splits.items():
        first, last = (round(len(people) * s) for s in (used_people, used_people + amount.voices))
        variants = [variant for one in order_of_people[first:last] for variant in one]
        mine = numbers[used_numbers : used_numbers + amount.pictures]
        media[split] = plan(split, amount, numbers=mine, variants=variants, rng=rng)
        used_numbers, used_people = used_numbers + amount.pictures, used_people + amount.voices
    if recorded := recorded_people():
        pictures = [item for item in media["test"] if isinstance(item, Picture)]
        media["test_human"] = [*pictures, *plan_recordings(recorded, sizes.human_takes, rng)]
    else:
        log.info(
            "Left out the split test_human: no recorded digits in %s. Install the Debian package "
            "asterisk-core-sounds-en-wav, and build again.",
            RECORDINGS,
        )
    if "warm" in media:
        media[ADDED] = media["warm"]
    return media


def write_media(root: Path, media: Mapping[str, Sequence[Item]], workers: int) -> None:
    """Encode all files, in processes that each write a fixed share of them."""
    items = list({item.path: item for split in media.values() for item in split}.values())
    for folder in {(root / item.path).parent for item in items}:
        folder.mkdir(parents=True, exist_ok=True)
    shares = [items[index::PROCESSES] for index in range(PROCESSES)]
    spawn, before = get_context("spawn"), active_children()
    with ProcessPoolExecutor(workers, mp_context=spawn, max_tasks_per_child=1) as pool:
        try:
            list(pool.map(partial(write_items, root), shares))  # to raise what a process raised
        except BrokenProcessPool as error:
            raise ValueError(
                f"a process that wrote media of the digits set into {root} was ended from outside, "
                "but each has to write its share: where this machine ran out of memory, free some, "
                "and repeat the command."
            ) from error
        except BaseException:  # a signal, too, which the pool would not pass on
            for process in active_children():
                if process not in before:
                    process.kill()
            raise


def write_items(root: Path, items: Sequence[Item]) -> None:
    """Encode some files, in their order."""
    for item in items:
        write_bytes(root / item.path, item.encoded(), durable=False)
