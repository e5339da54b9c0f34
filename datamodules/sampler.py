"""Say which prompts a step reads and which numbers it draws, from the seed and the step alone.

Nothing here has a state, so nothing has to be saved: a run that resumes at step 1200 computes what
step 1200 reads. Both functions rest on streams that are specified, a hash and the raw bits of a
counter-based generator, and not on shuffles that a library may improve.
"""

import functools
import hashlib
import json

import numpy as np


def prompts_at(
    step: int, *, seed: int, size: int, batch_size: int, rank: int = 0, world: int = 1
) -> list[int]:
    """List the samples of one micro-batch.

    The epochs follow one another without a gap, each in its own order, so that every sample is
    read once per epoch whatever the batch size, and a batch may span two epochs. Ranks take turns
    within the batch that they share.

        sample = order(seed, position // size)[position % size]
        position = (step * batch_size + i) * world + rank

    Args:
        step: micro-batches before this one, on each rank.
        size: samples in an epoch.
        batch_size: samples per rank.
    """
    assert step >= 0 and batch_size > 0 and 0 <= rank < world
    if size < 1:
        raise ValueError(
            f"There are {size} samples to train on, but a batch needs at least 1: check the "
            "manifest and its quarantine, or set data.contribution.keep=all to train without "
            "filtering."
        )
    first = step * batch_size
    positions = [(first + i) * world + rank for i in range(batch_size)]
    return [int(_order(seed, at // size, size)[at % size]) for at in positions]


@functools.lru_cache(maxsize=8)
def _order(seed: int, epoch: int, size: int) -> np.ndarray:
    """Shuffle one epoch by sorting random keys. Shapes: -> (size,)."""
    keys = np.random.Philox(key=draw_seed(seed, "epoch", epoch)).random_raw(size)
    return np.argsort(keys, kind="stable")


def draw_seed(seed: int, *parts: int | str) -> int:
    """Derive a seed of 63 bits for one random draw, such as (seed, step, sample id, rollout)."""
    text = json.dumps([seed, *parts])  # keeps (1, 23) from (12, 3), and 1 from "1"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
