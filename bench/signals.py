"""How soon each stage ends at each signal, at each moment, and what the same command makes of it.

    python -m bench.signals --root runs/signals
    python -m bench.signals --root runs/signals --stages sft benchmark --moments works

A cell starts a run, waits for its moment, sends the signal, and counts the seconds until no process
of the run is left. Then the same command has to end the work, with the same metrics as a run that
nobody disturbed. `stop` stops all processes of a run for three seconds and lets them go on.
"""

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from datamodules.digits.build import ensure
from tests.small_digits import SMALL

TRAIN = ("trainer.max_steps=6", "trainer.log_every_n_steps=1", "trainer.checkpoint_every=2")
SHORT = (*TRAIN, "trainer.batch_size=2", "rlvr.group_size=2", "rlvr.max_completion_tokens=8")
DEAF = ("distill.student_view.condition=no_audio",)
STAGES: Mapping[str, tuple[str, ...]] = {
    "sft": ("train.py", "stage=sft", "data.workers=2", *SHORT),
    "rlvr": ("train.py", "stage=rlvr", *SHORT),
    "distill": ("train.py", "stage=distill", "distill.method=on_policy", *DEAF, *SHORT),
    "prealign": ("train.py", "stage=prealign", *SHORT),
    "probe": ("eval.py", "stage=probe", "probe.batch_size=1"),
    "served": ("eval.py", "stage=probe", "probe.backend=openai", "probe.server.model=none"),
    "benchmark": ("eval.py", "stage=benchmark", "benchmark.batch_size=1", "benchmark.limit=60"),
    "preview": ("eval.py", "stage=preview"),
    "audit": ("eval.py", "stage=audit"),
    "clean": ("eval.py", "stage=clean", "clean.sets=[train]", "clean.rules=[vidground]"),
    "recipe": ("train.py", "recipe=vidground", "rlvr:trainer.max_steps=4", "benchmark.limit=20"),
}
PROBED = ("eval.py", "stage=probe", "probe.conditions=[full,text_only]")
"""What audits and views of clean questions are made from."""

MOMENTS = ("starts", "reads", "works")
SIGNALS = ("TERM", "INT", "HUP", "KILL", "stop")
LATEST = 900.0
"""Seconds until a moment has come, or has been missed."""

AT_WORK = re.compile(r"question/s|step/s|it/s|took")


@final
@dataclass(frozen=True, kw_only=True)
class Cell:
    """What became of one run."""

    code: int | None
    seconds: float
    left: int
    """Processes that outlived it by ten seconds."""

    again: int | None
    """How the same command ended; None where it was not started again."""

    same: bool | None
    """Whether its metrics are those of an undisturbed run; None where it leaves none."""


def members(group: int) -> list[int]:
    """List the living processes of a group."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def below(pid: int) -> list[int]:
    """List the living processes that one has started, and those that these have."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found = children.get(pid, [])
    for each in found:
        found += children.get(each, [])
    return found


def command_of(pid: int) -> list[str]:
    """Read the words by which a process was started; none where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def started(words: Sequence[str], root: Path, name: str) -> subprocess.Popen[bytes]:
    """Start one run in a group of its own, which leaves what it says beside its directory."""
    said = (root / f"{name}.said").open("wb")
    command = [sys.executable, *words, f"run.root={root}", f"run.name={name}"]
    if {"stage=probe", "stage=benchmark"} & {*words} and "probed" not in name:
        # What was asked once is not asked again, and a run with nothing to ask is soon over.
        command.append(f"data.contribution.cache={root / name}.counts")
        command.append(f"benchmark.cache={root / name}.answers")
    if "stage=clean" in words:
        # Nobody trains on what a view beside the data has judged, and the recipe does train.
        command.append(f"clean.views={root / name}.views")
    return subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)


def undisturbed(words: Sequence[str], root: Path, name: str) -> None:
    """Run one stage to its end; where it fails by itself, no cell of it would prove anything."""
    if started(words, root, name).wait(LATEST):
        said = (root / f"{name}.said").read_text(errors="replace")
        sys.exit(f"{name} fails undisturbed: {said[-500:]}")


def reached(moment: str, root: Path, name: str) -> bool:
    """Tell whether a run has come to a moment."""
    if moment == "starts":
        return True
    if moment == "reads":
        return (root / name).exists()
    said = (root / f"{name}.said").read_text(errors="replace")
    return any((root / name).rglob("metrics.jsonl")) or AT_WORK.search(said) is not None


def cell(words: Sequence[str], root: Path, name: str, moment: str, how: str) -> Cell | None:
    """Run one stage, disturb it, and repeat its command; None where it ended before its moment."""
    process = started(words, root, name)
    latest = time.monotonic() + LATEST
    time.sleep(0.5)
    while not reached(moment, root, name) and process.poll() is None and time.monotonic() < latest:
        time.sleep(0.02)
    if process.poll() is not None:
        return None
    began = time.monotonic()
    if how == "stop":
        os.killpg(process.pid, signal.SIGSTOP)
        time.sleep(3)
        os.killpg(process.pid, signal.SIGCONT)
        ended(process, lambda: True, LATEST)
    else:
        process.send_signal(getattr(signal, f"SIG{how}"))
        ended(process, lambda: not members(process.pid), LATEST)
    seconds = time.monotonic() - began
    ended(process, lambda: not members(process.pid), 10)
    left = members(process.pid)
    for each in left:
        os.kill(each, signal.SIGKILL)
    again = None if how == "stop" or "backend=openai" in str(words) else repeat(words, root, name)
    return Cell(
        code=process.returncode,
        seconds=seconds,
        left=len(left),
        again=again,
        same=alike(root, name),
    )


def ended(process: subprocess.Popen[bytes], gone: Callable[[], bool], seconds: float) -> None:
    """Wait for a process and those that it started, but not for longer."""
    latest = time.monotonic() + seconds
    while (process.poll() is None or not gone()) and time.monotonic() < latest:
        time.sleep(0.02)


def repeat(words: Sequence[str], root: Path, name: str) -> int:
    """Give the same command again; a run that had ended is left alone."""
    if (root / name / "finished").exists():
        return 0
    return started(words, root, name).wait(LATEST)


def alike(root: Path, name: str) -> bool | None:
    """Compare the metrics of a run with those of the undisturbed one of its stage."""
    ours = root / name / "metrics.jsonl"
    whole = root / name.split("-", maxsplit=1)[0] / "metrics.jsonl"
    if not (ours.exists() and whole.exists()):
        return None
    return ours.read_text() == whole.read_text()


def line(found: Cell | None) -> str:
    """Write what became of a run as columns."""
    if found is None:
        return "ended before"
    again, same = found.again, found.same
    return f"{found.code!s:>5} {found.seconds:6.1f} {found.left:4} {again!s:>5} {same}"


@contextmanager
def silent_server() -> Iterator[str]:
    """Listen at a port, take connections, and never answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"probe.server.url=http://127.0.0.1:{server.getsockname()[1]}/v1"


def main() -> None:
    """Print a line for every cell as soon as it is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=[*STAGES])
    parser.add_argument("--moments", nargs="+", choices=MOMENTS, default=MOMENTS)
    parser.add_argument("--signals", nargs="+", choices=SIGNALS, default=SIGNALS)
    asked = parser.parse_args()
    # Whoever starts this in the background has signals ignored, and runs would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    root = asked.root.resolve()
    root.mkdir(parents=True)
    ensure(root / "digits", sizes=SMALL)
    given = ("data=manifest", f"data.root={root / 'digits'}", "trainer.accelerator=cpu")
    print(
        f"{'stage':10} {'moment':7} {'signal':6} {'code':>5} {'s':>6} left again same", flush=True
    )
    with silent_server() as url:
        for stage in asked.stages:
            words = (*STAGES[stage], *given, *((url,) if stage == "served" else ()))
            if stage in ("audit", "clean"):
                undisturbed((*PROBED, *given), root, f"probed_for_{stage}")
            if stage != "served":
                undisturbed(words, root, stage)
            for moment in asked.moments:
                for how in asked.signals:
                    if stage == "served" and how == "stop":
                        continue  # it waits for an answer that never comes
                    found = cell(words, root, f"{stage}-{moment}-{how}", moment, how)
                    print(f"{stage:10} {moment:7} {how:6} {line(found)}", flush=True)


if __name__ == "__main__":
    main()
