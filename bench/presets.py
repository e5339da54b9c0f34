"""Train the tiny model by every named objective and reward, over several seeds: does each learn?

    python -m bench.presets --steps 120 --seeds 0 1 2

No prompt is met twice in so few steps, so the share of right answers among the sampled ones, early
and late in a run, is measured on unseen questions. Intervals are Student's, over seeds.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

from scipy.stats import t as student

from configs.load import choices

SHARE = 6
"""A run's first and last sixth are compared."""

MORE = {
    "omniboost": ["rlvr.reward.early_steps={half}"],
    "two epochs": ["rlvr.epochs=2", "trainer.log_every=2"],
    "two minibatches": ["rlvr.minibatches=2", "trainer.log_every=2"],
    "bf16 sampler, truncated": ["rlvr.rollout_precision=bf16", "rlvr.correction.kind=truncate"],
    "LoRA, rank 16": ["model.lora.rank=16", "optim.lr=2e-3"],
}
"""Settings of some rows beyond what their name chooses."""


def variants() -> dict[str, list[str]]:
    """List what is compared: every preset, and some ways to run the default."""
    named = {
        name: [f"{group}={name}"]
        for group in ("objective", "reward")
        for name in choices(group)
        if name != "default"
    }
    rows = {"default": []} | named
    return rows | {name: rows.get(name, []) + words for name, words in MORE.items()}


def train(words: Sequence[str], root: Path, name: str, *, steps: int, seed: int) -> Path:
    """Run one training, unless it is there already."""
    run = root / f"{name}-{seed}".replace(" ", "-").replace(",", "")
    if not (run / "finished").exists():
        given = [word.format(half=steps // 2) for word in words]
        if not any(word.startswith("trainer.log_every") for word in given):
            given.append("trainer.log_every=1")
        common = [f"seed={seed}", f"trainer.max_steps={steps}", f"run.root={root}"]
        common += [f"run.name={run.name}", f"trainer.checkpoint_every={steps}"]
        command = [sys.executable, "train.py", "stage=rlvr", *common, *given]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return run / "metrics.jsonl"


def ends(metrics: Path, name: str) -> tuple[float, float]:
    """Average a metric over the first and the last part of a run."""
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    values = [row[name] for row in rows if name in row]
    part = max(1, len(values) // SHARE)
    return fmean(values[:part]), fmean(values[-part:])


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """Give the mean of a few seeds with its interval."""
    mean = fmean(values)
    if len(values) < 2:
        return mean, -math.inf, math.inf
    factor = float(student.ppf((1 + confidence) / 2, len(values) - 1))
    half = factor * stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def main() -> None:
    """Train all, and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--root", type=Path, default=Path("runs/presets"))
    asked = parser.parse_args()
    rows = {k: v for k, v in variants().items() if not asked.only or k in asked.only}
    print(f"{'':<24}{'right early':>12}{'right late':>12}{'gain':>24}{'reward':>16}{'s/run':>8}")
    for name, words in rows.items():
        start = time.perf_counter()
        runs = [
            train(words, asked.root, name, steps=asked.steps, seed=seed) for seed in asked.seeds
        ]
        seconds = (time.perf_counter() - start) / len(runs)
        right = [ends(run, "train/accuracy") for run in runs]
        reward = [ends(run, "train/reward") for run in runs]
        gain, low, high = interval([100 * (late - early) for early, late in right])
        early, late = (100 * fmean(column) for column in zip(*right, strict=True))
        first, last = (fmean(column) for column in zip(*reward, strict=True))
        print(
            f"{name:<24}{early:>12.1f}{late:>12.1f}"
            f"{f'{gain:+.1f} [{low:+.1f}, {high:+.1f}]':>24}{f'{first:.2f} -> {last:.2f}':>16}"
            f"{seconds:>8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
