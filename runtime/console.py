"""What both entry scripts share: the environment, output, and exit codes with one sentence."""

import atexit
import gc
import logging
import os
import stat
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from signal import SIGPIPE, Signals
from tempfile import gettempdir
from types import TracebackType
from typing import TextIO, final

from configs.command import main_config, main_recipe
from configs.credentials import masked
from configs.launching import check_launch, check_recipe_launch
from configs.recipe_command import Command
from configs.schema import Config
from runtime.failures import explain
from runtime.preemption import hear, requeue, warned
from runtime.runs import follows
from runtime.stopping import (
    WARNING,
    ChildFailed,
    Stopped,
    code_of,
    end_children,
    listen,
    lost,
    received,
    settle,
    stand_by,
)
from runtime.voters import with_voters
from untrusted.special_files import refuse_endless
from untrusted.terminal import escaped, for_terminal

log = logging.getLogger(__name__)

QUIET = ("lightning.pytorch", "lightning.fabric", "transformers", "httpx", "httpx2")
"""Libraries whose messages at every start would bury ours."""

SPARING = ("NO_PROXY", "no_proxy")
"""Some libraries prefer the one, some the other."""

LOOPBACK = "localhost,127.0.0.1,::1"

PATIENCE = 30.0
"""Seconds in which processes that finished their part of a run end by themselves."""


@final
class Screen(TextIOWrapper):
    """Standard error that loses words where it cannot be written, as with `2> log` on a full disk:
    a run goes on without its bar. A pipe that nobody reads ends it, as ever."""

    def write(self, text: str) -> int:
        """Write and show at once."""
        try:
            written = super().write(text)
            super().flush()
        except BrokenPipeError:
            raise
        except OSError:
            return len(text)
        return written

    def flush(self) -> None:
        """Do nothing: all has been shown."""


class Exit(SystemExit):
    """Everything has been said, and only the exit code is left to pass on."""


def start(stages: tuple[str, ...]) -> Config:
    """Resolve the command line or leave with help or an error; then prepare the process."""
    hear()
    stand_by()
    refuse_endless()
    config = with_voters(main_config(sys.argv[1:], stages))
    _prepare()
    check_launch(config, os.environ)
    return config


def start_recipe() -> Command:
    """Do the same for a recipe, whose steps get the environment of this process."""
    hear()
    listen()
    refuse_endless()
    command = main_recipe(sys.argv[1:])
    _prepare()
    check_recipe_launch(os.environ)
    return command


def _prepare() -> None:
    # Threads that spin while they wait make a run several times slower on cores shared with others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Arrow's own pool reserves addresses ahead, which limits of memory count as had already.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive forks
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    spare_loopback()
    if place := _place_for_libraries():
        os.environ.setdefault("MPLCONFIGDIR", place)
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", place)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of the list it makes
    if isinstance(sys.stdout, TextIOWrapper):  # which may be set to letters of one country
        sys.stdout.reconfigure(errors="backslashreplace")
    logging.raiseExceptions = False  # a message that finds no room is lost, without a traceback
    sys.stderr = Screen(sys.stderr.buffer, sys.stderr.encoding, "backslashreplace")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Plain())
    # Of processes that train together, one tells what all of them do.
    level = logging.WARNING if follows() else logging.INFO
    logging.basicConfig(level=level, handlers=[handler])
    sys.excepthook = _trace


def spare_loopback() -> None:
    """Have all libraries ask servers on this machine past proxies, which cannot reach them."""
    kept = {name: os.environ.get(name) or os.environ.get(name.swapcase(), "") for name in SPARING}
    for name, hosts in kept.items():
        if hosts != "*" and LOOPBACK not in hosts:
            os.environ[name] = f"{hosts},{LOOPBACK}".lstrip(",")


def _place_for_libraries() -> str | None:
    """Find a directory of this user below TMPDIR for what libraries make when they are imported:
    matplotlib a list of fonts, otherwise below HOME, and torch a directory for compiled kernels.

    None where it cannot be made, or somebody else has made it.
    """
    with suppress(OSError):
        place = Path(gettempdir(), f"earwitness-{os.geteuid()}")
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o700:
            return str(place)
    return None


@final
class Plain(logging.Formatter):
    """Log messages without API keys and control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record, mask API keys and escape control characters."""
        return escaped(masked(super().format(record)))


def say(text: str) -> None:
    """Print a result at once."""
    print(escaped(masked(text)), flush=True)


def _trace(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of a bug."""
    print(escaped(masked("".join(traceback.format_exception(error)))), end="", file=sys.stderr)


@contextmanager
def importing() -> Iterator[None]:
    """Import what takes seconds, and silence those libraries once they have set up their logging.

    No garbage is looked for meanwhile, as there is none: the search takes a fifth of the seconds.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # or libraries complain of leaks when Python ends
        gc.enable()
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
        logging.getLogger(name).propagate = False


def run_to_exit(action: Callable[[], object], config: Config | None = None) -> None:
    """Run an action; on an error end the process with one sentence and the exit code for it.

    A bug keeps its traceback. Child processes are ended in any case.

    Args:
        config: of the run if it is known, so that errors can name settings.
    """
    _seat()
    try:
        action()
        sys.stdout.flush()
        end_children(patience=PATIENCE)
    except BaseException as error:
        code = _tell(error, config)
        end_children()
        if code == code_of(WARNING) and not isinstance(error, Exit):
            requeue(os.environ)
        if code is None:
            raise
        raise Exit(code) from None


def _seat() -> None:
    """Let streams that are closed, as by `>&-`, lead nowhere.

    The next file that is opened would otherwise take the place of one, and get what is said there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _tell(error: BaseException, config: Config | None) -> int | None:
    """Print what ended this process, and return its exit code; None for a bug."""
    if isinstance(error, Exit):
        return int(error.code or 0)
    number = received()
    if isinstance(error, Stopped) and warned():
        number = WARNING
    if number is not None:  # whatever exception it became
        log.error("stopped by %s: the same command goes on from here", Signals(number).name)
        settle()
        return code_of(number)
    if isinstance(error, BrokenPipeError) and error.filename is None:
        return _unheard()
    if isinstance(error, SystemExit):
        return _flushed(error)
    if (gone := lost()) is not None:
        code, words = gone
        log.error("error: %s", words)
        return code
    found = explain(error, config)
    if found is None:
        return None
    print(f"error: {for_terminal(masked(found))}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # no room for what was to be shown
        _drop(sys.stdout)
    return error.code if isinstance(error, ChildFailed) else 1


def _flushed(leaving: SystemExit) -> int:
    """Return the code of a `SystemExit`, once the output is flushed."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _unheard()
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    print(for_terminal(masked(str(leaving.code))), file=sys.stderr)
    return 1


def _unheard() -> int:
    """Return the exit code of a closed pipe, as behind `| head`."""
    _drop(sys.stdout, sys.stderr)
    return code_of(SIGPIPE)


def _drop(*streams: TextIO) -> None:
    """Send further output to /dev/null, since Python would complain at its end otherwise."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nowhere, stream.fileno())
