"""Compare mathematical expressions, in worker processes with limits of time and memory.

Equality of expressions is undecidable, and a policy will sooner or later write one on which algebra
does not terminate. `python -m modules.verifiers.math_answers` is a worker, with `math-verify`. It
takes seconds to start, so the work is done, and the time is spent, in forks of it.
"""

import importlib.util
import logging
import multiprocessing
import re
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from queue import SimpleQueue
from typing import Literal

from datamodules.sample import MAX_EXPRESSION
from modules.verifiers.typography import plain
from untrusted.killable import KillableProcess, limit_time, serve

WORKERS = 2
MEMORY = 2 << 30
"""Bytes of address space of a worker."""

MAX_DEPTH = 6
"""Nesting of braces and brackets; the parser takes exponential time in some of them."""

Result = bool | None | Literal["bad gold"]

_SYMBOLS = str.maketrans(
    {"×": r"\times ", "·": r"\cdot ", "÷": "/", "π": r"\pi ", "∞": r"\infty ", "°": r"^\circ "}
    | {"²": "^{2}", "³": "^{3}", "≤": r"\le ", "≥": r"\ge "}
)
_FUNCTIONS = re.compile(r"(?<![\\A-Za-z])(pi|sin|cos|tan|log|ln|exp)(?![A-Za-z])")
_SCIENTIFIC = re.compile(r"(?<=[0-9])[eE]([-+]?[0-9]+)")
_PERCENT = re.compile(r"\\?%|\\text\{ ?percent\}|\b(?:percent|pct)\b")
_DEGREES = re.compile(r"\^ *(?:\{ *\\circ *\}|\\circ(?![a-z]))")
_POINT = re.compile(r"(?<=[0-9]) \. (?=[0-9])")  # data sets part LaTeX into tokens
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))
_REFUSED = re.compile(
    r"[$\x00-\x1f]|\\boxed|\\fbox"  # more than one expression
    r"|\\(?:int|sum|prod|lim)(?![a-z])"  # the question in place of its answer
    r"|[0-9][ ~]+[0-9]"  # "1 2 3" would be read as a product
    r"|[0-9]{100}|\^\s*[{(]*[-+ ]*[0-9]{5}|[)}\]]\s*\^\s*[{(]*[-+ ]*[0-9]{3}"  # huge
    r"|\^\s*(?:[{(][^{}()A-Za-z]*|-?[0-9]+\s*|[A-Za-z]\s*)[\^!]|_\s*[A-Za-z0-9]\s*_"  # towers
    # and what has no end
    r"|[0-9]{5}\s*!|!\s*[)}]*\s*!|[-+]\s*[-+]\s*[-+]|\|{3}|=[^=]*=[^=]*=|(?:/[^/]{1,9}){9}"
)


def equivalent(pairs: Sequence[tuple[str, str]], *, seconds: float = 2.0) -> list[bool | None]:
    """Tell for each (gold, given) whether they are equal; None where that is undecided.

    It is where the given text is no single expression, is too long, takes too long, or leaves an
    integral, sum or limit unevaluated, as the question may. Units are letters like others, 50% is a
    half and not 50, and numbers are rounded to six decimals.

    Args:
        seconds: of processor time for one pair, so that verdicts do not depend on the load of the
            machine.
    """
    cleaned = {pair: (_clean(pair[0]), _clean(pair[1])) for pair in pairs}
    if cleaned and importlib.util.find_spec("math_verify") is None:
        raise ValueError(
            f"The answer {pairs[0][0]!r} is of type math, which the package math-verify compares, "
            "but it is not installed: run `pip install math-verify`, or set answer_type to text."
        )

    def compare(pair: tuple[str, str]) -> bool | None:
        gold, given = cleaned[pair]
        result: Result = "bad gold"
        if gold:
            result = gold == given or (_compare(gold, given, seconds) if given else None)
        if isinstance(result, str):
            raise ValueError(
                f"The answer {pair[0]!r} cannot be read as one expression, so that no completion "
                "could be right: correct the record, or set its answer_type to text."
            )
        return result

    with ThreadPoolExecutor(WORKERS) as threads:
        results = dict(zip(cleaned, threads.map(compare, cleaned), strict=True))
    return [results[pair] for pair in pairs]


def close() -> None:
    """Kill the workers; the next comparison starts new ones."""
    for worker in _WORKERS:
        worker.stop()


def _clean(text: str) -> str | None:
    """Write an expression as LaTeX without delimiters; None where it is refused."""
    if len(text) > MAX_EXPRESSION:
        return None
    text = text.strip().rstrip(".,;")
    for start, end in _DELIMITERS:
        if len(text) > len(start + end) and text.startswith(start) and text.endswith(end):
            text = text[len(start) : -len(end)].strip().rstrip(".,;")
            break
    text = _PERCENT.sub("/100", plain(text).replace("**", "^")).translate(_SYMBOLS)
    text = _SCIENTIFIC.sub(r"\\times10^{\1}", text)
    text = _POINT.sub(".", _DEGREES.sub(r"^\\circ ", text.replace("\n", " ")))
    text = _FUNCTIONS.sub(r"\\\1 ", text)
    return text if text and not _REFUSED.search(text) and _balanced(text) else None


def _balanced(text: str) -> bool:
    """Tell whether braces match and are not nested too deeply."""
    depth = braces = 0
    for mark in text:
        braces += (mark == "{") - (mark == "}")
        depth += (mark in "{([") - (mark in "})]")
        if braces < 0 or depth > MAX_DEPTH:
            return False
    return braces == 0


_WORKERS = tuple(
    KillableProcess(
        "modules.verifiers.math_answers",
        does="compares expressions",
        needed_by="answers of type math",
        memory=MEMORY,
    )
    for _ in range(WORKERS)
)
_IDLE: SimpleQueue[KillableProcess] = SimpleQueue()
for _worker in _WORKERS:
    _IDLE.put(_worker)


def _compare(gold: str, given: str, seconds: float) -> Result:
    """Compare a pair; None where it took too much time or memory."""
    worker = _IDLE.get()
    try:
        result, code = worker.ask([gold, given, seconds])
    finally:
        _IDLE.put(worker)
    if code > 0:  # negative, had it been killed
        raise RuntimeError(
            f"Comparing {given!r} with the answer {gold!r} ended in an error (exit code {code}, "
            "see above), but must end in a verdict: this is a bug; please report it."
        )
    verdict: Result = result
    return verdict


def _prepare() -> Callable[[object], Result]:
    """Load math-verify, and have forks of this process compare pairs: where one is killed, there is
    no verdict, and the next pair goes to a new one."""
    is_equal = _load_comparison()
    is_equal(r"\frac{1}{2}", "x^2+1")  # the first time takes longer
    forks = multiprocessing.get_context("fork")  # this process has no threads
    fork: ForkProcess | None = None
    ours: Connection | None = None

    def compare(pair: object) -> Result:
        nonlocal fork, ours
        if fork is None or ours is None or not fork.is_alive():
            ours, theirs = forks.Pipe()
            fork = forks.Process(target=_compare_all, args=(is_equal, theirs, ours), daemon=True)
            fork.start()
            theirs.close()
        try:
            ours.send(pair)
            result: Result = ours.recv()
            return result
        except (EOFError, OSError):
            fork.join()
            if (code := fork.exitcode or 0) > 0:  # it raised; killed, it would be negative
                sys.exit(code)
            return None

    return compare


def _compare_all(
    is_equal: Callable[[str, str], Result], pairs: Connection, other_end: Connection
) -> None:
    """Compare the pairs from a pipe, each within its time."""
    other_end.close()  # else it would stay open when the other process is gone
    while True:
        try:
            gold, given, seconds = pairs.recv()
        except EOFError:
            return
        limit_time(seconds)
        try:
            result = is_equal(gold, given)
        except (MemoryError, RecursionError):
            result = None
        limit_time(0)
        pairs.send(result)


def _load_comparison() -> Callable[[str, str], Result]:
    """Import math-verify, which only workers need."""
    from latex2sympy2_extended import NormalizationConfig  # noqa: PLC0415
    from math_verify import LatexExtractionConfig, parse, verify  # noqa: PLC0415

    logging.disable(logging.ERROR)
    reading = LatexExtractionConfig(
        boxed_match_priority=0,
        normalization_config=NormalizationConfig(  # units stay: 3 m is not 3 cm
            basic_latex=True, malformed_operators=True, nits=True, boxed="last"
        ),
    )

    def expressions(text: str) -> list[object]:
        parsed = parse(rf"\boxed{{{text}}}", [reading], parsing_timeout=None)
        return [] if not parsed or isinstance(parsed[0], str) else parsed

    def is_equal(gold: str, given: str) -> Result:
        expected = expressions(gold)
        if not expected:
            return "bad gold"
        answer = expressions(given)
        return bool(verify(expected, answer, timeout_seconds=None)) if answer else None

    return is_equal


if __name__ == "__main__":
    serve(_prepare, memory=MEMORY)
