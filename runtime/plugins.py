"""Run functions of the user's own, from files that the settings name, and blame their lines."""

import linecache
import math
import reprlib
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from numbers import Real
from types import FrameType, ModuleType
from typing import Any, final

from configs.plugins import digest_of, read_plugin, read_source

SECONDS = 60.0
"""That one call may take."""


@final
@dataclass(frozen=True, kw_only=True)
class Function:
    """A function of the user's own."""

    run: Callable[..., Any]  # Any: `configs/plugins.py` has checked how many values it takes
    name: str
    file: str


class PluginError(ValueError):
    """A function of the user's own failed, or returned what it may not."""


class _TooLong(BaseException):
    """A call took longer than it may; no Exception, which the function might catch."""


@cache
def load(setting: str, text: str) -> Function:
    """Run a file, as it was when its settings were read, and return its function.

    Args:
        text: of a setting of this run, never of a file that somebody else may have written.
    """
    plugin = read_plugin(setting, text)
    source = read_source(setting, plugin.file)
    if plugin.digest != digest_of(source):
        raise PluginError(
            f"{plugin.file} is another file than when the settings of this run were read, but a "
            "run keeps to one: repeat the command to take it as it is."
        )
    module = ModuleType(f"plugin_{plugin.digest}")
    module.__file__ = plugin.file
    sys.modules[module.__name__] = module  # where dataclasses look for the types of their fields
    try:
        exec(compile(source, plugin.file, "exec"), vars(module))
    except Exception as error:
        raise PluginError(
            f"{_blame(error, plugin.file)} while it was loaded for {setting}, but such a file runs "
            "by itself, with the packages that are installed: mend that line."
        ) from error
    return Function(run=vars(module)[plugin.name], name=plugin.name, file=plugin.file)


# Any: what it returns
def call(function: Function, *given: object, about: str, drawn: bool = False) -> Any:
    """Call a function, and raise what it raises as a `PluginError` that names its line.

    Args:
        about: what it is called for, to find it by.
        drawn: whether it returns several values, which are drawn from it here.
    """
    alone = threading.current_thread() is threading.main_thread()  # no other can set a signal
    before = signal.signal(signal.SIGALRM, _stop) if alone else None
    try:
        if alone:
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
        returned = function.run(*given)
        return [*returned] if drawn else returned
    except (Exception, _TooLong) as error:
        raise PluginError(
            f"{_blame(error, function.file)} in {function.name}, called for {about}, but a "
            f"function of your own returns within {SECONDS:.0f} seconds, whatever it is given: "
            "mend that line."
        ) from error
    finally:
        if alone:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


def number(function: Function, returned: object, *, least: int, about: str) -> float:
    """Check a number that a function returned, from `least` to 1."""
    value = float(returned) if isinstance(returned, Real) else math.nan
    if least <= value <= 1:
        return value
    rule = f"a number from {least} to 1" + (", or None for what cannot be read" * (not least))
    raise refused(function, returned, rule, about=about)


def refused(function: Function, returned: object, rule: str, *, about: str) -> PluginError:
    """Make the error for what a function returned.

    Args:
        rule: what it has to return.
    """
    return PluginError(
        f"{function.name} of {function.file} returned {reprlib.repr(returned)} for {about}, but "
        f"returns {rule}: mend the function."
    )


def excerpt(text: str) -> str:
    """Shorten a text for an error."""
    return f"{text[:80]!r}{'...' if len(text) > 80 else ''}"


def _stop(number: int, frame: FrameType | None) -> None:
    raise _TooLong(f"it took longer than {SECONDS:.0f} seconds")


def _blame(error: BaseException, file: str) -> str:
    """Say what a file has raised, at which of its lines."""
    frames = traceback.extract_tb(error.__traceback__)
    line = next((one.lineno for one in reversed(frames) if one.filename == file), None) or 1
    code = linecache.getline(file, line).strip()
    kind = "" if isinstance(error, _TooLong) else f"{type(error).__name__}: "
    return f"{file}:{line} ({code}) raised {kind}{error}"
