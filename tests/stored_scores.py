"""What trainings and benchmarks leave, as far as comparisons read it."""

import json
from collections.abc import Mapping
from pathlib import Path

ASKED = [("q0", "x", "text"), ("q1", "x", "visual"), ("q2", "y", "audio")]
"""Questions with their assets, and what they truly need."""


def training(
    run: Path,
    *,
    steps: int,
    tokens: int | None = None,
    start: Path | None = None,
    **settings: object,
) -> Path:
    """Leave what a training stage leaves, as far as it is read; return the export."""
    run.mkdir(parents=True)
    counted = {} if tokens is None else {"train/tokens": tokens}
    rows = [{"step": 1}, {"step": steps, **counted}, {"step": steps, "val/accuracy": 0.5}]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    known = {"init_from": start and str(start), "run": {"root": str(run.parent)}, **settings}
    (run / "config.yaml").write_text(json.dumps(known))
    return run / "export"


def benchmark(
    folder: Path,
    scores: dict[str, str],
    *,
    truth: bool = True,
    condition: str = "full",
    name: str = "test",
    by: str = "answer",
    weights: Mapping[str, Path] | None = None,
) -> Path:
    """Leave what stage=benchmark leaves: right answers of `base` and others, as in "101".

    What was answered in another order, under another condition and in another set is all wrong.
    """
    folder.mkdir(parents=True)
    paths = {each: str(folder.parent / each / "export") for each in scores}
    paths |= {each: str(path) for each, path in (weights or {}).items()}
    results = {"sets": [name], "conditions": [condition, "options_only"], "by": by}
    (folder / "results.json").write_text(json.dumps({**results, "checkpoints": paths}))
    (folder / "config.yaml").write_text(f"data:\n  root: {folder / 'data'}\n")
    told, _, how = condition.partition(":")
    asked = {"set": name, "condition": told, "how": how or "absent", "order": 0}
    others = ({"order": 1}, {"condition": "options_only"}, {"how": "noise"}, {"set": "another"})
    for each, right in scores.items():
        rows = [
            {"id": id_, "content_hash": f"hash of {id_}", "asset_id": asset, **asked}
            | {"correct": one == "1"}
            for (id_, asset, _), one in zip(ASKED, right, strict=True)
        ]
        rows += [row | other | {"correct": False} for row in rows for other in others]
        (folder / f"{each}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    if truth:
        (folder / "data" / "truth").mkdir(parents=True)
        known = [{"id": id_, "evidence": evidence} for id_, _, evidence in ASKED]
        lines = "".join(f"{json.dumps(row)}\n" for row in known)
        (folder / "data" / "truth" / f"{name}.jsonl").write_text(lines)
    return folder
