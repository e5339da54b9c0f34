"""An index that was tampered with is made anew, and what kills leave behind is swept."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datamodules.sample import Sample
from datamodules.sources.index import manifest_index as indexing
from datamodules.sources.index.kept import found_once
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.index.sealed import broken, seal
from datamodules.sources.index.table import SampleTable
from datamodules.sources.quarantine import Quarantine
from runtime.writing import sweep, whole, whole_directory, write_text
from tests.house.test_architecture import ROOT


def manifest(root: Path, rows: int = 300) -> Path:
    path = root / "train.jsonl"
    held = [{"id": f"q{n}", "question": f"{n}?", "answer": n, "x": 1} for n in range(rows)]
    for row in held[1:]:
        row.pop("x")  # the first is set aside
    path.write_text("".join(f"{json.dumps(row)}\n" for row in held))
    return path


def opened(path: Path, bad: Quarantine | None = None) -> list[Sample]:
    bad = Quarantine(max_bad_share=1.0) if bad is None else bad
    found = open_samples(path, path.parent, bad, above=0)
    assert isinstance(found, SampleTable)
    return [*found]


def the_index(path: Path) -> Path:
    (found,) = (path.parent / "index").iterdir()
    return found


FILES = ("rows.arrow", "quarantine.jsonl", "unread.json", "checksums")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_of_an_index_is_told_and_the_index_made_anew(tmp_path, caplog, name, seed):
    path = manifest(tmp_path)
    expected = opened(path)
    file = the_index(path) / name
    content = bytearray(file.read_bytes())
    content[random.Random(seed).randrange(len(content))] ^= 1 << seed
    file.write_bytes(content)
    bad = Quarantine(max_bad_share=1.0)
    assert opened(path, bad) == expected
    assert "is damaged" in caplog.text
    assert dict(bad.counts) == {"unknown_field": 1}
    caplog.clear()
    assert opened(path) == expected
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["missing", "empty", "link", "pipe", "folder", "short"])
def test_what_is_no_file_of_an_index_is_not_opened(tmp_path, caplog, name, kind):
    """A pipe would be read for ever."""
    path = manifest(tmp_path)
    expected = opened(path)
    file = the_index(path) / name
    content = file.read_bytes()
    file.unlink()
    if kind == "empty":
        file.touch()
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(content)
        file.symlink_to(tmp_path / "elsewhere")
    elif kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "short":
        file.write_bytes(content[: len(content) // 2])
    assert opened(path) == expected
    assert "is damaged" in caplog.text


@pytest.mark.parametrize("kind", ["file", "link", "pipe", "empty folder"])
def test_what_stands_in_the_place_of_an_index_makes_room(tmp_path, kind):
    path = manifest(tmp_path)
    expected = opened(path)
    place = the_index(path)
    place.rename(tmp_path / "moved")
    if kind == "file":
        place.touch()
    elif kind == "link":
        place.symlink_to(tmp_path / "moved")
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    assert opened(path) == expected
    assert place.is_dir()
    assert not place.is_symlink()
    assert broken(tmp_path / "moved") is None


def test_a_seal_that_names_what_lies_elsewhere_is_broken(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text("a")
    seal(tmp_path / "in")
    assert broken(tmp_path / "in") is None
    text = (tmp_path / "in" / "checksums").read_text()
    (tmp_path / "a").write_text("a")
    (tmp_path / "in" / "checksums").write_text(text.replace("  a", "  ../a"))
    assert "is no file of it" in str(broken(tmp_path / "in"))


def test_what_was_found_out_about_an_index_is_found_out_again_where_it_was_changed(tmp_path):
    path = manifest(tmp_path)
    table = open_samples(path, tmp_path, Quarantine(max_bad_share=1.0), above=0)
    asked: list[int] = []

    def find(samples: object) -> dict[int, str]:
        asked.append(1)
        return {2: "known"}

    assert found_once(table, "tests", find) == {2: "known"} == found_once(table, "tests", find)
    assert len(asked) == 1
    file = the_index(path) / "tests.json"
    file.write_text(file.read_text().replace("known", "knows"))
    assert found_once(table, "tests", find) == {2: "known"}
    assert len(asked) == 2


def test_what_nobody_writes_any_more_is_swept_and_what_somebody_writes_is_not(tmp_path):
    (tmp_path / "left.9-00c0ffee.tmp").touch()
    (tmp_path / "folder.9-00c0ffee.tmp").mkdir()
    (tmp_path / "folder.9-00c0ffee.tmp" / "part").touch()
    (tmp_path / "whole").touch()
    os.mkfifo(tmp_path / "pipe.9-00c0ffee.tmp")
    with whole(tmp_path / "a") as file, whole_directory(tmp_path / "b") as folder:
        file.write(b"a")
        (folder / "part").touch()
        sweep(tmp_path)
    left = sorted(one.name for one in tmp_path.iterdir())
    assert left == ["a", "b", "pipe.9-00c0ffee.tmp", "whole"]
    assert (tmp_path / "b" / "part").is_file()


WRITER = """
import sys, time
from pathlib import Path
from datamodules.sources.quarantine import Quarantine
from datamodules.sources.index import manifest_index as index
def forever(*_):
    print("writing", flush=True)
    time.sleep(600)
index.write_table = forever
path = Path(sys.argv[1])
index.open_samples(path, path.parent, Quarantine(max_bad_share=1.0), above=0)
"""


def test_a_kill_while_indexing_leaves_nothing_that_the_next_start_does_not_sweep(tmp_path):
    """While the process lives, what it writes is not touched by another that indexes the same."""
    path = manifest(tmp_path)
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        (half,) = (tmp_path / "index").iterdir()
        assert half.name.endswith(".tmp")
        expected = opened(path)
        assert half.is_dir()
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (tmp_path / "train.jsonl").touch()
    os.utime(path, ns=(time.time_ns(), time.time_ns()))  # so that it is indexed again
    assert opened(path) == expected
    left = [one.name for one in (tmp_path / "index").iterdir()]
    assert len(left) == 2
    assert not any(name.endswith(".tmp") for name in left)
    assert path.stat().st_size < indexing.INDEXED_BYTES


def test_where_there_are_no_locks_files_are_written_and_nothing_is_swept(tmp_path, monkeypatch):
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("runtime.writing.fcntl.flock", none)
    (tmp_path / "left.9-00c0ffee.tmp").touch()
    write_text(tmp_path / "a", "whole")
    sweep(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "left.9-00c0ffee.tmp"]
