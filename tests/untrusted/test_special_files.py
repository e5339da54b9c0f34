"""What is no file is refused at once, whoever opens it: an idle pipe, an endless device."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pretrained.finding import check_weights
from untrusted.special_files import kind_of

ROOT = Path(__file__).parents[2]
KINDS = ("pipe", "zero")


def place(kind: str, path: Path) -> Path:
    """Put something that never ends where a file should be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    return path


READERS = {
    "text": "Path(name).read_text()",
    "bytes": "Path(name).read_bytes()",
    "as bytes": "open(os.fsencode(name))",
    "to append": "open(name, 'a')",
    "below Python": "os.open(name, os.O_RDONLY)",
    "settings": "OmegaConf.load(name)",
    "arrays": "np.load(name)",
    "a picture": "Image.open(name)",
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_way_of_opening_reads_what_never_ends(kind, tmp_path):
    name = place(kind, tmp_path / "file")
    tries = "\n".join(
        f"try:\n    {reader}\nexcept OSError as error:\n    print({label!r}, error.filename)"
        for label, reader in READERS.items()
    )
    code = (
        "import os; from pathlib import Path; import numpy as np\n"
        "from omegaconf import OmegaConf; from PIL import Image\n"
        "from untrusted.special_files import *\n"
        f"refuse_endless(); name = {str(name)!r}\n{tries}"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.splitlines() == [f"{label} {name}" for label in READERS], done.stderr


def test_what_is_named_for_what_it_is_can_be_opened(tmp_path):
    code = (
        "from untrusted.special_files import *; refuse_endless(); open('/dev/null').read(); "
        "open('/dev/stdin')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=b"", capture_output=True)
    assert done.returncode == 0, done.stderr


def test_files_and_what_is_not_there_are_left_to_who_opens_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # since the name of a socket has at most 108 characters
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "none", "a\0b"):
        assert kind_of(path) is None
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    assert kind_of(tmp_path / "socket") == "a socket"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("file", ["chat_template.jinja", "model.safetensors", "tokenizer.json"])
def test_a_model_directory_holds_files_only(kind, file, tmp_path):
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    check_weights(str(tmp_path))
    place(kind, tmp_path / file)
    with pytest.raises(ValueError, match=rf"{file} is a .*, which may never end, but a model"):
        check_weights(str(tmp_path))


@pytest.mark.parametrize(
    ("kind", "file"),
    [
        ("pipe", "data/train.jsonl"),
        ("zero", "data/train.jsonl"),
        ("pipe", "runs/mine/run.lock"),
        ("zero", "runs/mine/config.hash"),
        ("pipe", f"data/probes/probe={'a' * 32}/one.parquet"),
        ("pipe", f"data/probes/probe={'a' * 32}/probe.json"),
    ],
)
def test_a_run_that_would_read_one_ends_with_a_sentence(kind, file, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.jsonl").write_text(
        '{"id": "a", "question": "1 + 1?", "answer": "2", "answer_type": "number", "media": []}\n'
    )
    place(kind, tmp_path / file)
    split = Path(file).name if file.startswith("data/train") else "train"
    words = [
        *("stage=audit", "data=manifest", f"data.train={split}", "run.name=mine"),
        *(f"data.root={tmp_path / 'data'}", f"run.root={tmp_path / 'runs'}"),
    ]
    done = subprocess.run(
        [sys.executable, "eval.py", *words], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1, done.stdout
    *before, told = done.stderr.splitlines()
    assert all(line.startswith("run directory: ") for line in before)
    assert told.startswith("error: ") and Path(file).name in told
