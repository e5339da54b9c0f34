"""The embedded digits set, built small: once, whole, and whatever happens meanwhile."""

import dataclasses
import errno
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest

from datamodules.digits.build import VERSION, Sizes, build, ensure
from datamodules.digits.pictures import PICTURES
from tests.datamodules.digits.conftest import families
from tests.small_digits import AMOUNT, SMALL, SPLITS


def test_counts_are_recorded(root):
    about = json.loads((root / "digits.json").read_text())
    assert (about["version"], about["seed"]) == (VERSION, 0)
    for split in (*SPLITS, "annotated"):
        truth = families(root, split).values()
        assert about["counts"][split] == Counter(row["family"] for row in truth)
        assert len(truth) == (500 if split == "annotated" else 300)


def test_the_same_seed_builds_the_same_bytes(root, tmp_path):
    """Whatever the number of workers: speech depends on its process's past, which is fixed."""
    build(tmp_path, sizes=SMALL, workers=3)
    files = sorted(file.relative_to(root) for file in root.rglob("*") if file.is_file())
    assert files == sorted(f.relative_to(tmp_path) for f in tmp_path.rglob("*") if f.is_file())
    different = [f for f in files if (root / f).read_bytes() != (tmp_path / f).read_bytes()]
    assert not different


def test_ensure_leaves_a_current_set_alone(root):
    before = {file: file.stat().st_mtime_ns for file in root.rglob("*")}
    ensure(root, sizes=SMALL)
    assert {file: file.stat().st_mtime_ns for file in root.rglob("*")} == before


def test_ensure_replaces_another_version(tmp_path):
    folder = tmp_path / "digits"
    folder.mkdir()
    (folder / "digits.json").write_text(json.dumps({"version": VERSION - 1}))
    (folder / "old.jsonl").touch()
    (folder / "traces").mkdir()
    (folder / "traces" / "sampled.jsonl").touch()
    ensure(folder, sizes=SMALL)
    assert (folder / "traces" / "sampled.jsonl").exists()
    assert json.loads((folder / "digits.json").read_text())["version"] == VERSION
    assert not (folder / "old.jsonl").exists()
    assert [file.name for file in tmp_path.iterdir()] == ["digits"]


def test_ensure_clears_away_what_kills_left_of_it_and_nothing_else(tmp_path):
    for name in ("digits.9-00c0ffee.tmp", "digits.tmp", "thesis.9-00c0ffee.tmp"):
        (tmp_path / name).mkdir()
    ensure(tmp_path / "digits", sizes=SMALL)
    found = sorted(file.name for file in tmp_path.iterdir())
    assert found == ["digits", "digits.tmp", "thesis.9-00c0ffee.tmp"]


@pytest.fixture
def midway(monkeypatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen while the processes of a build are at work."""

    def set_(happens: Callable[[], object]) -> None:
        class Pool(ProcessPoolExecutor):
            def map(self, *arguments: Any, **named: Any) -> Iterator[Any]:
                results = super().map(*arguments, **named)
                happens()
                return results

        monkeypatch.setattr("datamodules.digits.build.ProcessPoolExecutor", Pool)

    return set_


@pytest.mark.parametrize("stopped", [False, True])
def test_a_signal_ends_a_build_and_its_processes_and_leaves_nothing(tmp_path, midway, stopped):
    def signalled() -> None:
        time.sleep(1.0)
        for process in active_children() if stopped else ():
            os.kill(process.pid, signal.SIGSTOP)
        raise SystemExit(143)

    midway(signalled)
    began = time.monotonic()
    with pytest.raises(SystemExit):
        ensure(tmp_path / "digits")
    assert time.monotonic() - began < 40 and not active_children()
    assert [*tmp_path.iterdir()] == []


def test_a_process_that_is_killed_ends_a_build_with_a_sentence(tmp_path, midway):
    midway(lambda: active_children()[0].kill())
    with pytest.raises(ValueError, match="was ended from outside, but each has to write its share"):
        ensure(tmp_path / "digits", sizes=SMALL)
    assert [*tmp_path.iterdir()] == []


def test_a_full_disk_is_told_by_the_place_that_the_set_will_have(tmp_path, monkeypatch):
    def full(root: Path, *_: object) -> None:
        raise OSError(errno.ENOSPC, "full", str(root / "media" / "a.png"))

    monkeypatch.setattr("datamodules.digits.build.write_media", full)
    with pytest.raises(OSError, match="full") as caught:
        ensure(tmp_path / "digits", sizes=SMALL)
    assert caught.value.filename == str(tmp_path / "digits" / "media" / "a.png")


def test_ensure_deletes_no_folder_of_others(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds files but no digits\.json.*choose another folder"):
        ensure(tmp_path, sizes=SMALL)
    assert (tmp_path / "thesis.tex").exists()


def test_a_crash_leaves_no_root(tmp_path):
    """Without films the questions about them cannot be asked, long after media were written."""
    broken = dataclasses.replace(AMOUNT, videos=0, pictures=10, drawings=1)
    with pytest.raises(IndexError):
        ensure(tmp_path / "digits", sizes=Sizes(splits={"test": broken}))
    assert list(tmp_path.iterdir()) == []


def test_sizes_beyond_the_originals_are_refused():
    greedy = dataclasses.replace(AMOUNT, pictures=PICTURES + 1)
    with pytest.raises(ValueError, match=f"ask for {PICTURES + 1} pictures.*ask for fewer"):
        Sizes(splits={"train": greedy})
