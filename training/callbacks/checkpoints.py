"""Checkpoints that are whole or absent, whenever the process is killed.

A checkpoint `step-00000100.ckpt` counts only beside `step-00000100.ckpt.sha256`, which holds its
checksum in the format of sha256sum. Both are written whole (`runtime/writing.py`), the checksum
first. A kill in between leaves a checksum without a checkpoint, which is none.
"""

import hashlib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import CheckpointIO
from lightning.pytorch.trainer.states import TrainerFn

from runtime.preemption import warned
from runtime.stopping import WARNING, Stopped
from runtime.writing import sweep, whole, write_text
from training.callbacks.checkpoint_archive import read_archive

log = logging.getLogger(__name__)

NAMED = re.compile(r"step-[0-9]+\.ckpt")


class AtomicCheckpointIO(CheckpointIO):
    """Write checkpoints whole or not at all, and read only what is whole and holds no code."""

    # Any in this class: Lightning's interface, and checkpoints hold values of every plain type
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint and its checksum, each by renaming a file that is on the disk."""
        path = Path(path)
        path.parent.mkdir(exist_ok=True)  # not the run directory, should that have gone
        with whole(path, needed=_size(checkpoint)) as file:
            digest = _write(checkpoint, file)
            write_text(_sidecar(path), f"{digest}  {path.name}\n")

    def load_checkpoint(
        self, path: str | Path, map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a whole checkpoint onto the CPU unless told; code in it is never run.

        Args:
            weights_only: ignored, for it is always True.
        """
        path = Path(path)
        if reason := damage(path):
            raise ValueError(
                f"{path} {reason}, and only whole checkpoints are read: take an older one from "
                f"{path.parent}, or delete this one and repeat the command to go on from there."
            )
        return read_archive(
            path,
            step=_step(path) if NAMED.fullmatch(path.name) else None,
            map_location=map_location or "cpu",
        )

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete a checkpoint, then its checksum."""
        Path(path).unlink(missing_ok=True)
        _sidecar(Path(path)).unlink(missing_ok=True)


def _write(checkpoint: dict[str, Any], file: IO[bytes]) -> str:
    """Write a checkpoint, and return the checksum of what was written."""
    hashing = _HashingFile(file)
    try:
        torch.save(checkpoint, hashing)  # type: ignore[arg-type]  # it only calls write, flush
    except RuntimeError:  # torch's complaint about its archive hides the system's reason
        if hashing.failed is not None:
            raise hashing.failed from None
        raise
    return hashing.digest.hexdigest()


def _size(value: object) -> int:
    """Count the bytes of all tensors in a checkpoint, about its size on disk."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    parts: Iterable[object] = value.values() if isinstance(value, Mapping) else ()
    return sum(map(_size, value if isinstance(value, list | tuple) else parts))


class _HashingFile:
    """A file that hashes what is written to it, and keeps the error of a failed write."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.failed: OSError | None = None

    def write(self, chunk: bytes) -> int:
        self.digest.update(chunk)
        try:
            return self.file.write(chunk)
        except OSError as error:
            self.failed = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _sidecar(path: Path) -> Path:
    """Name the file that holds a checkpoint's checksum."""
    return path.with_name(f"{path.name}.sha256")


def damage(path: Path) -> str | None:
    """Return what is wrong with a checkpoint file; None where it is whole."""
    try:
        if not path.is_file():
            return "does not exist"
        if not _sidecar(path).is_file():
            return f"has no checksum beside it ({_sidecar(path).name})"
        expected = _sidecar(path).read_text(errors="backslashreplace").split(" ")[0]
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"cannot be read ({error})"
    return None if found == expected else f"is damaged (sha256 {found[:8]}, not {expected[:8]})"


def newest_valid(directory: Path, *, before: int | None = None) -> Path | None:
    """Find the newest whole checkpoint, with a warning for each newer one that is damaged.

    Args:
        before: an optimizer step that it must be older than.
    """
    names = [path for path in _steps(directory) if before is None or _step(path) < before]
    for path in reversed(names):
        reason = damage(path)
        if reason is None:
            return path
        log.warning("%s %s; falling back to the checkpoint before it", path, reason)
    return None


def prune(directory: Path, keep: int = 2, *, saved: int) -> None:
    """Delete all checkpoints up to the one that was saved now, but the newest of those.

    Later ones were damaged when the run was resumed, and must not outlive whole ones.
    """
    for path in [path for path in _steps(directory) if _step(path) <= saved][:-keep]:
        AtomicCheckpointIO().remove_checkpoint(path)


def _step(path: Path) -> int:
    """Read the optimizer step off the name of a checkpoint."""
    return int(path.stem.removeprefix("step-"))


def _steps(directory: Path) -> list[Path]:
    """List the checkpoints of a directory, oldest first."""
    named = [path for path in directory.glob("step-*.ckpt") if NAMED.fullmatch(path.name)]
    return sorted((path for path in named if path.is_file()), key=_step)


class StepCheckpoint(Checkpoint):
    """Save every few optimizer steps and at the end, after the step has logged and validated.

    Lightning calls it after all other callbacks, because it is a `Checkpoint`. A step that ends
    with a validation is saved after it: resumed from before it, that validation would be lost.
    """

    def __init__(self, directory: Path, *, every: int, val_every: int = 0, keep: int = 2) -> None:
        self.directory = directory
        self.every = every
        self.val_every = val_every
        self.keep = keep
        self.saved_step = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Remove half-written files of a killed run; this process alone has the run directory."""
        if trainer.is_global_zero:
            self.directory.mkdir(exist_ok=True)
            sweep(self.directory)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count from where the run was resumed."""
        self.saved_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        """Save a due step, unless its validation is still to come."""
        step = trainer.global_step
        if not (self.val_every and step % self.val_every == 0):
            self._end_step(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save a due step whose validation is now done."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._end_step(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the last step, whatever its number."""
        self._save(trainer)

    def _end_step(self, trainer: L.Trainer) -> None:
        """Save a due step, and any once a process of the run was warned: the run ends there."""
        ends = trainer.strategy.reduce_boolean_decision(warned(), all=False)
        if ends or trainer.global_step % self.every == 0:
            self._save(trainer)
        if ends:
            raise Stopped(WARNING)

    def _save(self, trainer: L.Trainer) -> None:
        """Save a step once; accumulation ends several batches with the same step."""
        if trainer.global_step == self.saved_step:
            return
        self.saved_step = trainer.global_step
        trainer.save_checkpoint(self.directory / f"step-{trainer.global_step:08d}.ckpt")
        if trainer.is_global_zero:
            prune(self.directory, self.keep, saved=self.saved_step)
