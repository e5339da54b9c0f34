"""Checkpoints that are whole, and not what the run wrote: told with the way out, never used."""

import copy
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from datamodules.batch import Batch
from modules.policy.omni import OmniModel
from modules.sft import SftModule
from tests.fitting import Again
from tests.modules.test_sft import TARGETS, sft_module, with_targets
from tests.training.callbacks.test_checkpoints import STATE
from training.callbacks.checkpoints import AtomicCheckpointIO, _sidecar, newest_valid

WAY_OUT = r"is whole, but .* delete that checkpoint and its checksum"


def sealed(path: Path, content: bytes) -> Path:
    """Write a checkpoint as a stranger may, with a checksum that holds."""
    path.write_bytes(content)
    _sidecar(path).write_text(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    return path


def load(path: Path) -> dict[str, Any]:
    return AtomicCheckpointIO().load_checkpoint(path)


def packed(what: object) -> bytes:
    out = io.BytesIO()
    torch.save(what, out)
    return out.getvalue()


@pytest.mark.parametrize(
    "what",
    [
        *([], [STATE], 3, "text", None, torch.zeros(3), {}, {"state_dict": {}}),
        *({**STATE, name: None} for name in STATE),
        *({**STATE, "global_step": step} for step in (-1, 4, "3", 3.0, True, torch.tensor(3))),
        *({**STATE, "loops": kind} for kind in ([], 3, "x")),
        *({**STATE, "pytorch-lightning_version": text} for text in ("x", "1.9.0", "0.1", "2")),
    ],
)
def test_other_content_behind_a_valid_checksum_is_told(tmp_path, what):
    if isinstance(what, dict) and what.get("global_step") == 0:
        what = what | {"global_step": 3}
    path = sealed(tmp_path / "step-00000003.ckpt", packed(what))
    assert newest_valid(tmp_path) == path, "the checksum holds"
    with pytest.raises(ValueError, match=WAY_OUT):
        load(path)


def bomb() -> bytes:
    """Thirty kilobytes that unpack to as many megabytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(30_000_000))
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"x", bytes(5000), b"PK\x03\x04" + bytes(100), packed(STATE)[:-200]),
        packed(STATE).replace(b"data.pkl", b"data.pkx"),
        bomb(),
    ],
    ids=["empty", "a letter", "zeros", "a head", "cut", "renamed", "a bomb"],
)
def test_what_is_no_archive_of_tensors_is_told(tmp_path, content):
    with pytest.raises(ValueError, match=WAY_OUT):
        load(sealed(tmp_path / "step-00000003.ckpt", content))


def test_a_checksum_that_is_no_text_is_damage(tmp_path):
    path = sealed(tmp_path / "step-00000003.ckpt", packed(STATE))
    _sidecar(path).write_bytes(b"\xff\xfe")
    assert newest_valid(tmp_path) is None


def test_files_that_are_named_otherwise_are_no_checkpoints(tmp_path):
    for name in ("step-x.ckpt", "step-.ckpt", "step-3.5.ckpt"):
        sealed(tmp_path / name, packed(STATE))
    assert newest_valid(tmp_path) is None


def trainer(directory: Path, steps: int) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=directory,
    )


def data(batch: Batch) -> DataLoader[list[Batch]]:
    return DataLoader(Again([with_targets(batch, TARGETS)]), batch_size=None)


@pytest.fixture(scope="module")
def written(untrained, encoder, ragged, tmp_path_factory) -> tuple[SftModule, Path]:
    """A run of two steps, and what it wrote."""
    directory = tmp_path_factory.mktemp("run")
    module = sft_module(OmniModel.load(str(untrained), encoder.tokenizer), max_tokens=10**6)
    ours = trainer(directory, 2)
    ours.fit(module, data(ragged))
    path = directory / "step-00000002.ckpt"
    ours.save_checkpoint(path)
    return module, path


def test_a_run_goes_on_from_its_own_checkpoint(written, untrained, encoder, ragged, tmp_path):
    module, path = written
    other = sft_module(OmniModel.load(str(untrained), encoder.tokenizer), max_tokens=10**6)
    again = trainer(tmp_path, 3)
    again.fit(other, data(ragged), ckpt_path=path, weights_only=True)
    assert again.global_step == 3
    assert other.tokens_seen == module.tokens_seen * 3 // 2 > 0


def test_a_run_does_not_go_on_from_anothers(written, untrained, encoder, ragged, tmp_path):
    """Found by the trainer as it resumes, and told with the path."""
    _, path = written
    content = torch.load(path, weights_only=True)
    content["state_dict"].popitem()
    strange = sealed(tmp_path / path.name, packed(content))
    other = sft_module(OmniModel.load(str(untrained), encoder.tokenizer))
    with pytest.raises(ValueError, match=rf"{strange} {WAY_OUT}"):
        trainer(tmp_path, 3).fit(other, data(ragged), ckpt_path=strange, weights_only=True)


OPTIMIZER = ("optimizer_states", 0)
PROGRESS = ("loops", "fit_loop", "epoch_loop.manual_optimization.optim_step_progress", "total")
CHANGES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "weights gone": (("state_dict",), {}),
    "weights a list": (("state_dict",), []),
    "tokens text": (("tokens_seen",), "many"),
    "tokens negative": (("tokens_seen",), -5),
    "tokens a truth": (("tokens_seen",), True),
    "loops empty": (("loops",), {}),
    "fit loop a list": (("loops", "fit_loop"), []),
    "progress text": ((*PROGRESS, "completed"), "two"),
    "progress of other steps": ((*PROGRESS, "completed"), 40),
    "progress negative": ((*PROGRESS, "ready"), -1),
    "progress a dict": (PROGRESS, {"ready": {}, "completed": 2}),
    "batches text": (("loops", "fit_loop", "epoch_loop.batch_progress"), "x"),
    "no optimizer": (("optimizer_states",), []),
    "an optimizer that is a number": (OPTIMIZER, 3),
    "moments a list": ((*OPTIMIZER, "state"), [1, 2]),
    "moments of nobody": ((*OPTIMIZER, "state"), {10_000: {}}),
    "a step text": ((*OPTIMIZER, "state", 0, "step"), "one"),
    "a moment of another shape": ((*OPTIMIZER, "state", 0, "exp_avg"), torch.zeros(3)),
    "a moment gone": ((*OPTIMIZER, "state", 0), {"step": torch.zeros(())}),
    "groups gone": ((*OPTIMIZER, "param_groups"), []),
    "another rate of decay": ((*OPTIMIZER, "param_groups", 0, "weight_decay"), 9.0),
    "the other way": ((*OPTIMIZER, "param_groups", 0, "maximize"), True),
    "a rate that is no number": ((*OPTIMIZER, "param_groups", 0, "lr"), float("nan")),
    "parameters in disorder": ((*OPTIMIZER, "param_groups", 0, "params"), [3, 2, 1]),
    "no schedule": (("lr_schedulers",), []),
    "a schedule of text": (("lr_schedulers", 0), "x"),
    "a schedule with more in it": (("lr_schedulers", 0, "optimizer"), 3),
    "other peaks": (("lr_schedulers", 0, "base_lrs"), [9.0, 9.0]),
}


def changed(content: dict[str, Any], keys: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Put a value into a copy, of which only what leads there is new."""
    if not keys:
        return value
    made = copy.copy(content)
    try:
        inner = made[keys[0]]
    except (KeyError, IndexError):
        inner = {}
    made[keys[0]] = changed(inner, keys[1:], value)
    return made


@pytest.mark.parametrize("what", CHANGES)
def test_every_part_of_a_checkpoint_is_looked_at(written, what):
    module, path = written
    content = changed(torch.load(path, weights_only=True), *CHANGES[what])
    with pytest.raises(ValueError, match=WAY_OUT):
        module.on_load_checkpoint(content)


@pytest.mark.parametrize("how", ["shape", "dtype", "NaN", "infinite", "number", "name", "variance"])
def test_every_weight_and_moment_is_looked_at(written, how):
    """The last of each, so that none before it is taken for all."""
    module, path = written
    content = torch.load(path, weights_only=True)
    weights, moments = content["state_dict"], content["optimizer_states"][0]["state"]
    name = [*weights][-1]
    if how == "shape":
        weights[name] = weights[name][:-1]
    elif how == "dtype":
        weights[name] = weights[name].to(torch.int64)
    elif how == "number":
        weights[name] = 3
    elif how == "name":
        weights[f"{name}.more"] = weights.pop(name)
    elif how == "variance":
        moments[max(moments)]["exp_avg_sq"].view(-1)[-1] = -1e-3
    else:
        value = float("nan" if how == "NaN" else "inf")
        moments[max(moments)]["exp_avg"].view(-1)[-1] = value
    with pytest.raises(ValueError, match=WAY_OUT):
        module.on_load_checkpoint(content)


def test_what_the_run_wrote_itself_is_taken(written):
    """Else the tests above would find fault with everything."""
    module, path = written
    module.on_load_checkpoint(load(path))
