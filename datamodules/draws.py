"""Which prompts a step reads and which random numbers it draws, from the seed and the step alone.

Nothing here has a state, so nothing has to be saved: a run that resumes at step 1200 computes what
step 1200 reads. All of it rests on streams that are specified, a hash and the raw bits of a
counter-based generator, and not on shuffles that a library may change.
"""

import functools
import hashlib
import json

import numpy as np
from numpy.typing import NDArray


def prompts_at(
    step: int,
    *,
    seed: int,
    size: int,
    batch_size: int,
    weights: NDArray[np.float64] | None = None,
) -> list[int]:
    """List the samples of one micro-batch.

    The epochs follow one another without a gap, each in its own order, so that every sample is read
    once per epoch whatever the batch size, and a batch may span two epochs.

        sample = order(seed, position // size)[position % size],   position = step * batch_size + i

    With weights, an epoch is a systematic resample of the samples in the order given: what
    `order` shuffles are `size` places, evenly spaced from a random start u in [0, 1), and

        sample at place p = the k with W_{k-1} <= p + u < W_k,   W_k = size * Σ_{j <= k} w_j / Σ w_j

    so that each sample is read as often per epoch as its weight says, rounded up or down: the
    resample of least variance. Equal weights read each sample once, as no weights do.

    Args:
        step: micro-batches before this one.
        size: samples in an epoch.
        batch_size: samples of all processes, which take turns.
        weights: of the samples, none negative and not all 0. (size,)
    """
    assert step >= 0 and batch_size > 0
    if size < 1:
        raise ValueError(
            f"There are {size} samples to train on, but a batch needs at least 1: check the "
            "manifest, its quarantine, and what data.contribution and data.mixture leave of it."
        )
    positions = range(step * batch_size, (step + 1) * batch_size)
    places = [int(_order(seed, at // size, size)[at % size]) for at in positions]
    if weights is None:
        return places
    points = [place + _start(seed, at // size) for place, at in zip(places, positions, strict=True)]
    return _covering(np.array(points), weights)


def random_order(seed: int, *parts: int | str, size: int) -> NDArray[np.int64]:
    """Shuffle `size` places by sorting random keys. Shapes: -> (size,)"""
    keys = np.random.Philox(key=draw_seed(seed, *parts)).random_raw(size)
    return np.argsort(keys, kind="stable")


def draw_seed(seed: int, *parts: int | str) -> int:
    """Derive a seed of 63 bits for one random draw, such as (seed, step, sample id, rollout)."""
    text = json.dumps([seed, *parts])  # keeps (1, 23) from (12, 3), and 1 from "1"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


@functools.lru_cache(maxsize=8)
def _order(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    """Cache the order of recent epochs."""
    return random_order(seed, "epoch", epoch, size=size)


def _start(seed: int, epoch: int) -> float:
    """Draw the offset of an epoch's resample, from 0 to 1."""
    return draw_seed(seed, "resample", epoch) / 2**63


def _covering(points: NDArray[np.float64], weights: NDArray[np.float64]) -> list[int]:
    """Find the samples whose intervals of [0, size) cover these points."""
    cumulative = np.cumsum(weights)
    cumulative *= len(weights) / cumulative[-1]
    found = np.searchsorted(cumulative, points, side="right")
    last = np.flatnonzero(weights)[-1]  # rounding may leave the end of the line uncovered
    covering: list[int] = np.minimum(found, last).tolist()
    return covering
