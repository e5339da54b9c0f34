"""Read the archive that a checkpoint is, as tensors and plain values, whoever wrote it.

A checksum tells that a file is as somebody wrote it, not who that was.
"""

import math
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch

VERSION = re.compile(r"[2-9]\.\d+(?:\.\w+)*")
"""Of Lightning, whose own checkpoints are not read when they are older."""

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
"""What every checkpoint holds, by name; what must be in it, the stage that reads it knows."""


def read_archive(path: Path, *, step: int | None, map_location: Any) -> dict[str, Any]:
    """Read a checkpoint; code in it is never run.

    Args:
        step: which the checkpoint is named after, if it is.
    """
    if _unpacked(path) > path.stat().st_size:
        raise _strange(path, "is no archive of tensors as they are")
    try:
        found = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds objects that could run code ({_first(error)}), and only tensors and "
            "plain values are read: use checkpoints that this project wrote."
        ) from error
    except (MemoryError, OSError):
        raise
    except Exception as error:  # torch raises everything over a file that it did not write
        raise _strange(path, f"cannot be read ({_first(error)})") from error
    if not isinstance(found, dict):
        raise _strange(path, f"holds a {type(found).__name__}")
    for name, kind in HELD.items():
        value = found.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise _strange(path, f"holds under {name} a {type(value).__name__}, no {kind.__name__}")
    if not VERSION.fullmatch(found["pytorch-lightning_version"]):
        raise _strange(path, f"was written by version {found['pytorch-lightning_version']!r:.80}")
    if step not in (None, found["global_step"]):
        raise _strange(path, f"holds step {found['global_step']}, which its name does not say")
    return found


def _unpacked(path: Path) -> float:
    """Count the bytes that an archive unpacks to; infinite for what is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return math.inf


def _strange(path: Path, what: str) -> ValueError:
    return ValueError(
        f"{path} is whole, but {what}, and a run goes on from what it wrote itself: delete that "
        "checkpoint and its checksum, and the one before it is taken, or start again under another "
        "run.name."
    )


def _first(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")[:300]
