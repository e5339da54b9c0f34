"""Build the digits set: plan its media, write them, ask its questions."""

import json
import logging
import random
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from datamodules.digits.draft import Draft, Maker
from datamodules.digits.items import Item
from datamodules.digits.open_questions import both_digits, describe, larger, number, told
from datamodules.digits.pictures import PICTURES, Picture, balanced
from datamodules.digits.questions import (
    add,
    compare,
    either,
    hear,
    pair,
    same,
    see,
    shortcut,
    sound,
    text,
)
from datamodules.digits.scenes import (
    film_heard,
    film_seen,
    film_sound,
    film_sum,
    media_options,
    order,
)
from datamodules.digits.shelf import Amount, Shelf, plan, plan_recordings
from datamodules.digits.speech import RECORDINGS, recorded_people, speakers

log = logging.getLogger(__name__)

VERSION = 1
"""Goes up with every change of what is built, so that `ensure` builds it again."""

SHARES: dict[Maker, float] = {
    text: 10,
    shortcut: 14,
    see: 14,
    hear: 14,
    either: 8,
    pair: 9,
    add: 3,
    compare: 3,
    same: 3,
    order: 4,
    film_seen: 1,
    film_heard: 1,
    film_sound: 0.5,
    film_sum: 1.5,
    media_options: 4,
    sound: 5,
    number: 3,
    both_digits: 1,
    larger: 1,
}
"""How often each kind of question is asked, in percent."""

SHARES_OF: dict[str, dict[Maker, float]] = {
    # Mostly what is seen and heard, and how to say it; little of how to put it together.
    "warm": {**SHARES, text: 10, told: 3, shortcut: 6, hear: 16, pair: 16, describe: 12},
    "test_human": {hear: 35, pair: 30, same: 20, either: 15},
}
"""Where a split differs from SHARES."""

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

    def __post_init__(self) -> None:
        pictures = sum(amount.pictures for amount in self.splits.values())
        if pictures > PICTURES:
            raise ValueError(
                f"The splits ask for {pictures} pictures, but no two may share one and there are "
                f"{PICTURES}: ask for fewer, or raise `drawings`."
            )


def build(root: Path, *, seed: int = 0, sizes: Sizes | None = None, workers: int = 2) -> None:
    """Write the whole set into a new or empty folder; `digits.json` comes last."""
    sizes = sizes or Sizes()
    media = plan_media(sizes, seed)
    write_media(root, media, workers)
    counts = {}
    for split, items in media.items():
        shares = SHARES_OF.get(split, SHARES)
        total = sizes.splits[split].questions if split in sizes.splits else sizes.human_questions
        drafts = ask(Shelf(items), shares, total, random.Random(f"{seed}-{split}"))
        write_questions(root, split, drafts)
        counts[split] = dict(sorted(Counter(draft.family for draft in drafts).items()))
    about = {"version": VERSION, "seed": seed, "counts": counts}
    (root / "digits.json").write_text(json.dumps(about, indent=2) + "\n")


def ensure(root: Path, *, sizes: Sizes | None = None) -> None:
    """Build the set where it is missing or of another version; otherwise do nothing.

    It is built beside its place and renamed, so a kill leaves nothing half-made there, and of two
    simultaneous starts one finds its work done and keeps the other's.
    """
    if _version(root) == VERSION:
        return
    if root.exists() and not (root / "digits.json").exists() and any(root.iterdir()):
        raise ValueError(
            f"{str(root)!r} holds files but no digits.json, so it is no digits set, and a new "
            "one would replace them: choose another folder, or empty this one."
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    fresh, stale = (root.with_name(f".{root.name}-{secrets.token_hex(4)}") for _ in range(2))
    try:
        build(fresh, sizes=sizes)
        if _version(root) != VERSION:
            with suppress(FileNotFoundError):
                root.rename(stale)
            _install(fresh, root)
            with suppress(FileNotFoundError):  # scores belong to contents, so they stay valid
                (stale / "probes").rename(root / "probes")
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(stale, ignore_errors=True)
    log.info("Built the digits set in %s in %.0f seconds.", root, time.monotonic() - started)


def _install(fresh: Path, root: Path) -> None:
    try:
        fresh.rename(root)
    except OSError:  # another start was faster, and its set is as good as ours
        if _version(root) != VERSION:
            raise


def _version(root: Path) -> int | None:
    try:
        about = json.loads((root / "digits.json").read_text())
    except FileNotFoundError:
        return None
    version: int = about["version"]
    return version


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
    return media


def write_media(root: Path, media: Mapping[str, Sequence[Item]], workers: int) -> None:
    """Encode all files, in processes that each write a fixed share of them."""
    items = list({item.path: item for split in media.values() for item in split}.values())
    for folder in {(root / item.path).parent for item in items}:
        folder.mkdir(parents=True, exist_ok=True)
    shares = [items[index::PROCESSES] for index in range(PROCESSES)]
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn, max_tasks_per_child=1) as pool:
        list(pool.map(partial(write_items, root), shares))  # a list, to raise what a process raised


def write_items(root: Path, items: Sequence[Item]) -> None:
    """Encode some files, in their order."""
    for item in items:
        item.write(root / item.path)


def ask(shelf: Shelf, shares: dict[Maker, float], total: int, rng: random.Random) -> list[Draft]:
    """Draft `total` questions, each kind as often as its share says, in random order."""
    makers, weights = list(shares), list(shares.values())
    counts = [int(total * weight / sum(weights)) for weight in weights]
    asked = [maker for maker, count in zip(makers, counts, strict=True) for _ in range(count)]
    asked += rng.choices(makers, weights, k=total - len(asked))
    rng.shuffle(asked)
    return [maker(shelf, rng) for maker in asked]


def write_questions(root: Path, split: str, drafts: Iterable[Draft]) -> None:
    """Write a split's manifest, and apart from it the truth about its questions."""
    (root / "truth").mkdir(exist_ok=True)
    with (
        (root / f"{split}.jsonl").open("w") as manifest,
        (root / "truth" / f"{split}.jsonl").open("w") as truth,
    ):
        for index, draft in enumerate(drafts):
            name = f"{split}-{draft.family}-{index:05d}"
            manifest.write(json.dumps(row(name, draft, completed=split == "warm")) + "\n")
            known = {"id": name, "family": draft.family, "evidence": draft.evidence}
            truth.write(json.dumps(known) + "\n")


def row(name: str, draft: Draft, *, completed: bool) -> dict[str, object]:
    """Lay a question out as a line of a manifest, without what can be left out.

    Args:
        completed: whether completions are written out; they give the evidence away, so only the
            split that a warm start imitates has them.
    """
    role = {} if draft.role == "context" else {"role": draft.role}
    whole = {
        "id": name,
        "question": draft.question,
        "options": list(draft.options),
        "answer": draft.answer,
        "answer_type": draft.answer_type,
        "media": [{"modality": item.modality, "path": item.path, **role} for item in draft.items],
        "completion": draft.completion if completed else "",
        "source": "digits",
        "asset_id": draft.items[0].asset if draft.items else f"text-{name}",
    }
    return {key: value for key, value in whole.items() if value or key == "media"}
