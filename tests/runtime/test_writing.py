"""Tests of what a run leaves: whole or not there, and what stood before stays."""

import errno
import fcntl
import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from runtime.writing import (
    append,
    path_in_errors,
    sweep,
    whole,
    whole_directory,
    write_bytes,
    write_text,
)

FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EROFS)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def fail(number: int):
    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the kernel refuse larger files, as a full disk refuses them, but anywhere."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", FAILURES)
def test_a_file_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch, call, number):
    file = tmp_path / "results.json"
    write_text(file, "before")
    monkeypatch.setattr(os, call, fail(number))
    with pytest.raises(OSError) as caught:
        write_text(file, "after")
    assert (caught.value.errno, caught.value.filename) == (number, str(file))
    assert file.read_text() == "before" and names(tmp_path) == ["results.json"]


def test_a_file_that_grows_too_large_leaves_the_one_before(tmp_path):
    write_text(tmp_path / "a", "before")
    with files_of_at_most(5_000), pytest.raises(OSError, match="9,000 bytes were to be written"):
        write_bytes(tmp_path / "a", b"x" * 9_000)
    assert (tmp_path / "a").read_text() == "before" and names(tmp_path) == ["a"]


def test_a_signal_leaves_nothing_half_written(tmp_path):
    with pytest.raises(SystemExit), whole(tmp_path / "a") as file:
        file.write(b"half")
        raise SystemExit(143)
    assert names(tmp_path) == []


def test_a_part_of_a_line_is_taken_back(tmp_path):
    """1,000 bytes are there and 3,000 more fit; the kernel takes those, and no more, of 9,000."""
    file = tmp_path / "metrics.jsonl"
    append(file, b"x" * 999 + b"\n")
    with files_of_at_most(4_000), pytest.raises(OSError, match="9,000 bytes were to be written"):
        append(file, b"y" * 9_000)
    assert file.read_bytes() == b"x" * 999 + b"\n"
    append(file, b"z\n")
    assert file.read_bytes() == b"x" * 999 + b"\nz\n"


def test_what_another_process_added_meanwhile_is_not_taken_back(tmp_path, monkeypatch):
    file = tmp_path / "quarantine.jsonl"

    def interrupted(_: int) -> None:
        with file.open("ab") as other:
            other.write(b"theirs\n")
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(OSError):
        append(file, b"ours\n", durable=True)
    assert file.read_bytes() == b"ours\ntheirs\n"


def test_a_directory_takes_the_place_of_another_as_a_whole(tmp_path):
    for text in ("first", "second"):
        with whole_directory(tmp_path / "export") as made:
            (made / text).write_text(text)
    assert names(tmp_path) == ["export"] and names(tmp_path / "export") == ["second"]


def test_the_longest_name_that_a_file_may_have_can_be_written(tmp_path):
    write_text(tmp_path / ("x" * 255), "whole")
    with whole_directory(tmp_path / ("y" * 255)):
        pass
    assert names(tmp_path) == ["x" * 255, "y" * 255]


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_directory_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch, call):
    with whole_directory(tmp_path / "export") as made:
        (made / "first").write_text("first")
    monkeypatch.setattr(os, call, fail(errno.EIO))
    with pytest.raises(OSError) as caught, whole_directory(tmp_path / "export") as made:
        (made / "second").write_text("second")
    assert caught.value.filename == str(tmp_path / "export")
    assert names(tmp_path) == ["export"] and names(tmp_path / "export") == ["first"]


def test_a_directory_comes_back_where_the_one_after_it_cannot_take_its_place(tmp_path, monkeypatch):
    """The first of two renames is done, the second fails, and the third undoes the first."""
    with whole_directory(tmp_path / "export") as made:
        (made / "first").write_text("first")
    rename, calls = os.rename, []

    def second_fails(*places: Path) -> None:
        calls.append(places)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        rename(*places)

    monkeypatch.setattr(os, "rename", second_fails)
    with pytest.raises(OSError), whole_directory(tmp_path / "export"):
        pass
    assert len(calls) == 3
    assert names(tmp_path) == ["export"] and names(tmp_path / "export") == ["first"]


def test_a_directory_is_not_made_where_there_is_none_any_more(tmp_path):
    """A run directory that went away must not come back with an export alone."""
    with pytest.raises(FileNotFoundError), whole_directory(tmp_path / "gone" / "export"):
        pass
    assert not (tmp_path / "gone").exists()


def test_libraries_in_rust_are_told_by_file_and_number(tmp_path):
    with files_of_at_most(5_000), pytest.raises(OSError) as caught:  # noqa: SIM117
        with whole_directory(tmp_path / "export", needed=80_000) as made:
            save_file({"a": np.zeros(10_000)}, made / "model.safetensors")
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, f"{tmp_path}/export")
    assert "80,000 bytes were to be written, and a file may have 5,000" in str(caught.value)
    assert names(tmp_path) == []


def test_files_of_libraries_are_for_the_group_where_the_umask_says_so(tmp_path):
    """Safetensors makes files that nobody else may read, whatever the umask."""
    before = os.umask(0o027)
    try:
        with whole_directory(tmp_path / "export") as made:
            save_file({"a": np.zeros(3)}, made / "model.safetensors")
        write_text(tmp_path / "a", "")
        append(tmp_path / "b", b"")
    finally:
        os.umask(before)
    found = [tmp_path / "export" / "model.safetensors", tmp_path / "a", tmp_path / "b"]
    assert [oct(file.stat().st_mode & 0o777) for file in found] == ["0o640"] * 3
    assert oct((tmp_path / "export").stat().st_mode & 0o777) == "0o750"


def test_a_file_system_that_cannot_flush_directories_will_do(tmp_path, monkeypatch):
    flush = os.fsync

    def picky(descriptor: int) -> None:
        if Path(f"/dev/fd/{descriptor}").resolve().is_dir():
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", picky)
    write_text(tmp_path / "a", "x")
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.parametrize("number", FAILURES[:2])
def test_a_full_disk_is_told_with_the_room_that_there_is(tmp_path, number):
    with pytest.raises(OSError) as caught, path_in_errors(tmp_path / "a", needed=1_234):
        raise OSError(number, os.strerror(number))
    assert re.search(r"1,234 bytes were to be written, [\d,]+ are free", str(caught.value))
    assert ("but not to this user" in str(caught.value)) == (number == errno.EDQUOT)


def test_other_errors_pass_as_they_are(tmp_path):
    for error in (KeyError("a"), OSError("no number")):
        with pytest.raises(type(error)) as caught, path_in_errors(tmp_path / "a"):
            raise error
        assert caught.value is error


def test_what_kills_left_half_written_is_swept_away(tmp_path):
    (tmp_path / "a.json.9-00c0ffee.tmp").write_text("half")
    (tmp_path / "export.9-00c0ffee.tmp").mkdir()
    (tmp_path / "export.9-00c0ffee.tmp" / "model.safetensors").write_text("half")
    (tmp_path / "a.json").write_text("whole")
    sweep(tmp_path)
    assert names(tmp_path) == ["a.json"]


def test_what_others_call_temporary_is_not_swept_away(tmp_path):
    """A cache may lie where others write, and a data set of strangers may lead there."""
    (tmp_path / "thesis.tmp").mkdir()
    (tmp_path / "thesis.tmp" / "chapter").write_text("all of it")
    for name in ("notes.tmp", "part.7.tmp", "a.9-00.tmp"):
        (tmp_path / name).write_text("theirs")
    before = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == before


def test_what_others_name_alike_is_not_swept_away(tmp_path):
    for name in ("thesis.tmp", "a.json.tmp", "b.9-00c0ffee.tmp", "a.json.x-00c0ffee.tmp"):
        (tmp_path / name).touch()
    sweep(tmp_path, of="a.json")
    assert len(names(tmp_path)) == 4
    sweep(tmp_path)
    assert names(tmp_path) == ["a.json.tmp", "a.json.x-00c0ffee.tmp", "thesis.tmp"]


def test_what_somebody_still_writes_is_not_swept_away(tmp_path):
    with whole(tmp_path / "a") as file, whole_directory(tmp_path / "b") as made:
        file.write(b"whole")
        (made / "c").touch()
        sweep(tmp_path)
    assert names(tmp_path) == ["a", "b"] and names(tmp_path / "b") == ["c"]


def test_what_is_swept_away_before_it_is_held_is_begun_again(tmp_path, monkeypatch):
    lock, swept = fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not swept:
            swept.extend(tmp_path.glob("*.tmp"))
            swept[0].unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    write_text(tmp_path / "a", "whole")
    assert swept and (tmp_path / "a").read_text() == "whole" and names(tmp_path) == ["a"]


@pytest.mark.parametrize("call", ["open", "flock"])
def test_a_directory_that_is_swept_away_before_it_is_held_is_begun_again(
    tmp_path, monkeypatch, call
):
    module = {"open": os, "flock": fcntl}[call]
    real, swept = getattr(module, call), []

    def late(*arguments: object) -> object:
        if not swept:
            swept.extend(tmp_path.glob("*.tmp"))
            swept[0].rmdir()
        return real(*arguments)

    monkeypatch.setattr(module, call, late)
    with whole_directory(tmp_path / "a") as made:
        (made / "b").touch()
    assert swept and names(tmp_path) == ["a"] and names(tmp_path / "a") == ["b"]


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_directory_keeps_moves_over_or_stays(tmp_path, monkeypatch, fails):
    place = tmp_path / "a"
    (place / "kept").mkdir(parents=True)
    (place / "old").touch()
    rename = Path.rename

    def fail_for_new(path: Path, target: Path) -> Path:
        if fails and target == place and not (path / "old").exists():
            raise OSError(errno.EIO, "broken")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with (
        pytest.raises(OSError, match="broken") if fails else nullcontext(),
        whole_directory(place, keeps=("kept", "nothing")) as made,
    ):
        (made / "new").touch()
    assert names(place) == ["kept", "old" if fails else "new"] and names(tmp_path) == ["a"]


def test_what_is_written_is_not_swept_before_it_has_its_name(tmp_path, monkeypatch):
    """Two processes that begin with one cache at once: one sweeps just when the other renames."""
    rename = Path.replace

    def swept_first(self: Path, target: Path) -> Path:
        sweep(tmp_path)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", swept_first)
    write_text(tmp_path / "facts.json", "whole")
    assert (tmp_path / "facts.json").read_text() == "whole"
