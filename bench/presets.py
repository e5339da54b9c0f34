"""Train the tiny model by every named objective and reward, over several seeds: does each learn?

    python -m bench.presets --steps 120 --seeds 0 1 2

No prompt is met twice in so few steps, so the share of right answers among the sampled ones is
measured on unseen questions. The gain is the slope of that share, times the length of a run.
"""

import argparse
import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy.stats import t as student

from configs.load import choices

SHARE = 6
"""The first and last sixth of a run are shown."""

MORE = {
    "omniboost": ["rlvr.reward.early_steps={half}"],
    "two epochs": ["rlvr.num_iterations=2", "trainer.log_every_n_steps=2"],
    "two minibatches": ["rlvr.minibatches=2", "trainer.log_every_n_steps=2"],
    "bf16 sampler, truncated": [
        "rlvr.rollout_precision=bf16",
        "rlvr.rollout_correction.kind=truncate",
    ],
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
        if not any(word.startswith("trainer.log_every_n_steps") for word in given):
            given.append("trainer.log_every_n_steps=1")
        common = [f"seed={seed}", f"trainer.max_steps={steps}", f"run.root={root}"]
        common += [f"run.name={run.name}", f"trainer.checkpoint_every={steps}"]
        command = [sys.executable, "train.py", "stage=rlvr", *common, *given]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return run / "metrics.jsonl"


def steps_of(metrics: Path, name: str) -> list[tuple[int, float]]:
    """Read one metric, step by step."""
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    return [(row["step"], row[name]) for row in rows if name in row]


def ends(runs: Sequence[Path], name: str) -> tuple[float, float]:
    """Average a metric over the first and the last part of all runs."""
    values = [[value for _, value in steps_of(run, name)] for run in runs]
    parts = [max(1, len(run) // SHARE) for run in values]
    pairs = list(zip(values, parts, strict=True))
    return fmean(fmean(run[:n]) for run, n in pairs), fmean(fmean(run[-n:]) for run, n in pairs)


def gain(runs: Sequence[Path], name: str, confidence: float = 0.95) -> tuple[float, float, float]:
    """Fit one slope to all steps of all runs, each with a level of its own: what a whole run adds.

    Least squares; the interval is Student's with n - runs - 1 degrees of freedom. Steps read
    different questions, so their errors are taken for independent.
    """
    curves = [np.array(steps_of(run, name)) for run in runs]
    x = np.concatenate([curve[:, 0] - curve[:, 0].mean() for curve in curves])
    y = np.concatenate([curve[:, 1] - curve[:, 1].mean() for curve in curves])
    slope = float(x @ y / (x @ x))
    free = len(x) - len(runs) - 1
    error = math.sqrt(float(np.square(y - slope * x).sum()) / free / float(x @ x))
    half = float(student.ppf((1 + confidence) / 2, free)) * error
    length = max(float(np.ptp(curve[:, 0])) for curve in curves)
    return slope * length, (slope - half) * length, (slope + half) * length


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
        early, late = (100 * share for share in ends(runs, "train/accuracy"))
        rise, low, high = (100 * share for share in gain(runs, "train/accuracy"))
        first, last = ends(runs, "train/reward")
        print(
            f"{name:<24}{early:>12.1f}{late:>12.1f}"
            f"{f'{rise:+.1f} [{low:+.1f}, {high:+.1f}]':>24}{f'{first:.2f} -> {last:.2f}':>16}"
            f"{seconds:>8.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
