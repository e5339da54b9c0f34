"""Keep training, validation and test questions apart.

A score on recordings that training has used says nothing about others, and a checkpoint that was
selected on a test set is fitted to it. Both are errors.
"""

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from configs.benchmark import CleanConfig
from configs.inputs import DataConfig, RuleName
from datamodules.contamination.clean_view import read_view
from datamodules.sample import Sample
from datamodules.sources.formats import FORMATS, TWIN, format_of, is_test_set, trains_on
from datamodules.sources.index.table import column_of, take
from datamodules.sources.manifest_files import manifest_path
from datamodules.sources.published.benchmark_names import TEST, named_in_path
from datamodules.sources.published.known_tests import known_in
from datamodules.sources.quarantine import KNOWN_TEST, Quarantine
from runtime.writing import write_text

SHARED = "shared.jsonl"
"""In the run directory: validation questions that training shows as well."""

log = logging.getLogger(__name__)


def shared_assets(train: Sequence[Sample], other: Sequence[Sample]) -> Counter[str]:
    """Count the questions of the second about each asset that the first are about too."""
    asked = Counter(column_of(other, "asset_id"))
    both = asked.keys() & {*column_of(train, "asset_id")} if asked else ()
    return Counter({asset: asked[asset] for asset in both})


def check_splits(
    train: Sequence[Sample], val: Sequence[Sample], data: DataConfig, *, run_dir: Path | None = None
) -> Sequence[Sample]:
    """Refuse to train or select on a test set, and to select on what was trained on, which is
    listed in the run directory; return the questions to select on.

    Args:
        val: empty where nothing is scored during training.
    """
    check_names(data)
    shared = _shared_questions(train, val)
    if not shared:
        return val
    file = None if run_dir is None else run_dir / SHARED
    if file is not None:
        write_text(file, "".join(f"{json.dumps(row)}\n" for row in shared.values()))
    listed = f"; {file} lists all" if file is not None else ""
    if data.val_overlap == "skip" and len(shared) < len(val):
        told = len(shared), len(val), listed
        log.warning("%d of %d validation questions are left out, as training shows them%s", *told)
        return take(val, np.array([n for n in range(len(val)) if n not in shared], np.int64))
    out = (
        "set data.val_overlap=skip to leave these out, name another data.val, or hold some of the "
        "training's out instead with data.val_share=0.05."
    )
    if assets := shared_assets(train, val):
        some = ", ".join(sorted(assets)[:3])
        raise ValueError(
            f"{len(assets)} assets ({some}{', ...' if len(assets) > 3 else ''}) are behind "
            f"questions of data.train={data.train} and behind {assets.total()} questions of "
            f"data.val={data.val}{listed}, but validation is about what training has not shown: "
            f"{out}"
        )
    one = next(iter(shared.values()))
    raise ValueError(
        f"{len(shared)} of {len(val)} validation questions are training questions as well, with "
        f"the same words and media under other names (such as {one['id']!r} and "
        f"{one['trained_as']!r}{listed}), but validation is about what training has not shown: "
        f"{out}"
    )


def _shared_questions(
    train: Sequence[Sample], val: Sequence[Sample]
) -> dict[int, dict[str, str | None]]:
    """Find the second's questions about assets of the first, and those that are the same in words
    and media, by their places; without media, questions may come twice."""
    if not len(val):
        return {}
    names = {*column_of(train, "asset_id")}
    trained = dict(zip(column_of(train, "content_hash"), column_of(train, "id"), strict=True))
    columns = (column_of(val, name) for name in ("id", "asset_id", "content_hash"))
    return {
        place: {"id": id_, "asset_id": asset, "trained_as": trained.get(content)}
        for place, (id_, asset, content) in enumerate(zip(*columns, strict=True))
        if asset in names or (content in trained and val[place].media)
    }


def without_tests(
    samples: Sequence[Sample], path: Path, data: DataConfig, quarantine: Quarantine
) -> Sequence[Sample]:
    """Quarantine the known test questions of a manifest, and those that a clean view has judged.

    Raises a `ValueError` where more than `data.max_test_share` of its questions are such.
    """
    known = {**_judged_in(samples, data), **known_in(samples, but=trains_on(data.format))}
    if not known:
        return samples
    ids, sets = column_of(samples, "id"), Counter(known.values())
    told = ", ".join(f"{count} of {name}" for name, count in sorted(sets.items()))
    some = ", ".join(repr(ids[place]) for place in [*known][:3]) + ("..." if len(known) > 3 else "")
    for place, name in known.items():
        quarantine.add(
            ids[place],
            KNOWN_TEST,
            f"the question is one of {name}, but nothing is trained on a test set, nor chosen by "
            "one: take it out of the manifest.",
            str(path),
        )
    if len(known) > data.max_test_share * len(samples):
        enough = math.ceil(100 * len(known) / len(samples)) / 100
        listed = "" if quarantine.file is None else f"; {quarantine.file} lists all"
        raise ValueError(
            f"{len(known)} of the {len(samples)} questions of {path.name} are known test questions "
            f"({told}; such as {some}{listed}), but data.max_test_share is {data.max_test_share}, "
            "and no checkpoint is trained on a test set, nor chosen by one: set "
            f"data.max_test_share={enough:g} to set these aside and go on with the rest; or score "
            "them with stage=benchmark, and name other questions."
        )
    log.warning("%s: %d known test questions are set aside (%s: %s)", path, len(known), told, some)
    return take(samples, np.array([n for n in range(len(samples)) if n not in known], np.int64))


def _judged_in(samples: Sequence[Sample], data: DataConfig) -> dict[int, str]:
    """Name for the place of each question that a view has judged the set of the view."""
    judged = _judged(Path(data.root) / CleanConfig().views)
    hashes = column_of(samples, "content_hash") if judged else []
    found = {place: judged[name] for place, name in enumerate(hashes) if name in judged}
    # Questions of words alone, such as sums, are the same in many sets without a leak.
    return {place: name for place, name in found.items() if samples[place].media}


def check_names(data: DataConfig) -> None:
    """Refuse manifests that are test sets by their names or the fields of their first rows."""
    _check_names(data, "train")
    if not data.val_share:
        _check_names(data, "val")


def _check_names(data: DataConfig, setting: Literal["train", "val"]) -> None:
    names: str = vars(data)[setting]
    root = Path(data.root)
    for name in names.split("+"):
        path = manifest_path(root, name)
        if TEST.search(path.stem.lower()):
            raise _test_set(
                f"data.{setting}={names} reads {path.name}, a test set by its name", setting
            )
        named = named_in_path(path, root)
        if named is not None and named != trains_on(data.format):
            raise _test_set(
                f"data.{setting}={names} reads {path}, of {named} by its name",
                setting,
                also=" Where it is none, another name for the file or folder says so.",
            )
        if path.exists() and is_test_set(path, data.format):
            raise _test_set(
                f"data.{setting}={names} reads {path.name}, a published benchmark",
                setting,
                also=_twin(path),
            )


def _twin(path: Path) -> str:
    """Explain how training questions are read that a publisher ships in the form of its
    benchmark."""
    name = f"{format_of(path).name}{TWIN}"
    said = f" Training questions in that form, which no test set holds, are data.format={name}."
    return said if any(one.name == name for one in FORMATS) else ""


def _test_set(found: str, setting: str, *, also: str = "") -> ValueError:
    out = ", or hold some of the training's out with data.val_share=0.05" * (setting == "val")
    return ValueError(
        f"{found}, but no checkpoint is chosen by a test set, nor trained on one: score it with "
        f"stage=benchmark, and name other questions{out}.{also}"
    )


def _judged(views: Path) -> dict[str, str]:
    """Map each question that a view judges, by its content hash, to the set of the view."""
    found = (
        read_view(path)
        for rule in get_args(RuleName)
        for path in sorted(views.rglob(f"*.{rule}.jsonl"))
    )
    return {
        row.content_hash: f"{view.set}, as stage=clean judged it"
        for view in found
        for row in view.rows
    }


def held_out(
    samples: Sequence[Sample], share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split questions into training and validation, by their places.

    All questions about an asset go to one side, by a hash of its name, which depends neither on the
    other assets nor on their order. Assets that share a question, in words and media, go together,
    by the name that comes first in the alphabet.

    Args:
        share: of the assets, to validate by, between 0 and 1.
    """
    assets, together = column_of(samples, "asset_id"), _joined_assets(samples)
    sides = [_fraction(_first_of(asset, together)) < share for asset in assets]
    train, val = np.flatnonzero(~np.array(sides, dtype=np.bool_)), np.flatnonzero(sides)
    if not (len(train) and len(val)):
        raise ValueError(
            f"data.val_share is {share}, which leaves {len(train)} questions to train on and "
            f"{len(val)} to validate by, but both need some: give another share, or name a "
            "manifest with data.val and set data.val_share=0."
        )
    return train, val


def _joined_assets(samples: Sequence[Sample]) -> dict[str, str]:
    """Point from assets to earlier ones in the alphabet that are behind the same question."""
    together: dict[str, str] = {}
    first: dict[str, str] = {}
    columns = (column_of(samples, name) for name in ("content_hash", "asset_id"))
    for place, (content, asset) in enumerate(zip(*columns, strict=True)):
        other = first.setdefault(content, asset)
        if other != asset and samples[place].media:
            one, two = sorted((_first_of(asset, together), _first_of(other, together)))
            if one != two:
                together[two] = one
    return together


def _first_of(asset: str, together: Mapping[str, str]) -> str:
    """Follow the pointers to their end."""
    while asset in together:
        asset = together[asset]
    return asset


def _fraction(asset: str) -> float:
    """Hash an asset to a number between 0 and 1, the same for all runs."""
    digest = hashlib.blake2b(asset.encode(), digest_size=8, key=b"held out").digest()
    return int.from_bytes(digest, "big") / 2**64
