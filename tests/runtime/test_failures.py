"""Errors of the outside world as one sentence each."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from safetensors import SafetensorError

from configs.load import SCRIPTS, load_config
from configs.schema import Config
from evaluation.benchmarking.answers import Answer, AnswerKey, append_answers
from runtime.failures import explain
from runtime.metrics_log import MetricsLog
from runtime.runs import open_run
from tests.runtime.test_writing import files_of_at_most
from training.callbacks import checkpoints
from training.callbacks.checkpoints import AtomicCheckpointIO
from training.callbacks.metrics import StepProgress

ROOT = Path(__file__).parents[2]
FULL = Path("/dev/full")


def config(*words: str) -> Config:
    return load_config([*words], tuple(SCRIPTS))


def of(error: BaseException, *words: str) -> str:
    told = explain(error, config(*(words or ["stage=sft"])))
    assert told is not None
    assert "\n" not in told
    return told


MEMORY = torch.OutOfMemoryError(
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of "
    "which 1.2 GiB is free.\nSee documentation for Memory Management"
)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (
            ["stage=sft", "trainer.batch_size=6", "trainer.accumulate_grad_batches=3"],
            [
                "lower trainer.batch_size (now 6) and raise trainer.accumulate_grad_batches (now "
                "3) as much"
            ],
        ),
        (["stage=sft", "sft.pack_tokens=900"], ["lower sft.pack_tokens (now 900)"]),
        (
            ["stage=rlvr", "rlvr.group_size=7", "rlvr.max_completion_tokens=33"],
            ["rlvr.group_size (now 7)", "rlvr.max_completion_tokens (now 33)"],
        ),
        (
            ["stage=distill", "distill.method=on_policy", "distill.teacher=x"],
            ["lower distill.max_completion_tokens (now "],
        ),
        (["stage=probe", "probe.batch_size=5"], ["lower probe.batch_size (now 5)"]),
        (["stage=benchmark", "benchmark.batch_size=9"], ["lower benchmark.batch_size (now 9)"]),
        (["stage=sft"], ["model.gradient_checkpointing=true", "model.lora.rank=16", "bf16-mixed"]),
        (["stage=sft", "data.media.video_max_frames=3"], ["data.media.video_max_frames (now 3)"]),
    ],
)
def test_what_takes_less_memory_is_named_for_each_stage(words, named):
    told = of(MEMORY, *words)
    assert told.startswith("the GPU's memory is used up (CUDA out of memory)")
    assert all(name in told for name in named), told


def test_what_is_lowered_already_is_not_named():
    words = ["stage=sft", "trainer.batch_size=1", "model.gradient_checkpointing=true"]
    told = of(MEMORY, *words, "model.lora.rank=4", "trainer.precision=bf16-mixed")
    assert "batch_size" not in told and "gradient_checkpointing" not in told
    assert "lora" not in told and "bf16" not in told and "group_size" not in told


RECOGNIZED = {
    "cublas": (
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        "the GPU's memory is used up",
    ),
    "host, in torch": (
        RuntimeError("[enforce fail at a.cpp:1] . DefaultCPUAllocator: can't allocate memory"),
        "this machine's memory is used up",
    ),
    "host, in Python": (MemoryError(), "this machine's memory is used up, and"),
    "host, in the system": (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory is used up"),
    "shared memory": (
        torch.distributed.DistBackendError(
            "NCCL error in: x.cpp: Error while creating shared memory segment /dev/shm/nccl-x"
        ),
        "/dev/shm has too little.*--shm-size",
    ),
    "gone, gloo": (
        RuntimeError("[../gloo/pair.cc:534] Connection closed by peer [127.0.0.1]:10567"),
        "other processes of this run cannot be reached .*continues from the last checkpoint",
    ),
    "gone, nccl": (
        torch.distributed.DistBackendError("NCCL error in: x.cpp, remote process exited"),
        "other processes of this run cannot be reached",
    ),
    "silent, gloo": (
        RuntimeError("[../unbound_buffer.cc:78] Timed out waiting 1800000ms for recv operation"),
        r"took no part in a sum in time \(Timed out .*one that was stopped .*last checkpoint",
    ),
    "silent before, gloo": (
        RuntimeError("Application timeout caused pair closure"),
        "took no part in a sum in time",
    ),
    "silent, nccl": (
        torch.distributed.DistBackendError("Watchdog caught collective operation timeout"),
        "took no part in a sum in time",
    ),
    "the port": (
        torch.distributed.DistNetworkError("The server socket has failed: EADDRINUSE"),
        "set MASTER_PORT",
    ),
    "no driver": (RuntimeError("Found no NVIDIA driver on your system."), "accelerator=cpu"),
    "weights": (SafetensorError("Error while serializing: I/O error: No space left"), "free space"),
    "lightning": (MisconfigurationException("`x` and `y` clash."), r"Lightning takes no .*\(`x`"),
    "open files, told by torch": (
        RuntimeError("unable to open shared memory object </torch_1> : Too many open files (24)"),
        "too many files are open at once .*ulimit -n 65536",
    ),
    "open files, told by Rust": (
        SafetensorError("Error: No such device (os error 24)"),
        "too many files are open at once",
    ),
    "no place for a moment": (
        FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/x']"),
        "set TMPDIR",
    ),
    "no home": (RuntimeError("Could not determine home directory."), "set HOME"),
    "a nameless user": (KeyError("getpwuid(): uid not found: 4711"), "set HOME"),
    "open files": (OSError(errno.EMFILE, "Too many open files", "a"), "ulimit -n 65536"),
    "wrapped": (RuntimeError("cannot"), None),
}


@pytest.mark.parametrize("case", RECOGNIZED)
def test_each_is_one_sentence_with_a_way_out(case):
    error, told = RECOGNIZED[case]
    if told is None:
        error.__cause__ = OSError(errno.EACCES, "Permission denied", "/x/y")
        told = "/x/y may not be used by this user"
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(of(error))


@pytest.mark.parametrize(
    "bug",
    [
        KeyError("a"),
        AssertionError("never"),
        IndexError("list index out of range"),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        RuntimeError("CUDA error: device-side assert triggered"),
        json.JSONDecodeError("Expecting value", "", 0),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
)
def test_a_bug_keeps_its_traceback(bug):
    assert explain(bug, config("stage=sft")) is None


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "could not be written .*free space, or choose another place with run.root"),
        (errno.EDQUOT, "could not be written"),
        (errno.EACCES, "may not be used by this user"),
        (errno.ENOTDIR, "is a file where a directory should be"),
        (errno.ENOENT, "does not exist"),
        (errno.EIO, "cannot be used .*the same command goes on from there"),
        (errno.ESTALE, "cannot be used"),
        (errno.ETIMEDOUT, "cannot be used"),
        (errno.ENAMETOOLONG, r"cannot be used \(File name too long\)"),
        (errno.EFBIG, "could not be written .File too large"),
        (errno.EROFS, "make its file system writable, or choose another place with run.root"),
        (errno.ENOLCK, "choose a file system that has locks with run.root"),
        (errno.EOPNOTSUPP, "choose a file system that has locks"),
    ],
)
def test_an_error_of_the_system_names_its_path_and_the_setting(tmp_path, number, told):
    file = tmp_path / "runs" / "a" / "metrics.jsonl"
    error = OSError(number, os.strerror(number), str(file))
    said = of(error, "stage=sft", f"run.root={tmp_path}/runs")
    assert said.startswith(str(file)) and f"run.root (now {tmp_path}/runs)" in said
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(said)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("benchmark.cache", ["stage=benchmark"]),
        ("data.contribution.cache", ["stage=probe"]),
        ("distill.rejection_sampling.cache", ["stage=distill", "distill.method=self"]),
    ],
)
@pytest.mark.parametrize("place", ["/disk/kept", "kept"])
def test_a_cache_is_named_wherever_it_lies(key, words, place):
    """Beside the data, unless its path is absolute."""
    error = OSError(errno.EROFS, "Read-only file system", str(Path("/data", place, "a", "b")))
    assert f"{key} (now {place})" in of(error, *words, "data.root=/data", f"{key}={place}")


def test_answers_on_a_full_disk_are_told_with_the_file(tmp_path):
    (tmp_path / "a.jsonl").symlink_to(FULL)
    asked = AnswerKey(content_hash="a", id="b", condition="full", how="generate", order=0)
    with pytest.raises(OSError) as caught:
        append_answers(tmp_path / "a.jsonl", {asked: Answer(prompt="x", completion="y")})
    assert caught.value.filename == str(tmp_path / "a.jsonl")


def test_a_full_disk_is_told_with_the_file(tmp_path):
    """What a system says of a write has no name; /dev/full is a disk that is full."""
    (tmp_path / "metrics.jsonl").symlink_to(FULL)
    with pytest.raises(OSError) as caught:
        MetricsLog(tmp_path / "metrics.jsonl").append(1, {"loss": 0.5})
    assert of(caught.value).startswith(f"{tmp_path}/metrics.jsonl could not be written (No space")


def test_a_checkpoint_on_a_full_disk_leaves_those_before_it(tmp_path):
    """Torch tells of its archive; what matters is what the system said."""
    store = AtomicCheckpointIO()
    store.save_checkpoint({"a": torch.ones(3)}, tmp_path / "step-00000001.ckpt")
    second = tmp_path / "step-00000002.ckpt"
    with files_of_at_most(900_000), pytest.raises(OSError) as caught:
        store.save_checkpoint({"a": [torch.ones(3_000_000)]}, second)
    told = f"{second} could not be written (File too large; 12,000,000 bytes were to be written"
    assert of(caught.value).startswith(told)
    assert checkpoints.newest_valid(tmp_path) == tmp_path / "step-00000001.ckpt"
    assert len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("script", ["train.py stage=sft", "eval.py stage=audit"])
def test_a_place_that_cannot_hold_a_run_is_told(script, tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, *script.split(), f"run.root={tmp_path}/file/runs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    (told,) = done.stderr.splitlines()
    assert told.startswith(f"error: run.root is {tmp_path}/file/runs, and {tmp_path}/file is no")


def test_why_a_training_ends_stands_on_a_line_of_its_own(capsys):
    """A recipe quotes the last line of a step, and a bar that is left open draws itself again."""
    progress = StepProgress()
    trainer = L.Trainer(max_steps=7, logger=False, enable_checkpointing=False, accelerator="cpu")
    module = L.LightningModule()
    progress.on_train_start(trainer, module)
    progress.on_exception(trainer, module, MemoryError())
    drawn = capsys.readouterr().err
    assert "0/7" in drawn and drawn.endswith("\n") and progress.bar.disable


@pytest.mark.parametrize("root", ["x" * 300, "/".join(["y" * 200] * 30)])
def test_a_path_that_is_too_long_is_told(tmp_path, root):
    settings = config("stage=sft", f"run.root={tmp_path}/{root}")
    with pytest.raises(OSError) as caught:
        open_run(settings)
    told = explain(caught.value, settings)
    assert told is not None and "(File name too long): mend that, or change run.root" in told
