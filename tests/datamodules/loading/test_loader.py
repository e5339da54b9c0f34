"""Processes that read beside another: the same batches in the same order, or a sentence in time."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch

from datamodules.batch import Batch
from datamodules.loading.loader import Loader
from tests.mortal import mortal

ROOT = Path(__file__).parents[3]
LARGE = 1 << 20


def numbers(turn: int, turns: int) -> Iterator[int]:
    yield from range(turn, 10, turns)


def large(turn: int, turns: int) -> Iterator[bytes]:
    """More than a pipe holds, so that who sends waits for who takes."""
    yield from (bytes([number]) * LARGE for number in numbers(turn, turns))


def failing(turn: int, turns: int) -> Iterator[int]:
    yield from itertools.islice(numbers(turn, turns), 2)
    raise ValueError("the words of a sentence")


class Unsendable(Exception):
    def __init__(self, *, why: str) -> None:
        super().__init__(why)


def unsendable(turn: int, turns: int) -> Iterator[int]:
    yield 1
    raise Unsendable(why="something")


def endless(turn: int, turns: int) -> Iterator[int]:
    """Hold Python's lock for ever."""
    yield os.getpid()
    sum(itertools.repeat(0))


def loader(deal: Callable[[int, int], Iterator[object]], workers: int = 2, patience: int = 60):
    return Loader(iter_shard=deal, workers=workers, patience=patience)


@pytest.mark.parametrize("workers", [0, 1, 3, 12])
def test_any_number_of_processes_reads_the_same_twice(workers):
    read = loader(numbers, workers)
    assert [*read] == [*read] == [*range(10)]
    assert not active_children()


def test_every_tensor_of_a_batch_arrives_as_it_was(ragged: Batch):
    ragged = ragged.select([0, 2, 1, 3])
    (sent,) = loader(lambda turn, turns: iter([ragged] * (turn == 0)))
    assert sent.samples == ragged.samples
    for name, value in vars(ragged).items():
        if isinstance(value, torch.Tensor):
            other = getattr(sent, name)
            assert (other.dtype, other.shape) == (value.dtype, value.shape)
            assert other.equal(value)
            other.zero_()  # they may be written to, as without processes


def test_what_is_left_before_its_end_leaves_no_process():
    with closing(iter(loader(large, 3))) as batches:
        next(batches)
        assert len(active_children()) == 3
        began = time.monotonic()
    assert not active_children()
    assert time.monotonic() - began < 20


def test_an_error_is_raised_as_it_was_told_where_it_came_from():
    with pytest.raises(ValueError, match="the words") as caught:
        list(loader(failing))
    assert str(caught.value) == "the words of a sentence"
    assert "in failing" in caught.value.__notes__[0]
    assert not active_children()


def test_an_error_that_cannot_be_sent_is_told_by_its_words():
    with pytest.raises(RuntimeError, match="Unsendable: something"):
        list(loader(unsendable))


@pytest.mark.parametrize("deal", [large, endless])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_killed_ends_the_reading_with_a_sentence(deal, number):
    """Also in the middle of a batch that it is sending, or of what it never ends reading."""
    batches = iter(loader(deal))
    next(batches)
    time.sleep(0.1)
    victim, other = sorted(active_children(), key=lambda process: process.pid)
    os.kill(other.pid if deal is not endless else victim.pid, number)
    with pytest.raises(ValueError, match=rf"workers \(now 2\) ended .*signal {number:d}\)") as told:
        list(batches)
    assert "set fewer data.workers" in str(told.value)
    assert not active_children()


def test_a_process_that_is_stopped_for_a_while_changes_nothing():
    expected = [*large(0, 1)]
    batches = iter(loader(large))
    read = [next(batches)]
    process = active_children()[0]
    process.join(0.1)
    os.kill(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    threading.Timer(2.5, os.kill, (process.pid, signal.SIGCONT)).start()
    assert [*read, *batches] == expected
    assert time.monotonic() - began > 2


@pytest.mark.parametrize("deal", [large, endless])
def test_a_process_that_sends_nothing_ends_the_reading_with_a_sentence(deal):
    """Stopped in the middle of a batch, or reading what has no end."""
    batches = iter(loader(deal, patience=5))
    next(batches)
    for process in active_children():
        os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(ValueError, match=r"has sent nothing for 5 s, but .*data\.patience=5"):
        list(batches)
    assert not active_children()


def test_processes_end_with_who_reads_from_them_whatever_they_do():
    code = (
        "from tests.datamodules.loading.test_loader import loader, endless\n"
        "for pid in loader(endless): print(pid, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=mortal,
    )
    with process:
        held = [int(process.stdout.readline()) for _ in range(2)]
        time.sleep(0.2)
        process.kill()
        process.wait()
        latest = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() for pid in held):
            assert time.monotonic() < latest


@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare, for a /dev/shm of its own")
def test_no_shared_memory_is_needed():
    """A /dev/shm of 64 kB that is full as well."""
    shrink = "mount -t tmpfs -o size=64k tmpfs /dev/shm && head -c 64k /dev/zero > /dev/shm/full"
    own = ["unshare", "--mount", "sh", "-c"]
    if subprocess.run([*own, shrink], capture_output=True).returncode:
        pytest.skip("this user may not mount a /dev/shm of its own")
    code = "from tests.datamodules.loading.test_loader import *; print(len([*loader(tensors, 3)]))"
    words = [*own, f'{shrink}; exec "{sys.executable}" -c "{code}"']
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.stdout == "10\n", done.stderr[-2000:]


def tensors(turn: int, turns: int) -> Iterator[torch.Tensor]:
    yield from (torch.zeros(LARGE) for _ in numbers(turn, turns))
