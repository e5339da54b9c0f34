"""Let a machine fail under all that a run writes, and see that it stops with a sentence or goes on.

    python -m bench.failing                    what needs no torch
    python -m bench.failing torch              checkpoints, exports and traces
    python -m bench.failing full read-only     these conditions alone

Each cell writes a first version onto a small disk of its own, lets the machine fail, writes the
second, mends the machine, and writes that again:

    stops      a sentence names the file; the first version stayed valid; then the second came whole
    goes on    one warning; only a cache may do that
    fits       it was not touched by the failure

Disks are real (tmpfs in a private mount namespace), and so are limits and users; what no small
machine has (a quota, a broken disk, NFS) is raised where the system would. Needs root on Linux.
"""

import errno
import fcntl
import logging
import os
import pickle
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path

from bench.failing_records import RECORDS, Record, settings, with_torch
from runtime.failures import explain

INSIDE = "EARWITNESS_FAILING"
"""Variable that tells a process that its mounts are its own."""

NOBODY = 65534
MEGABYTES = 48


class Warnings(logging.Handler):
    """Count what is told."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.told.append(record.getMessage())


def fill(disk: Path, left: int) -> None:
    """Use up a disk but for some bytes."""
    with (disk / "filling").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    size = (disk / "filling").stat().st_size
    os.truncate(disk / "filling", size - left)


@contextmanager
def full(disk: Path, *, left: int = 0) -> Iterator[None]:
    """Use up the disk."""
    fill(disk, left)
    yield
    (disk / "filling").unlink()


@contextmanager
def without_inodes(disk: Path) -> Iterator[None]:
    """Use up the names that files may have."""
    (disk / "names").mkdir()
    with suppress(OSError):
        for number in range(10_000):
            (disk / "names" / str(number)).touch()
    yield
    for file in [*(disk / "names").iterdir()]:
        file.unlink()
    (disk / "names").rmdir()


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Mount the disk anew, to be read alone."""
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


@contextmanager
def limited(disk: Path, *, which: int, most: int) -> Iterator[None]:
    """Set one of the system's limits for this process."""
    soft, hard = resource.getrlimit(which)
    resource.setrlimit(which, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(which, (soft, hard))


def few_descriptors(disk: Path) -> AbstractContextManager[None]:
    """Allow no further open file."""
    probe = os.open("/", os.O_RDONLY)
    os.close(probe)
    return limited(disk, which=resource.RLIMIT_NOFILE, most=probe)


@contextmanager
def gone(disk: Path) -> Iterator[None]:
    """Take the directory away, and bring it back; what was made in its place is thrown away."""
    (disk / "place").rename(disk / "elsewhere")
    yield
    subprocess.run(["rm", "-rf", disk / "place"], check=True)
    (disk / "elsewhere").rename(disk / "place")


@contextmanager
def refused(disk: Path, *, where: object, call: str, number: int) -> Iterator[None]:
    """Let one call of the system fail."""

    def fail(*arguments: object, **_: object) -> None:
        raise OSError(number, os.strerror(number))

    kept = getattr(where, call)
    setattr(where, call, fail)
    try:
        yield
    finally:
        setattr(where, call, kept)


CONDITIONS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "full": full,
    "a page left": partial(full, left=4096),
    "read-only": read_only,
    "no inodes": without_inodes,
    "file size": partial(limited, which=resource.RLIMIT_FSIZE, most=1),
    "open files": few_descriptors,
    "gone": gone,
    "another's": lambda disk: nullcontext(),  # and the process is another user's
    "quota": partial(refused, where=os, call="fsync", number=errno.EDQUOT),
    "fsync EIO": partial(refused, where=os, call="fsync", number=errno.EIO),
    "fsync ESTALE": partial(refused, where=os, call="fsync", number=errno.ESTALE),
    "rename EIO": partial(refused, where=os, call="replace", number=errno.EIO),
    "rename EXDEV": partial(refused, where=os, call="rename", number=errno.EXDEV),
    "lock ENOLCK": partial(refused, where=fcntl, call="flock", number=errno.ENOLCK),
    "lock ENOTSUP": partial(refused, where=fcntl, call="flock", number=errno.ENOTSUP),
}


def attempt(record: Record, place: Path, warnings: Warnings) -> tuple[str, str]:
    """Write the second version; return what came of it, and in which words."""
    warnings.told.clear()
    try:
        record.write(place, 2)
    except (OSError, ValueError) as error:
        told = explain(error, settings(place))
        if told is None or "\n" in told:
            return "FAULT", f"no sentence: {error!r}"
        named = str(place.parent) in told or "open files" in told or "open at once" in told
        return ("stops", told) if named else ("FAULT", f"no path: {told}")
    except Exception as error:
        told = explain(error, settings(place))
        return ("FAULT", f"no sentence: {error!r}") if told is None else ("stops", told)
    if warnings.told and record.kind == "cache":
        return "goes on", warnings.told[-1]
    return "fits", ""


def as_nobody(record: Record, place: Path, warnings: Warnings) -> tuple[str, str]:
    """Let another user try, in a process that is forked for it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        os.write(writer, pickle.dumps(attempt(record, place, warnings)))
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:
        told = file.read()
    os.waitpid(child, 0)
    result: tuple[str, str] = pickle.loads(told) if told else ("FAULT", "the process died")
    return result


def cell(record: Record, condition: str, disk: Path, warnings: Warnings) -> tuple[str, str]:
    """Fill in one cell of the table: what came of it, and in which words."""
    place = disk / "place"
    expected = {}
    with small_disk(disk):
        place.mkdir()
        for version in (1, 2):
            record.write(place, version)
            expected[version] = record.read(place)
    place.mkdir()
    record.write(place, 1)
    trying = as_nobody if condition == "another's" else attempt
    with CONDITIONS[condition](disk):
        outcome, told = trying(record, place, warnings)
    allowed = {"stops", "fits"} if record.kind == "record" else {"goes on", "fits"}
    if outcome not in allowed and not (record.kind == "cache" and "open" in condition):
        return "FAULT", told or outcome
    left = [str(path) for path in disk.rglob("*.tmp")]
    if left and condition != "open files":  # of which removing takes some; the next start sweeps
        return "FAULT", f"left behind: {left}"
    now = record.read(place)
    if outcome != "fits" and now != expected[1] and condition != "rename EXDEV":
        return "FAULT", f"the first version is gone: {now}, not {expected[1]}"
    if outcome != "fits" or condition == "gone":  # or went where nobody finds it any more
        try:
            record.write(place, 2)
        except Exception as error:
            return "FAULT", f"the same command fails: {error!r}"
    if record.read(place) != expected[2]:
        return "FAULT", f"the same command does not go on: {record.read(place)}"
    return outcome, told


@contextmanager
def small_disk(disk: Path) -> Iterator[None]:
    """Mount a small disk."""
    options = f"size={MEGABYTES}m,nr_inodes=400"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def table(records: tuple[Record, ...], conditions: Sequence[str]) -> int:
    """Print the table; return how many cells are faults."""
    warnings = Warnings()
    logging.getLogger().addHandler(warnings)
    faults: list[str] = []
    examples: dict[str, str] = {}
    print(f"{'':<14}" + "".join(f"{record.name[:14]:>16}" for record in records))
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        disk = Path(folder, "disk")
        disk.mkdir()
        for condition in conditions:
            row = []
            for record in records:
                with small_disk(disk):
                    outcome, told = cell(record, condition, disk, warnings)
                row.append(outcome)
                if outcome == "FAULT":
                    faults.append(f"{condition}, {record.name}: {told[:300]}")
                elif told:
                    examples.setdefault(condition, told)
            print(f"{condition:<14}" + "".join(f"{outcome:>16}" for outcome in row), flush=True)
    print(*(f"\n{condition}: {told}" for condition, told in examples.items()))
    print(*(f"\nFAULT {fault}" for fault in faults))
    print(f"{len(conditions) * len(records)} cells, {len(faults)} faults")
    return len(faults)


def may_mount() -> bool:
    """Tell whether this user may mount small disks."""
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def with_own_mounts(module: str) -> None:
    """Start over in a namespace of mounts of its own, unless this is one."""
    if INSIDE not in os.environ:
        command = ["unshare", "--mount", sys.executable, "-m", module, *sys.argv[1:]]
        sys.exit(subprocess.run(command, env={**os.environ, INSIDE: "1"}).returncode)


def main() -> None:
    """Start over in a namespace of mounts of its own, then fill in the table."""
    with_own_mounts("bench.failing")
    tiny = Path(__file__).parent.parent / "assets" / "tiny"
    records = with_torch(str(tiny)) if "torch" in sys.argv[1:] else RECORDS
    chosen = [name for name in sys.argv[1:] if name != "torch"] or [*CONDITIONS]
    sys.exit(1 if table(records, chosen) else 0)


if __name__ == "__main__":
    main()
