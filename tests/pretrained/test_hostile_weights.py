"""Weights of strangers: pickles do not run, and what is cut, lies or is no number is told."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.pretrained.conftest import refusal


class Bomb:
    """An object that runs a command when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_pickled_weights_are_not_read(model, words, tmp_path, name):
    (model / "model.safetensors").unlink()
    (model / name).write_bytes(pickle.dumps(Bomb(tmp_path / "proof")))
    assert "safetensors" in refusal(model, words)
    assert not (tmp_path / "proof").exists()


def lying(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Change the header of a file of weights."""

    def changed(data: bytes) -> bytes:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        change(header)
        text = json.dumps(header).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + length :]

    return changed


def first(**entry: Any) -> Callable[[bytes], bytes]:
    """Change the entry of the first tensor."""
    return lying(lambda header: header[min(header.keys() - {"__metadata__"})].update(entry))


@pytest.mark.parametrize(
    "written",
    [
        *(first(shape=shape) for shape in ([10**6, 10**6], [2**62, 8], [-1])),
        *(first(data_offsets=offsets) for offsets in ([0, 10**12], [100, 0])),
        first(dtype="F99"),
        lying(lambda header: header.update({name: [] for name in header})),
        lambda data: data[:-1000],
        lambda data: data[:100],
        lambda data: b"",
        lambda data: struct.pack("<Q", 2**62) + data[8:],
        lambda data: struct.pack("<Q", 99_000_000) + data[8:],
        lambda data: struct.pack("<Q", 200_000) + b"[" * 200_000,
        lambda data: b"GGUF" + bytes(5000),
        lambda data: bytes(5000),
    ],
)
def test_weights_that_are_cut_or_lie_or_are_none_are_told_with_their_file(model, words, written):
    file = model / "model.safetensors"
    file.write_bytes(written(file.read_bytes()))
    assert "weights that cannot be read (model.safetensors" in refusal(model, words)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_not_loaded(model, words, value):
    weights = load_file(model / "model.safetensors")
    weights[sorted(weights)[5]].view(-1)[0] = value
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    assert "weights that are infinite or NaN (first: " in refusal(model, words)


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ({"weight_map": {"a": "../x.safetensors"}}, "names '../x.safetensors' as a part"),
        ({"weight_map": {"a": "/tmp/x.safetensors"}}, "in the same directory"),
        ({"weight_map": {"a": "pytorch_model.bin"}}, "all parts are *.safetensors"),
        ({"weight_map": {"a": 3}}, "names '3' as a part"),
        ({"weight_map": {"a": "gone.safetensors"}}, "has no gone.safetensors"),
        ({"weight_map": ["a"]}, "does not list the parts"),
        ({}, "does not list the parts"),
        ([], "cannot be used (a list)"),
    ],
)
def test_an_index_names_files_of_its_own_directory(model, words, tmp_path, listed, told):
    (model / "model.safetensors").rename(tmp_path / "x.safetensors")
    (model / "model.safetensors.index.json").write_text(json.dumps(listed))
    assert told in refusal(model, words)
