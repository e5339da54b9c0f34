"""A failing machine: full disks, users who share caches, and clocks that are set back."""

import codecs
import errno
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bench.failing import may_mount
from configs.inputs import MediaConfig
from datamodules.contribution.probe_cache import (
    date_after_last,
    describe_probe,
    probes,
    read_rows,
    write_shard,
)
from datamodules.contribution.probe_scores import Scores
from datamodules.media import files as media
from datamodules.media.containers.identify import identify
from datamodules.media.decoders import MediaError
from datamodules.media.files import file_digest
from datamodules.media.paths import OF_MACHINE, resolve
from datamodules.sample import Media
from datamodules.sources import rows
from datamodules.sources.index.manifest_index import open_samples
from datamodules.sources.index.table import SampleTable, checked
from evaluation.benchmarking.answers import (
    Answer,
    AnswerKey,
    append_answers,
    describe_key,
    new_file,
    read_answers,
)
from recipes.processes import Processes
from tests.datamodules.contribution.test_probe_cache import KEY, OTHER_KEY, content, row
from tests.datamodules.sources.index.test_manifest_index import ROOT, quarantine, write

ONE = AnswerKey(content_hash="a", id="a", condition="full", how="absent", order=0)
OTHER = AnswerKey(content_hash="b", id="b", condition="full", how="absent", order=0)
SAID = Answer(prompt="?", completion="yes")
STRANGER = 4711

Stranger = Callable[[], AbstractContextManager[None]]


@pytest.mark.skipif(not may_mount(), reason="needs root, or another right to mount small disks")
def test_all_that_is_written_meets_a_full_disk_and_loses_nothing():
    """Real disks; `bench.failing` has the other conditions, and `test_writing` some of them."""
    conditions = ("full", "a page left", "read-only", "no inodes", "another's")
    command = [sys.executable, "-m", "bench.failing", *conditions]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "50 cells, 0 faults" in done.stdout


@pytest.fixture
def stranger(open_to_all: Path) -> Stranger:
    """Become somebody to whom what has no rights for others is closed."""

    @contextmanager
    def become() -> Iterator[None]:
        before = os.geteuid()
        codecs.lookup("utf-8-sig")  # which that user may not load from where Python lies
        if before == 0:
            os.seteuid(STRANGER)
        try:
            yield
        finally:
            os.seteuid(before)

    return become


def test_answers_that_another_user_hides_count_as_not_asked(tmp_path, stranger, caplog):
    hidden = write_shard(tmp_path, [row(1)])
    write_shard(tmp_path, [row(2)])
    hidden.chmod(0)
    with stranger():
        hashes = [content(1), content(2)]
        counts = Scores.load(tmp_path, KEY, hashes).counts("no_audio", "silent")
        assert Scores.load(tmp_path, KEY, hashes).n.tolist() == [3]
    assert counts.n.tolist() == [0, 3]
    assert caplog.text.count(f"{hidden} cannot be read (Permission denied)") == 1
    hidden.chmod(0o644)
    assert read_rows(tmp_path, KEY).num_rows == 2


def test_a_probe_that_another_user_hides_is_told_and_the_others_are_read(
    tmp_path, stranger, caplog
):
    for key in (KEY, OTHER_KEY):
        describe_probe(tmp_path, key, {"model": key[:2]})
        write_shard(tmp_path, [row(1, probe_key=key)])
    hidden = tmp_path / f"probe={OTHER_KEY}"
    hidden.chmod(0)
    with stranger():
        assert probes(tmp_path) == {KEY: {"model": "ab"}, OTHER_KEY: {}}
        assert read_rows(tmp_path).num_rows == 1
    assert f"{hidden}/probe.json cannot be read" in caplog.text
    assert f"{hidden} cannot be read" in caplog.text
    hidden.chmod(0o755)


def test_completions_that_another_user_hides_are_asked_again(tmp_path, stranger, caplog):
    describe_key(tmp_path, {})
    hidden = new_file(tmp_path)
    append_answers(hidden, {ONE: SAID})
    append_answers(new_file(tmp_path), {OTHER: SAID})
    hidden.chmod(0)
    with stranger():
        assert read_answers(tmp_path) == {OTHER: SAID}
    assert f"{hidden} cannot be read" in caplog.text
    hidden.chmod(0o644)
    assert {*read_answers(tmp_path)} == {ONE, OTHER}


def test_first_answers_stay_first_whatever_the_clock_says(tmp_path):
    """One file is named by an older version and a clock that ran a century ahead."""
    old = tmp_path / f"{5 * 10**18:020d}-{'0' * 32}.jsonl"
    append_answers(old, {ONE: SAID})
    for said in ("no", "maybe"):
        append_answers(new_file(tmp_path), {ONE: Answer(prompt="?", completion=said)})
    assert [file.name[:20] for file in sorted(tmp_path.iterdir())] == [
        f"{5 * 10**18 + number:020d}" for number in range(3)
    ]
    assert read_answers(tmp_path) == {ONE: SAID}


def test_counts_are_dated_behind_those_before_them_where_a_clock_was_set_back(tmp_path):
    folder = write_shard(tmp_path, [row(1, time=400.0)]).parent
    os.utime(folder, (500, 500))
    assert [
        one.time for one in date_after_last(tmp_path, [row(2, time=50.0), row(3, time=900.0)])
    ] == [
        500.0,
        900.0,
    ]


def test_a_probe_keeps_what_was_counted_first_where_a_clock_was_set_back(tmp_path):
    for time, right in ((100.0, 3), (50.0, 0)):
        write_shard(tmp_path, date_after_last(tmp_path, [row(1, n_correct=right, time=time)]))
    counts = Scores.load(tmp_path, KEY, [content(1)]).counts("no_audio", "silent")
    assert counts.n_correct.tolist() == [3]


def written_over(file: Path, data: bytes) -> None:
    """Change a file but for its size and its time, as `cp --preserve` or `touch -r` may."""
    status = file.stat()
    while file.stat().st_ctime_ns == status.st_ctime_ns:  # whose clock may tick every 10 ms only
        file.write_bytes(data)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size
    assert file.stat().st_mtime_ns == status.st_mtime_ns


def test_a_medium_is_hashed_again_though_its_time_was_set_back(tmp_path):
    file = tmp_path / "a.wav"
    file.write_bytes(b"aaaa")
    before = file_digest(file)
    written_over(file, b"bbbb")
    assert file_digest(file) != before


def test_a_medium_is_told_again_though_its_time_was_set_back(tmp_path):
    write(tmp_path, rows=1)
    file = tmp_path / "0.wav"
    assert identify(file).name == "a WAV sound"
    written_over(file, b"no sound".ljust(file.stat().st_size))
    with pytest.raises(ValueError, match="begins with"):
        identify(file)


def test_an_index_knows_a_medium_though_its_time_was_set_back(tmp_path):
    path = write(tmp_path)
    table = open_samples(path, tmp_path, quarantine(), above=0)
    assert isinstance(table, SampleTable)
    written_over(tmp_path / "0.wav", (tmp_path / "1.wav").read_bytes())
    with pytest.raises(ValueError, match="one was written over since"):
        checked(table, 0)


def test_an_index_is_made_again_though_the_manifest_has_its_old_time(tmp_path):
    path = write(tmp_path)
    open_samples(path, tmp_path, quarantine(), above=0)
    written_over(path, path.read_bytes().replace(b"How many", b"How much"))
    again = open_samples(path, tmp_path, quarantine(), above=0)
    assert again[0].question.startswith("How much")


def test_a_step_goes_on_where_its_transcript_cannot_be_written(tmp_path, caplog, capsysbinary):
    """The transcript is a disk that is full; what is said is shown all the same."""
    processes = Processes(jobs=1)
    reader, writer = os.pipe()
    os.write(writer, b"first\n")
    with open("/dev/full", "wb", buffering=0) as transcript, caplog.at_level(logging.WARNING):
        os.write(writer, b"second\n")
        os.close(writer)
        processes._copy(os.fdopen(reader, "rb"), sys.stdout, transcript)
    assert capsysbinary.readouterr().out == b"first\nsecond\n"
    assert caplog.text.count("is cut off here (") == 1


@pytest.mark.parametrize(
    ("number", "of_row"),
    [
        *((number, False) for number in OF_MACHINE),
        *((number, True) for number in (errno.ENOENT, errno.EACCES, errno.EIO, errno.ELOOP)),
    ],
)
def test_a_row_is_set_aside_for_its_file_and_not_for_the_machine(
    tmp_path, monkeypatch, number, of_row
):
    """As where too many files are open, or a server of files does not answer for a while."""
    write(tmp_path, rows=1)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / "0.wav"))

    item = Media(modality="audio", path="0.wav")
    budget = MediaConfig(image_max_pixels=9_000, video_max_frames=4, audio_max_seconds=9)
    raised = MediaError if of_row else OSError
    with monkeypatch.context() as patch:
        patch.setattr(media, "identify", refuse)
        with pytest.raises(raised):
            media.decode(tmp_path, item, budget)
    with monkeypatch.context() as patch:
        patch.setattr(rows, "file_digest", refuse)
        with pytest.raises(raised):
            rows.digests(tmp_path)("0.wav")
    monkeypatch.setattr(Path, "resolve", refuse)
    with pytest.raises(raised):
        resolve(tmp_path, "0.wav")
