"""Run directories: never shared by two living processes, found again by the same command.

<root>/<stage>-<objective>-<model>-<hash>-<k>/
    run.lock        held by the living process; the kernel lets go of it, whatever kills that
    config.yaml     the resolved config; of a recipe, the words of its steps
    command.txt     the line that repeats the run, in a directory of its own
    config.hash     which config the directory belongs to; written last, so it vouches for all three
    finished        the run reached its end
    failed.txt      the error that ended it; gone once it goes on
    metrics.jsonl   one row a line, see runtime/metrics_log.py
    voters.txt      of a probe: the keys under which its answers are cached
"""

import fcntl
import itertools
import logging
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, NoReturn

from configs.credentials import masked
from configs.files import read_yaml
from configs.launching import SHARED_DIR, slurm_job
from configs.layers import COMMAND, SETTINGS
from configs.load import SCRIPTS, config_hash, to_yaml
from configs.names import FROM, flatten
from configs.objectives import learns_by
from configs.renamed import new_name
from configs.repeating import line_of
from configs.schema import Config
from runtime.stopping import received
from runtime.writing import path_in_errors, sweep, write_text

log = logging.getLogger(__name__)

FINISHED, FAILED, LOCK = "finished", "failed.txt", "run.lock"

MADE_WITH = ("config.hash", SETTINGS, COMMAND, LOCK)
"""Files that a directory is made with, in the order in which they are removed."""

RANKS = ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK")
"""Variables by which launchers number the processes of one run; 0 or unset is the leader."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What the settings are that a run directory belongs to."""

    hash: str
    text: str
    """The settings behind the hash, a line each, for people."""

    command: str = field(compare=False)
    """The line that repeats the run."""


@dataclass(frozen=True, kw_only=True)
class Run(AbstractContextManager["Run"]):
    """A directory that this process owns, until it closes the run or dies."""

    dir: Path
    resumed: bool
    """An earlier process began this run and did not finish it."""

    lock: IO[bytes] | None
    """None in the processes that follow a leader: it owns the directory for all of them."""

    def finish(self) -> None:
        """Mark the run as finished, so that the same command starts a new one, and let go of it."""
        if self.lock is not None:
            write_text(self.dir / FINISHED, "")
        self.close()

    def close(self) -> None:
        """Unlock the directory; an unfinished run is resumed by the same command."""
        if self.lock is not None:
            self.lock.close()

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        """Unlock the directory; after an error remove it if nothing is in it, or else leave why."""
        if error is not None and self.lock is not None:
            if not begun(self.dir):
                remove(self.dir)
            elif isinstance(error, Exception) and received() is None:
                with suppress(OSError):
                    write_text(self.dir / FAILED, f"{masked(str(error))}\n", durable=False)
        self.close()


def begun(place: Path) -> bool:
    """Whether a run has left anything but what its directory is made with."""
    return any(file.name not in MADE_WITH for file in place.iterdir())


def remove(place: Path) -> None:
    """Remove the directory of a run that never began, whose lock this process holds."""
    for name in MADE_WITH:
        (place / name).unlink(missing_ok=True)
    place.rmdir()


def open_run(config: Config) -> Run:
    """Take the directory of this config: a new one, or the one that a killed process left behind.

    Processes that a launcher started together share one, which their leader takes.
    """
    together = config.trainer.devices * config.trainer.num_nodes > 1
    root, stem = Path(config.run.root), _stem(config)
    name = config.run.name
    if name is None and together and slurm_job(os.environ):
        # The processes of one SLURM job cannot tell each other which number was free.
        name = next(_numbered(root, stem)).name
    if together and follows():
        return _follow(None if name is None else root / name)
    identity = Identity(hash=config_hash(config), text=to_yaml(config), command=line_of(config))
    run = take(root, name, stem, identity)
    if together:
        os.environ[SHARED_DIR] = str(run.dir.resolve())
    again = f"python {SCRIPTS[config.stage]} --{FROM} {run.dir}"
    log.info("run directory: %s%s; again: %s", run.dir, " (resumed)" * run.resumed, again)
    return run


def _stem(config: Config) -> str:
    """Name a directory by the stage, what it learns by, the model and the settings."""
    by = learns_by(flatten(asdict(config)))
    model = None if config.stage in ("audit", "clean") else config.model.name[:40]  # of 255
    return "-".join(filter(None, (config.stage, by, model, config_hash(config))))


def follows() -> bool:
    """Whether a launcher started this process with a rank above 0."""
    return any(int(os.environ.get(name) or 0) > 0 for name in RANKS)


def take(root: Path, name: str | None, stem: str, identity: Identity) -> Run:
    """Take a directory for this process alone.

    One with a name refuses what does not belong there. Without, it is the first of the directories
    numbered behind `stem` that is neither held by a living process nor finished; under SLURM the
    number is the job's, so that a requeued task finds its own.
    """
    if name is not None:
        return _claim(identity, root / name) or _refuse(root / name)
    return next(filter(None, (_claim_ours(identity, path) for path in _numbered(root, stem))))


def _numbered(root: Path, stem: str) -> Iterator[Path]:
    """List the directories that may be taken for want of a name, in order, without end."""
    job = slurm_job(os.environ)
    if job is not None:
        stem = f"{stem}-job{job}"
        yield root / stem
    for number in itertools.count(0 if job is None else 1):
        yield root / f"{stem}-{number}"


def _claim_ours(identity: Identity, path: Path) -> Run | None:
    """Claim a directory; None also where it belongs to another user of the same root."""
    try:
        return _claim(identity, path)
    except PermissionError:
        if path.exists() and path.stat().st_uid != os.geteuid():
            return None
        raise


def _claim(identity: Identity, path: Path) -> Run | None:
    """Lock a directory and take up its run; None where another process holds it or it is finished.

    Of processes that start at the same moment, all may create the directory: the lock decides.
    """
    lock = _taken(path)
    if lock is None:
        return None
    try:
        _check_identity(identity, path)
        if (path / FINISHED).exists():
            lock.close()
            return None
        sweep(path)
        (path / FAILED).unlink(missing_ok=True)
        resumed = (path / "config.hash").exists()
        if not resumed:
            write_text(path / SETTINGS, identity.text)
            write_text(path / COMMAND, f"{identity.command}\n")
            write_text(path / "config.hash", identity.hash)
    except (OSError, ValueError):
        lock.close()
        raise
    # Forked data workers inherit the lock, and would hold it for seconds after a killed trainer.
    os.register_at_fork(after_in_child=lock.close)
    return Run(dir=path, resumed=resumed, lock=lock)


def _taken(path: Path) -> IO[bytes] | None:
    """Make a directory and lock it, again if another process removes it in between; None where
    another one has the lock."""
    while True:
        with path_in_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            lock = locked(path / LOCK)
            if lock is None or _is_there(lock, path / LOCK):
                return lock
            lock.close()


def locked(file: Path) -> IO[bytes] | None:
    """Open and lock a file; None where another process has the lock."""
    lock = file.open("ab")
    try:
        with path_in_errors(file):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    except OSError:
        lock.close()
        raise
    return lock


def _is_there(lock: IO[bytes], file: Path) -> bool:
    """Whether a lock that was taken is that of the directory, and not of one just removed."""
    held = os.fstat(lock.fileno())
    with suppress(FileNotFoundError):
        found = file.stat()
        return (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino)
    return False


def _check_identity(identity: Identity, path: Path) -> None:
    """Raise where a directory was begun with other settings, which its metrics would mix."""
    found = _read(path / "config.hash")
    if found is None or found == identity.hash:
        return
    if not re.fullmatch(r"\w{1,64}", found):
        raise ValueError(
            f"{path / 'config.hash'} is damaged (it begins with {found[:20]!r}), but it says which "
            "settings the run belongs to: restore it, delete it if the settings are those of "
            f"{path / SETTINGS}, or choose another run.name."
        )
    _refuse_renamed(path)
    theirs = (_read(path / SETTINGS) or "").splitlines()
    changed = [line.strip() for line in identity.text.splitlines() if line not in theirs]
    raise ValueError(
        f"{path} holds a run with config {found}, but this command has config "
        f"{identity.hash} (different: {', '.join(changed[:3])}), and one run has one config: "
        f"repeat the settings in {path / SETTINGS}, or choose another run.name."
    )


def _refuse_renamed(path: Path) -> None:
    """Raise where a run was begun by a version that called its settings by other names."""
    file, settings = path / SETTINGS, dict[str, object]()
    with suppress(OSError, ValueError):  # what cannot be read is told as such below
        settings = flatten(read_yaml(file))
    for key in settings:
        if name := new_name(key):
            raise ValueError(
                f"{file} has {key}, which is called {name} in this version, and a run is resumed "
                "by the version that began it: go on with that one, or choose another run.name."
            )


def _refuse(path: Path) -> NoReturn:
    """Raise why the directory of a named run cannot be taken."""
    if (path / FINISHED).exists():
        raise ValueError(
            f"the run in {path} is finished, and a finished run stays as it is: choose another "
            "run.name, or delete the directory."
        )
    raise ValueError(
        f"{path} is in use by another process, and a run belongs to one at a time: wait until it "
        "ends, or choose another run.name."
    )


def _follow(path: Path | None) -> Run:
    """Find the directory that the leader of this process owns."""
    if found := os.environ.get(SHARED_DIR):
        path = Path(found)
    if path is None:
        raise ValueError(
            "a launcher started several processes of one run, which cannot agree on a free number "
            "for its directory: name it with run.name=..."
        )
    return Run(dir=path, resumed=(path / "metrics.jsonl").exists(), lock=None)


def _read(path: Path) -> str | None:
    """Read a text file; None where there is none. What is no text shows as such."""
    return path.read_bytes().decode(errors="backslashreplace") if path.exists() else None
