"""Tests of checkpoints: whole or absent after kills, damage found, code refused, steps resumed."""

import os
import random
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor

from training.callbacks.checkpoints import (
    AtomicCheckpointIO,
    StepCheckpoint,
    damage,
    newest_valid,
    prune,
)


def save(directory: Path, step: int, values: int = 100) -> Path:
    path = directory / f"step-{step:08d}.ckpt"
    weight = {"weight": torch.full((values,), step + 0.5)}
    AtomicCheckpointIO().save_checkpoint(STATE | {"global_step": step, "state_dict": weight}, path)
    return path


STATE = {
    "pytorch-lightning_version": "2.6.6",
    "global_step": 0,
    "epoch": 0,
    "state_dict": {},
    "loops": {},
    "callbacks": {},
    "optimizer_states": [],
    "lr_schedulers": [],
}


def load(path: Path) -> dict:
    return AtomicCheckpointIO().load_checkpoint(path)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    loaded = load(save(tmp_path, 3))
    assert loaded["global_step"] == 3
    assert torch.equal(loaded["state_dict"]["weight"], torch.full((100,), 3.5))


def test_a_checkpoint_is_two_files(tmp_path):
    save(tmp_path, 100)
    assert names(tmp_path) == ["step-00000100.ckpt", "step-00000100.ckpt.sha256"]


def test_the_checksum_is_one_that_sha256sum_checks(tmp_path):
    save(tmp_path, 3)
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not installed")
    command = ["sha256sum", "--check", "step-00000003.ckpt.sha256"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


def test_an_overwritten_checkpoint_is_the_later_one(tmp_path):
    path = save(tmp_path, 3)
    AtomicCheckpointIO().save_checkpoint(STATE | {"global_step": 3, "epoch": 7}, path)
    assert load(path)["epoch"] == 7


def save_until_killed(directory: Path, step: int, rng: random.Random) -> None:
    """Let a child save one step after the other, and kill it somewhere within its second save.

    The tensors are small enough for torch to fill them without its threads, which a fork loses.
    """
    done, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            for number in count(step):
                save(directory, number, values=20_000)
                os.write(tell, b".")
                prune(directory, saved=number)
        finally:
            os._exit(1)
    os.close(tell)
    began = time.perf_counter()
    alive = select.select([done], [], [], 60)[0] and os.read(done, 1)
    time.sleep(rng.uniform(0, time.perf_counter() - began))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(done)
    assert alive, "the child saved nothing"


def test_kills_at_any_time_leave_the_newest_checkpoint_whole(tmp_path):
    """Ten children save as fast as they can, each from where the one before was killed."""
    rng = random.Random(0)
    saved = 0
    for _ in range(10):
        save_until_killed(tmp_path, saved + 1, rng)
        newest = newest_valid(tmp_path)
        assert newest is not None
        loaded = load(newest)
        step = loaded["global_step"]
        assert newest.name == f"step-{step:08d}.ckpt"
        assert torch.equal(loaded["state_dict"]["weight"], torch.full((20_000,), step + 0.5))
        assert step > saved
        saved = step
    assert all(damage(path) is None for path in tmp_path.glob("*.ckpt"))


@pytest.mark.parametrize("place", [0, 500, -1])
def test_one_flipped_bit_falls_back_to_the_checkpoint_before(tmp_path, caplog, place):
    older, newer = save(tmp_path, 9), save(tmp_path, 10)
    content = bytearray(newer.read_bytes())
    content[place] ^= 1
    newer.write_bytes(content)
    assert newest_valid(tmp_path) == older
    assert "step-00000010.ckpt is damaged" in caplog.text
    assert "falling back" in caplog.text


SIDECAR = "step-00000010.ckpt.sha256"
SPOILED: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "without checksum": lambda path: path.with_name(SIDECAR).unlink(),
    "a directory as checksum": lambda path: (
        path.with_name(SIDECAR).unlink(),
        path.with_name(SIDECAR).mkdir(),
    ),
    "bytes as checksum": lambda path: path.with_name(SIDECAR).write_bytes(b"\xff\xfe"),
    "nothing as checksum": lambda path: path.with_name(SIDECAR).write_bytes(b""),
    "zeros as checksum": lambda path: path.with_name(SIDECAR).write_bytes(b"\0" * 64),
    "an endless checksum": lambda path: path.with_name(SIDECAR).write_bytes(b"0" * 10_000_000),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_checkpoint_falls_back(tmp_path, caplog, how):
    older, newer = save(tmp_path, 9), save(tmp_path, 10)
    SPOILED[how](newer)
    assert newest_valid(tmp_path) == older
    reason = "has no checksum beside it" if "directory" in how or "without" in how else "is damaged"
    assert f"step-00000010.ckpt {reason}" in caplog.text


def test_a_checksum_without_checkpoint_is_nothing(tmp_path):
    save(tmp_path, 9).unlink()
    assert newest_valid(tmp_path) is None


def test_there_may_be_no_checkpoint(tmp_path):
    assert newest_valid(tmp_path) is None
    assert newest_valid(tmp_path / "absent") is None


def test_a_damaged_checkpoint_is_not_loaded(tmp_path):
    path = save(tmp_path, 3)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"is damaged \(sha256 .*take an older one"):
        load(path)


class Bomb:
    """An object that runs a command when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(tmp_path):
    path, proof = tmp_path / "step-00000001.ckpt", tmp_path / "proof"
    AtomicCheckpointIO().save_checkpoint({"bomb": Bomb(proof)}, path)
    with pytest.raises(ValueError, match="holds objects that could run code"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)
    assert not proof.exists()


def test_pruning_keeps_the_newest(tmp_path):
    for step in (9, 10, 100, 1000):
        save(tmp_path, step)
    prune(tmp_path, keep=2, saved=1000)
    assert [name for name in names(tmp_path) if name.endswith(".ckpt")] == [
        "step-00000100.ckpt",
        "step-00001000.ckpt",
    ]
    assert len(names(tmp_path)) == 4  # the checksums went with them


class Line(L.LightningModule):
    """One weight that grows by the step's number, with a row for each step and validation."""

    def __init__(self, rows: list[str], stop: int = 0) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.rows = rows
        self.stop = stop

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return -self.weight.sum() * batch.sum()

    def on_train_batch_end(self, outputs: object, batch: Tensor, batch_idx: int) -> None:
        self.rows.append(f"batch {int(batch)}")
        if self.global_step == self.stop > 0:
            raise KeyError("killed")

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.rows.append(f"val {self.global_step}")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


class Numbers(torch.utils.data.IterableDataset):
    """The numbers from `start` on: batch = f(step)."""

    def __init__(self, start: int) -> None:
        self.start = start

    def __iter__(self):
        return (torch.tensor([float(number)]) for number in count(self.start))


def fit(directory: Path, *, accumulate: int = 1, val_every: int = 0, stop: int = 0) -> tuple:
    """Train to step 7 with a checkpoint every 2, from the newest one; return rows, weight, step."""
    rows: list[str] = []
    model = Line(rows, stop)
    newest = newest_valid(directory)
    done = int(newest.stem.removeprefix("step-")) if newest else 0
    trainer = L.Trainer(
        accelerator="cpu",
        max_steps=7,
        accumulate_grad_batches=accumulate,
        val_check_interval=val_every * accumulate or None,
        check_val_every_n_epoch=None,
        limit_val_batches=1 if val_every else 0,
        num_sanity_val_steps=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpointIO()],
        callbacks=[StepCheckpoint(directory, every=2, val_every=val_every)],
        default_root_dir=directory,
    )
    data = torch.utils.data.DataLoader(Numbers(done * accumulate), batch_size=None)
    val = torch.utils.data.DataLoader(torch.zeros(1), batch_size=None)
    with suppress(KeyError):
        trainer.fit(model, data, val if val_every else None, ckpt_path=newest)
    return rows, model.weight.item(), trainer.global_step


def test_steps_are_saved_on_time_and_at_the_end(tmp_path):
    fit(tmp_path)
    assert [path.name for path in sorted(tmp_path.glob("*.ckpt"))] == [
        "step-00000006.ckpt",
        "step-00000007.ckpt",
    ]


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("val_every", [0, 2, 3])
@pytest.mark.parametrize("stop", [4, 5])
def test_a_resumed_run_does_what_is_missing_and_no_more(tmp_path, accumulate, val_every, stop):
    """Rows of a stopped run, up to its checkpoint, and of the resumed one are those of one run.

    A run that stops at the end of step 4 has not validated yet, and must not count as saved.
    """
    whole, weight, _ = fit(tmp_path / "whole", accumulate=accumulate, val_every=val_every)
    cut = tmp_path / "cut"
    first, _, _ = fit(cut, accumulate=accumulate, val_every=val_every, stop=stop)
    newest = newest_valid(cut)
    assert newest is not None
    (cut / "step-00000006.ckpt.9-00c0ffee.tmp").write_text("half")

    rest, resumed, step = fit(cut, accumulate=accumulate, val_every=val_every)
    done = whole.index(f"batch {int(newest.stem.removeprefix('step-')) * accumulate}")
    assert first[:done] + rest == whole
    assert (resumed, step) == (weight, 7)
    assert not list(cut.glob("*.tmp"))


def test_a_whole_checkpoint_is_not_deleted_before_damaged_ones_behind_it(tmp_path):
    """Resumed from 2, since 4 and 6 are damaged, a run that saves 3 keeps 2 and 3."""
    for step in (1, 2, 4, 6):
        path = save(tmp_path, step)
        if step > 2:
            path.write_bytes(b"damaged")
    save(tmp_path, 3)
    prune(tmp_path, keep=2, saved=3)
    assert [path.name for path in sorted(tmp_path.glob("*.ckpt"))] == [
        f"step-{step:08d}.ckpt" for step in (2, 3, 4, 6)
    ]
    newest = newest_valid(tmp_path)
    assert newest is not None and newest.name == "step-00000003.ckpt"


def test_what_only_looks_like_a_checkpoint_is_passed_over(tmp_path):
    path = save(tmp_path, 9)
    (tmp_path / "step-last.ckpt").touch()
    (tmp_path / "step-00000011.ckpt").mkdir()
    os.mkfifo(tmp_path / "step-00000012.ckpt")
    assert newest_valid(tmp_path) == path
    prune(tmp_path, keep=1, saved=9)
    assert path.exists()


def test_a_run_directory_that_has_gone_is_not_made_again_for_a_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "run" / "checkpoints", 3)
    assert not (tmp_path / "run").exists()
