"""The cache of sampled traces: a file with a question per line, locked while a process samples."""

import fcntl
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self, final

from datamodules.sample import Sample
from runtime.writing import append, path_in_errors, write_text
from untrusted.json_text import json_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SampledTraces:
    """The traces of one question, as they were sampled."""

    texts: list[str]
    finished: list[bool]


@final
class TraceCache:
    """The file of the cache, locked by this process while it samples.

    A cache that cannot be written costs time, not the run: it is logged once.
    """

    def __init__(self, file: Path, known: Mapping[str, object]) -> None:
        self.file = file
        self.known = known
        self.stack = ExitStack()
        self.grows = True

    def __enter__(self) -> Self:
        with self._trying():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            lock = self.stack.enter_context(self.file.open("ab"))
            with path_in_errors(self.file):
                _lock(lock, self.file)
            write_text(self.file.with_suffix(".json"), json.dumps(self.known, indent=1) + "\n")
            # of a line that a kill tore
            lock.truncate(self.file.read_bytes().rfind(b"\n") + 1)
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def add(self, text: str) -> None:
        """Append lines, as long as the file can be written."""
        if self.grows:
            with self._trying():
                append(self.file, text.encode(), durable=True)

    @contextmanager
    def _trying(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.grows = False
            log.warning("the cache of traces grows no further: %s", error)


def _lock(out: IO[bytes], file: Path) -> None:
    """Lock a file; where another process has it, log that, since it may take hours."""
    try:
        fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("another process samples the same traces into %s: waiting until it ends", file)
        fcntl.flock(out, fcntl.LOCK_EX)


def read_cached(
    file: Path, samples: Sequence[Sample]
) -> tuple[dict[str, SampledTraces], list[Sample]]:
    """Read the cached traces of these questions, and list the questions without any."""
    content = b""
    try:
        content = file.read_bytes() if file.exists() else b""
    except OSError as error:  # another user's, or a disk that fails
        log.warning("%s cannot be read, and what it holds is sampled anew: %s", file, error)
    *lines, _torn = content.split(b"\n")
    found: dict[tuple[str, str], SampledTraces] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json_of(line)
            found[row["id"], row["content_hash"]] = SampledTraces(
                texts=row["texts"], finished=row["finished"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file}:{number} is no question with its traces ({error}), but every line that "
                "this project writes there is one: delete the line, or the file, and what it held "
                "is sampled again."
            ) from error
    names = {sample.id: (sample.id, sample.content_hash) for sample in samples}
    cached = {id_: found[name] for id_, name in names.items() if name in found}
    return cached, [sample for sample in samples if sample.id not in cached]
