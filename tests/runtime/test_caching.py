"""Caches: whatever lies in the place of an entry, and whatever the disk says, work goes on."""

import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save
from torch import nn

from configs.policy import ModelConfig
from configs.schema import DataConfig, MediaConfig
from datamodules.media import cache as media_cache
from datamodules.media.files import decode
from datamodules.sample import Media
from evaluation.benchmarking.answers import read_answers
from modules.backbones.tower_cache import TowerCache
from runtime import writing
from runtime.caching import CHECKSUM, Cache, _checksum

BUDGET = MediaConfig(image_max_pixels=900, video_max_frames=4, audio_max_seconds=3.0)
WAVE = np.linspace(0, 0.5, 1_600, dtype=np.float32)
Use = Callable[[], bool]
"""Ask a cache for a medium, hold the result against what is right, say whether it was made anew."""


@pytest.fixture(autouse=True)
def impatient() -> Iterator[None]:
    """End a test that waits for a pipe."""
    signal.alarm(60)
    yield
    signal.alarm(0)


def media(directory: Path, monkeypatch) -> Use:
    made: list[int] = []
    root = directory.parents[1]
    if not (root / "a.wav").exists():  # its header holds the time
        soundfile.write(root / "a.wav", WAVE, 16_000, subtype="FLOAT")
    monkeypatch.setattr(
        media_cache, "decode", lambda *args, **how: made.append(1) or decode(*args, **how)
    )
    cache = media_cache.MediaCache(directory, gigabytes=1.0)

    def use() -> bool:
        made.clear()
        found = cache.decode(root, Media(modality="audio", path="a.wav"), BUDGET)
        assert found.audio is not None and np.array_equal(found.audio, WAVE)
        return bool(made)

    return use


def towers(directory: Path, _monkeypatch) -> Use:
    torch.manual_seed(0)
    cache = TowerCache(directory, [nn.Linear(2, 2)], gigabytes=1.0)
    states, sizes = torch.arange(6.0).view(3, 2), torch.tensor([6])

    def use() -> bool:
        made: list[int] = []
        [found] = cache.states(
            "audio",
            [torch.ones(4, 6)],
            sizes,
            lambda missing: made.extend(missing) or [states],
            tokens=[3],
            width=2,
        )
        assert torch.equal(found, states)
        return bool(made)

    return use


CACHES = {"data.media_cache_gigabytes": media, "model.tower_cache_gigabytes": towers}
every_cache = pytest.mark.parametrize("opened", CACHES.values(), ids=list(CACHES))


def entry(directory: Path) -> Path:
    [path] = [path for path in directory.rglob("*") if path.is_file()]
    return path


def forged(path: Path, **tensors: torch.Tensor) -> None:
    """Write an entry whose checksum is right and whose content is not."""
    name, content = str(path.relative_to(path.parents[1])), save(tensors)
    if len(path.parts[-3]) == 32:  # below the name of towers
        name = str(path.relative_to(path.parents[2]))
    path.write_bytes(_checksum(name, content) + content)


def linked(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def heard(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        os.chdir(path.parent)
        listening.bind(path.name)


def emptied(path: Path, made: Callable[[Path], object]) -> None:
    path.unlink()
    made(path)


def swapped(path: Path) -> None:
    """Put a good entry of another name in its place."""
    content = path.read_bytes()[CHECKSUM:]
    path.write_bytes(_checksum("00/another.safetensors", content) + content)


NAN = torch.full((3, 2), float("nan"))
HARMS: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "cut to its checksum": lambda path: path.write_bytes(path.read_bytes()[:CHECKSUM]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a bit": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x55"),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "no checksum": lambda path: path.write_bytes(path.read_bytes()[CHECKSUM:]),
    "of another name": swapped,
    "a terabyte of nothing": lambda path: os.truncate(path, 1 << 40),
    "a link to itself": lambda path: linked(path, path),
    "a link to nowhere": lambda path: linked(path, path.parent / "nowhere"),
    "a link to endless zeros": lambda path: linked(path, Path("/dev/zero")),
    "a pipe": lambda path: emptied(path, os.mkfifo),
    "a socket": heard,
    "a directory": lambda path: emptied(path, os.mkdir),
    "NaN": lambda path: forged(path, states=NAN, audio=NAN[:, 0].contiguous()),
    "infinite": lambda path: forged(path, states=NAN.nan_to_num(1e39), audio=NAN.nan_to_num(1e39)),
    "NaN alone": lambda path: forged(path, audio=NAN[:, 0].contiguous()),
    "deafening": lambda path: forged(path, audio=torch.full((1_600,), 1e18)),
    "of another shape": lambda path: forged(path, states=torch.ones(2, 3)),
    "turned": lambda path: forged(path, audio=torch.ones(1, 1_600)),
    "of another precision": lambda path: forged(path, audio=torch.ones(1_600).double()),
    "integers": lambda path: forged(path, states=torch.ones(3, 2, dtype=torch.int32)),
    "NaN states": lambda path: forged(path, states=NAN),
    "a picture": lambda path: forged(path, image=torch.ones(8, 8, 3, dtype=torch.uint8)),
    "a picture beside it": lambda path: forged(
        path, audio=torch.ones(9), image=torch.ones(8, 8, 3, dtype=torch.uint8)
    ),
    "nothing": lambda path: forged(path),
}


@every_cache
@pytest.mark.parametrize("harm", HARMS)
def test_what_is_no_good_entry_is_told_once_and_made_anew(
    opened, harm, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "cache"
    assert opened(directory, monkeypatch)()
    HARMS[harm](entry_path := entry(directory))
    use = opened(directory, monkeypatch)
    assert use()
    assert f"{entry_path} is damaged and is made anew" in caplog.text
    assert not use() and not opened(directory, monkeypatch)()
    assert len(caplog.records) == 1


@every_cache
def test_what_is_good_is_not_made_anew(opened, tmp_path, monkeypatch, caplog):
    assert opened(tmp_path / "cache", monkeypatch)()
    assert not opened(tmp_path / "cache", monkeypatch)()
    assert not caplog.records


@every_cache
def test_a_directory_with_files_in_the_place_of_an_entry_stays(
    opened, tmp_path, monkeypatch, caplog
):
    opened(tmp_path / "cache", monkeypatch)()
    path = entry(tmp_path / "cache")
    path.unlink()
    path.mkdir()
    (path / "mine").write_text("important")
    use = opened(tmp_path / "cache", monkeypatch)
    assert use() and use()
    assert (path / "mine").read_text() == "important"
    assert [record.message.count("grows no further") for record in caplog.records] == [0, 1]


ERRORS = (
    *("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "EMFILE", "ENFILE", "ESTALE"),
    *("EFBIG", "ENAMETOOLONG", "EINVAL", "ENOENT", "ENOTDIR", "EISDIR", "ELOOP", "ENOTCONN"),
)


@every_cache
@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("call", ["mkdir", "open", "rename", "scandir"])
def test_whatever_the_disk_says_is_one_warning(opened, name, call, tmp_path, monkeypatch, caplog):
    """At each call by which a cache may touch a disk, as the system words it."""
    use = opened(tmp_path / "cache", monkeypatch)

    def refuse(self, *_args, **_how):
        raise OSError(errno.__dict__[name], os.strerror(errno.__dict__[name]), str(self))

    touched = {
        "mkdir": (Path, "mkdir"),
        "open": (writing, "_begun"),
        "rename": (Path, "replace"),
        "scandir": (Cache, "_count"),
    }
    monkeypatch.setattr(*touched[call], refuse)
    assert use() and use()
    [told] = [record.message for record in caplog.records]
    assert "grows no further" in told and os.strerror(errno.__dict__[name]) in told
    monkeypatch.undo()
    assert not list(tmp_path.rglob("*.tmp"))


@every_cache
@pytest.mark.parametrize("name", sorted({*ERRORS} - {"ENOENT", "ENOTDIR", "EISDIR", "ELOOP"}))
def test_entries_that_cannot_be_opened_are_one_warning(opened, name, tmp_path, monkeypatch, caplog):
    opened(tmp_path / "cache", monkeypatch)()
    use = opened(tmp_path / "cache", monkeypatch)

    def refuse(path, _flags):
        raise OSError(errno.__dict__[name], os.strerror(errno.__dict__[name]), path)

    monkeypatch.setattr("runtime.caching._unfollowed", refuse)
    assert use() and use()
    assert [record.message.count("cannot be read") for record in caplog.records] == [1]


@every_cache
@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.write_text(""),
        lambda path: path.symlink_to(path),
        os.mkfifo,
        lambda path: (path.parent.rename(path.parents[1] / "x"), path.parent.write_text("")),
    ],
    ids=["a file", "a link to itself", "a pipe", "below a file"],
)
def test_a_place_that_is_no_directory_is_one_warning(opened, make, tmp_path, monkeypatch, caplog):
    (tmp_path / "above").mkdir()
    use = opened(tmp_path / "above" / "cache", monkeypatch)
    make(tmp_path / "above" / "cache")
    assert use() and use()
    assert caplog.text.count("grows no further") == 1


@every_cache
def test_a_cache_that_disappears_is_made_again(opened, tmp_path, monkeypatch, caplog):
    use = opened(tmp_path / "cache", monkeypatch)
    assert use() and not use()
    shutil.rmtree(tmp_path / "cache")
    assert use() and not use()
    assert not caplog.records


def test_every_cache_that_a_setting_bounds_is_tried_here():
    """Whoever adds one keeps it in `caching`, or shows here that it behaves as these do."""
    named = {
        f"{section}.{one.name}"
        for section, config in (("data", DataConfig), ("model", ModelConfig))
        for one in fields(config)
        if one.name.endswith("_gigabytes")
    }
    assert named == {*CACHES}


@pytest.mark.parametrize("file", ["datamodules/media/cache.py", "modules/backbones/tower_cache.py"])
def test_no_cache_goes_round_the_one_place_that_checks(file):
    text = (Path(__file__).parents[2] / file).read_text()
    touching = ("import os", "open(", "_file", "read_bytes", "write_bytes", "replace(path", "glob")
    assert "from runtime.caching import Cache" in text
    assert not [word for word in touching if word in text.replace("file_digest", "")]


def test_what_killed_processes_left_is_removed(tmp_path):
    """But not what somebody is writing, who holds a lock on it."""
    left, written = (tmp_path / "ab" / f"{name}.9-00c0ffee.tmp" for name in ("left", "written"))
    left.parent.mkdir()
    left.write_text("half")
    with written.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        Cache(tmp_path, gigabytes=1.0, holds="things", setting="a.setting").keep("cd/one", b"whole")
        assert not left.exists() and written.exists()


LIMITED = """
import logging, resource, sys
from pathlib import Path
from runtime.caching import Cache
cache = Cache(Path(sys.argv[1]), gigabytes=1.0, holds="things", setting="a.setting")
cache.keep("ab/one", b"x" * 500)
resource.setrlimit(*eval(sys.argv[2]))
for name in ("ab/two", "ab/three"):
    cache.keep(name, b"x" * 5000)
    assert cache.find(name, bytes, numbers=5000) is None
print("alive", cache.find("ab/one", bytes, numbers=500) == b"x" * 500)
"""


@pytest.mark.parametrize(
    ("limit", "alive"),
    [
        ("resource.RLIMIT_FSIZE, (1000, 1000)", "alive True"),
        ("resource.RLIMIT_NOFILE, (3, 3)", "alive False"),
    ],
)
def test_real_limits_of_the_system_are_one_warning(tmp_path, limit, alive):
    """Files of 1,000 bytes at most, and no descriptor beside the three of any process."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "cache"), limit],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == alive, done.stderr
    assert done.stderr.count("grows no further") == 1


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_answers_of_a_benchmark_that_are_no_file_are_named_and_not_waited_for(tmp_path, make):
    make(tmp_path / "1.jsonl")
    with pytest.raises(ValueError, match=r"1\.jsonl is no regular file .* take it away"):
        read_answers(tmp_path)
