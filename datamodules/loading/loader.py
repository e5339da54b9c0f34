"""Read batches in worker processes that share no memory and no locks with this one.

Each has a pipe of its own, through which it sends what it has read. So nothing lies in /dev/shm,
of which containers have too little, and a process that is killed or stopped does not block the
others. They take turns, so that batches come in the same order from any number of them.
"""

import copyreg
import gc
import io
import multiprocessing
import os
import pickle
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar, final

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.stopping import end_with_parent

T = TypeVar("T")

IterShard = Callable[[int, int], Iterator[T]]
"""Iterates over every n-th batch: the index of the shard, and the number n of shards."""

ENDING = 2.0
"""Seconds that a process has to finish its work once its pipe is no longer read."""


@final
@dataclass(frozen=True, kw_only=True)
class Loader(Generic[T]):
    """An iterable of batches, which starts from the first batch each time."""

    iter_shard: IterShard[T]
    workers: int
    """Worker processes; 0 reads in this process."""

    patience: int
    """Seconds within which each worker must send something."""

    def __iter__(self) -> Iterator[T]:
        """Receive from the workers in turn; the first that has no more ends the iteration."""
        if not self.workers:
            yield from self.iter_shard(0, 1)
            return
        workers: list[_Worker[T]] = []
        try:
            while len(workers) < self.workers:
                workers.append(_Worker(self, workers))
            for worker in cycle(workers):
                yield from (found := worker.receive())
                if not found:
                    return
        finally:
            for worker in workers:
                worker.source.close()
            for worker in workers:
                worker.end()


@final
class _Worker(Generic[T]):
    """A process that reads, and the reading end of its pipe."""

    def __init__(self, loader: Loader[T], earlier: "Sequence[_Worker[T]]") -> None:
        self.loader = loader
        self.source, out = multiprocessing.Pipe(duplex=False)
        inherited = [self.source, *(worker.source for worker in earlier)]
        self.process = multiprocessing.Process(
            target=_read,
            args=(loader.iter_shard, len(earlier), loader.workers, out, inherited),
            daemon=True,
        )
        self.process.start()
        out.close()  # else the pipe would not end with the process
        self.file = io.BufferedReader(_TimedPipe(self.source, self._check))

    def receive(self) -> list[T]:
        """Wait for the next batch, a list of one; empty behind the last."""
        try:
            sent: list[T] | _Raised = pickle.load(self.file)
        except (EOFError, pickle.UnpicklingError) as error:
            self.process.join(ENDING)
            raise ValueError(
                f"one of the data.workers (now {self.loader.workers}) ended in the middle of its "
                f"work ({_ended(self.process.exitcode)}), but no batch is left out: where this "
                "machine ran out of memory, set fewer data.workers, or lower "
                "data.media.video_max_frames; the same command goes on from the last checkpoint."
            ) from error
        if isinstance(sent, _Raised):
            raise sent.error
        return sent

    def _check(self, waited: int) -> None:
        """Raise once the process has sent nothing for too long."""
        if waited >= self.loader.patience:
            raise ValueError(
                f"process {self.process.pid}, one of the data.workers (now "
                f"{self.loader.workers}), has sent nothing for {waited} s, but may take "
                f"data.patience={self.loader.patience} for a batch: see whether it was stopped, "
                "waits for a disk that does not answer, or reads something that has no end; or "
                "raise data.patience. The same command goes on from the last checkpoint."
            )

    def end(self) -> None:
        """End the process, whose pipe is no longer read."""
        self.process.join(ENDING)
        self.process.kill()
        self.process.join(ENDING)


@final
class _TimedPipe(io.RawIOBase):
    """The bytes of a pipe, with a limit on the time to wait."""

    def __init__(self, source: Connection, check: Callable[[int], None]) -> None:
        self.source = source
        self.check = check

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:  # what io takes has no name before Python 3.12
        """Wait for some bytes, in steps: seconds in which all processes were stopped count once."""
        waited = 0
        while not wait([self.source], 1.0):
            waited += 1
            self.check(waited)
        return os.readv(self.source.fileno(), [buffer])


@final
@dataclass(frozen=True, kw_only=True)
class _Raised:
    """An error that ended a process, for the main process to raise."""

    error: Exception


def _ended(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _read(
    iter_shard: IterShard[T],
    shard: int,
    shards: int,
    out: Connection,
    inherited: Sequence[Connection],
) -> None:
    """Read one shard, and send it batch by batch.

    Args:
        inherited: the reading ends of pipes, which would stay open here after the main process has
            closed them.
    """
    end_with_parent(signal.SIGKILL)
    gc.freeze()  # what the other process left to be freed may wait for threads that are not here
    for source in inherited:
        source.close()
    torch.set_num_threads(1)  # those of a process that was forked off another would wait for ever
    with suppress(BrokenPipeError), out, open(out.fileno(), "wb", closefd=False) as file:
        try:
            for batch in iter_shard(shard, shards):
                _send([batch], file)
            _send([], file)
        except Exception as error:  # whatever it is, the other process raises it
            error.add_note("".join(traceback.format_exception(error)))
            _send(_Raised(error=_sendable(error)), file)


def _send(what: object, file: io.BufferedWriter) -> None:
    """Send an object whole, tensors as raw bytes."""
    pickler = pickle.Pickler(file, protocol=5)
    pickler.dispatch_table = copyreg.dispatch_table | {torch.Tensor: _as_array}
    pickler.dump(what)
    file.flush()


def _as_array(
    tensor: torch.Tensor,
) -> tuple[Callable[[NDArray[np.generic]], torch.Tensor], tuple[NDArray[np.generic]]]:
    return torch.from_numpy, (tensor.numpy(),)


def _sendable(error: Exception) -> Exception:
    """Replace an error that cannot be pickled by its text."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # a class of any library, which may do anything
        return RuntimeError("".join(traceback.format_exception(error)))
    return error
