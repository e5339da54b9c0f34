"""Load the results of finished benchmarks, and the cost of the training behind them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from configs.benchmark import parse_condition
from datamodules.truth import known_fields
from untrusted.json_text import json_of

METRICS, TOKENS = "metrics.jsonl", "train/tokens"


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """The answers of one checkpoint to one set, in the order of its file."""

    setup: str
    """Set, condition, and how answers were named and graded."""

    hashes: Mapping[str, str]
    """Content hash of each question, by id."""

    right: NDArray[np.float64]
    clusters: NDArray[np.str_]
    needs_media: NDArray[np.bool_] | None
    steps: int
    tokens: float


def load_result(path: Path, dataset: str | None) -> BenchmarkResult:
    """Load one checkpoint's answers to one set, and the cost of its training.

    Of several conditions the first is loaded, and of several orders of the options the written one.
    """
    folder = path if path.is_dir() else path.parent
    if not (folder / "results.json").exists():
        raise ValueError(
            f"{folder} holds no results.json, but a finished stage=benchmark leaves one: name its "
            "run directory, and let it finish."
        )
    results = json_of((folder / "results.json").read_text())
    sets, condition = results["sets"], results["conditions"][0]
    if dataset not in (sets if dataset is not None or len(sets) > 1 else [None]):
        raise ValueError(
            f"{folder} scored {', '.join(sets)}, but arms are compared on one set, not on "
            f"{dataset}: name one of them."
        )
    chosen = dataset or sets[0]
    name = [*results["checkpoints"]][-1] if path.is_dir() else path.stem
    place = (chosen, *parse_condition(condition), 0)
    rows = [
        row
        for row in _rows(folder / f"{name}.jsonl")
        if (row["set"], row["condition"], row["how"], row["order"]) == place
    ]
    root = Path(OmegaConf.select(OmegaConf.load(folder / "config.yaml"), "data.root"))
    truth = known_fields(root, chosen, ("evidence",))
    needs = [truth[row["id"]]["evidence"] != "text" if row["id"] in truth else None for row in rows]
    steps, tokens = training_cost(Path(results["checkpoints"][name]))
    return BenchmarkResult(
        setup=f"{chosen} under {condition}, by {results['by']}{_graded_by(results)}",
        hashes={row["id"]: row["content_hash"] for row in rows},
        right=np.array([row["correct"] for row in rows], dtype=np.float64),
        clusters=np.array([row["asset_id"] for row in rows], dtype=np.str_),
        needs_media=None if None in needs else np.array(needs, dtype=np.bool_),
        steps=steps,
        tokens=tokens,
    )


def _graded_by(results: Mapping[str, Any]) -> str:
    """Say how options were named and answers graded; `""` for old results, which do not say."""
    if "harness_version" not in results:
        return ""
    return f", options named by {results['answer_with']}, harness {results['harness_version']}"


def training_cost(weights: Path) -> tuple[int, float]:
    """Count the optimizer steps behind an export, and the tokens that they trained on.

    The `config.yaml` of an export's run names the weights that it started from, and so on back to
    weights that no run made. Tokens are NaN where a run did not count them.
    """
    steps, tokens = 0, 0.0
    for run in lineage(weights):
        rows = _rows(run / METRICS)
        steps += max((row["step"] for row in rows), default=0)
        tokens += max((row[TOKENS] for row in rows if TOKENS in row), default=math.nan)
    return steps, tokens


def lineage(weights: Path) -> Iterator[Path]:
    """Yield the training runs behind an export, the last one first."""
    run = weights.parent
    while weights.name == "export" and (run / METRICS).exists():
        yield run
        before = OmegaConf.select(OmegaConf.load(run / "config.yaml"), "init_from")
        if before is None:
            return
        weights, run = Path(before), Path(before).parent


def _rows(path: Path) -> list[dict[str, Any]]:  # whatever was written there
    """Read a row a line; line breaks of Unicode other than newlines may stand in texts."""
    return [json_of(line) for line in path.read_text().split("\n") if line]
