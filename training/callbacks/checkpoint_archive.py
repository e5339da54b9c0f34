"""Read a checkpoint as tensors and plain values, without trusting its author.

A checksum proves that a file is as it was written, not who wrote it.
"""

import math
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

from untrusted.terminal import first_line

VERSION = re.compile(r"[2-9]\.\d+(?:\.\w+)*")
"""Versions of Lightning that checkpoints may be of."""

HELD = {
    "pytorch-lightning_version": str,
    "global_step": int,
    "epoch": int,
    "state_dict": dict,
    "loops": dict,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
}
"""What every checkpoint holds, by name; the stage checks the contents."""


def read_archive(path: Path, *, step: int | None, map_location: Any) -> dict[str, Any]:
    """Read a checkpoint; code in it is never run.

    Args:
        step: in the name of the checkpoint, if there is one.
    """
    if _unpacked(path) > path.stat().st_size:
        raise _refusal(path, "is no archive of tensors as they are")
    try:
        found = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds objects that could run code ({first_line(error)[:300]}), and only "
            "tensors and plain values are read: use checkpoints that this project wrote."
        ) from error
    except (MemoryError, OSError):
        raise
    except Exception as error:  # torch raises everything over a file that it did not write
        raise _refusal(path, f"cannot be read ({first_line(error)[:300]})") from error
    if not isinstance(found, dict):
        raise _refusal(path, f"holds a {type(found).__name__}")
    for name, kind in HELD.items():
        value = found.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _refusal(path, f"holds under {name} a {type(value).__name__}, no {kind.__name__}")
    if not VERSION.fullmatch(found["pytorch-lightning_version"]):
        raise _refusal(path, f"was written by version {found['pytorch-lightning_version']!r:.80}")
    if step not in (None, found["global_step"]):
        raise _refusal(path, f"holds step {found['global_step']}, which its name does not say")
    return found


def _unpacked(path: Path) -> float:
    """Count the bytes that an archive unpacks to; infinite for other files."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return math.inf


def _refusal(path: Path, what: str) -> ValueError:
    return ValueError(
        f"{path} is whole, but {what}, and a run goes on from what it wrote itself: delete that "
        "checkpoint and its checksum, and the one before it is taken, or start again under another "
        "run.name."
    )
