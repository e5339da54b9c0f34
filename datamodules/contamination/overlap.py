"""Report what evaluated questions have in common with those that the weights were trained on.

A score should rest on recordings and questions that training has not used. Where data sets overlap,
the overlap is at least reported beside the score.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from omegaconf import OmegaConf

from datamodules.contamination.near_duplicates import near_duplicates
from datamodules.contamination.same_media import (
    MediaBytes,
    Trained,
    questions_by_digest,
    same_question,
    wording,
)
from datamodules.sample import Sample
from datamodules.sources.adapter import Row
from datamodules.sources.answers.normalize import RowError
from datamodules.sources.formats import format_of
from datamodules.sources.manifest_files import manifest_path
from datamodules.sources.quarantine import KNOWN_TEST
from datamodules.sources.reader import Reader
from datamodules.sources.row_files import read_rows
from untrusted.json_text import json_of

ALIKE = 0.8
"""Jaccard similarity of 3-grams from which two wordings are near-duplicates."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What the questions of a set have in common with the training of a checkpoint."""

    questions: int
    """Number of questions of the set."""

    manifests: Sequence[str] = ()
    """The known training manifests, to which all other fields refer."""

    trained: int = 0
    """Number of their questions."""

    unknown: Sequence[str] = ()
    """Weights and manifests whose training data are unknown."""

    assets: Mapping[str, int] = field(default_factory=dict)
    """Number of questions of the set by the asset that they share with training."""

    same: Mapping[str, str] = field(default_factory=dict)
    """By the id of a question that was trained on, with the same words and the same media in every
    byte, or none: the id that it had there."""

    alike: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """By the id of a question with a near-duplicate in training: that one's id, and the
    similarity."""


def find_overlap(
    export: Path, sets: Mapping[str, Sequence[Sample]], *, root: Path
) -> dict[str, Overlap]:
    """Compare the questions of sets with all training questions of an export, read in one pass.

    A run's `config.yaml`, beside its export, names its manifests, and the weights that it started
    from; and so on back to weights that no run made. All questions of a manifest count, whichever
    of them a filter has kept, but for those that were set aside as known tests. Two assets are the
    same if one of their files is, in every byte and under whatever names; and within one data root,
    if their ids are.

    Args:
        sets: questions by the name of their set.
        root: the data root of the sets.
    """
    manifests, unknown = _behind(export)
    trained: list[Trained] = []
    assets = {name: Counter[str]() for name in sets}
    same: dict[str, dict[str, str]] = {name: {} for name in sets}
    asked = [(name, sample) for name, samples in sets.items() for sample in samples]
    bytes_of = MediaBytes(root / item.path for _, sample in asked for item in sample.media)
    for one in manifests:
        rows = _trained(one)
        trained += rows
        here = one.root.resolve() == root.resolve()
        known = questions_by_digest(rows, one.root, bytes_of)
        ids = {row.asset_id for row in rows} if here else set()
        for name, samples in sets.items():
            shown = [(s, bytes_of.digests(root, [item.path for item in s.media])) for s in samples]
            assets[name] |= Counter(
                s.asset_id for s, shows in shown if s.asset_id in ids or known.keys() & {*shows}
            )
            for s, shows in shown:
                train = same_question(s, shows, known)
                if train is not None:
                    same[name].setdefault(s.id, train.id)
    wordings = [wording(sample.question, sample.options) for _, sample in asked]
    alike: dict[str, dict[str, tuple[str, float]]] = {name: {} for name in sets}
    for near in near_duplicates((row.wording for row in trained), wordings, ALIKE):
        name, sample = asked[near.test]
        alike[name][sample.id] = (trained[near.train].id, near.similarity)
    return {
        name: Overlap(
            questions=len(samples),
            manifests=[str(one.path) for one in manifests],
            trained=len(trained),
            unknown=unknown,
            assets=assets[name],
            same=same[name],
            alike=alike[name],
        )
        for name, samples in sets.items()
    }


def overlap_notes(found: Mapping[tuple[str, str], Overlap]) -> list[str]:
    """Write notes on the training data and its overlap with the sets, each once.

    Args:
        found: by the names of set and checkpoint.
    """
    notes = []
    for checkpoint in dict.fromkeys(name for _, name in found):
        own = {one: leaks for (one, name), leaks in found.items() if name == checkpoint}
        known = next(iter(own.values()))
        if not known.manifests:
            continue
        listed = ", ".join(known.manifests)
        notes.append(f"{checkpoint} was trained on {known.trained} questions of {listed}")
        apart = [
            one for one, leaks in own.items() if not (leaks.assets or leaks.same or leaks.alike)
        ]
        notes += [_shares(one, own[one], checkpoint) for one in own if one not in apart]
        if apart:
            notes.append(
                f"of the questions of {', '.join(apart)}, none is about an asset that {checkpoint} "
                "was trained on, and none is worded nearly like a question that it was"
            )
    unknown = dict.fromkeys(weights for leaks in found.values() for weights in leaks.unknown)
    return notes + [f"what {weights} was trained on is not known here" for weights in unknown]


def _shares(name: str, leaks: Overlap, checkpoint: str) -> str:
    """Describe the overlap of one set with the training of one checkpoint."""
    about, assets = sum(leaks.assets.values()), len(leaks.assets)
    told = f"of {leaks.questions} questions of {name}, {_are(about)} about "
    told += f"{assets} assets" if assets > 1 else "an asset"
    told += f" that {checkpoint} was trained on"
    told += f" (such as {min(leaks.assets)})" if assets else ""
    if leaks.same:
        test, train = next(iter(leaks.same.items()))
        are = "are ones" if len(leaks.same) > 1 else "is one"
        told += f"; {len(leaks.same)} {are} that it was trained on, words and media"
        told += f" ({test} is {train})"
    told += f"; {_are(len(leaks.alike))} worded nearly like a question that it was"
    test, (train, _) = next(iter(leaks.alike.items()), ("", ("", 0.0)))
    return told + (f" ({test} like {train})" if test else "")


def _are(count: int) -> str:
    return f"{count} are" if count > 1 else "1 is" if count else "none is"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A training manifest, as the settings of a run name it."""

    path: Path
    root: Path
    format: str
    left_out: frozenset[str]
    """Ids of the questions that were set aside as known tests."""


def _behind(export: Path) -> tuple[list[Manifest], list[str]]:
    """Follow the runs that led to an export: their manifests, and what is unknown."""
    manifests: dict[Path, Manifest] = {}
    unknown: list[str] = []
    weights, seen = str(export), set[str]()
    while weights not in seen:
        seen.add(weights)
        file = Path(weights).parent / "config.yaml"
        settings = OmegaConf.load(file) if file.exists() else OmegaConf.create()
        names = OmegaConf.select(settings, "data.train")
        if names is None:
            unknown.append(weights)
            break
        root = Path(OmegaConf.select(settings, "data.root"))
        written = OmegaConf.select(settings, "data.format", default="auto")
        aside = _set_aside(file.with_name("quarantine.jsonl"))
        for path in (manifest_path(root, name) for name in names.split("+")):
            if ".py" in written:  # code that another run's settings name is not run
                unknown.append(f"{weights} with {path}, in a format of its own,")
            elif path.exists():
                out = frozenset(name for name, place in aside if place == str(path))
                if path in manifests:  # what one of the runs has learned from counts
                    out &= manifests[path].left_out
                manifests[path] = Manifest(path=path, root=root, format=written, left_out=out)
            else:
                unknown.append(f"{weights} with {path}, which is not there,")
        weights = OmegaConf.select(settings, "init_from") or OmegaConf.select(
            settings, "model.path"
        )
    return list(manifests.values()), unknown


def _set_aside(quarantine: Path) -> set[tuple[str, str]]:
    """Read which questions a run left out as known tests: ids and manifests."""
    lines = quarantine.read_text().splitlines() if quarantine.exists() else []
    rows = [json_of(line) for line in lines]
    return {(row["id"], row["path"]) for row in rows if row["reason"] == KNOWN_TEST}


@lru_cache(maxsize=4)
def _trained(manifest: Manifest) -> list[Trained]:
    """Read the questions of a manifest, without their media."""
    format = format_of(manifest.path, manifest.format)
    reader = Reader(manifest.path, manifest.root, format)
    rows = (row for found in read_rows(manifest.path) for row in reader.questions(found))
    learned = (_known_by(row) for row in rows if not isinstance(row, RowError))
    return [row for row in learned if row.id not in manifest.left_out]


def _known_by(row: Row) -> Trained:
    listed, options, name = row.get("media"), row.get("options"), str(row.get("id"))
    media = (
        [item.get("path") for item in listed if isinstance(item, dict)]
        if isinstance(listed, list)
        else []
    )
    return Trained(
        id=name,
        wording=wording(str(row.get("question")), options if isinstance(options, list) else ()),
        asset_id=str(row.get("asset_id") or (media[0] if media else name)),
        media=tuple(map(str, media)),
    )
