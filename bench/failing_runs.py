"""Let a machine fail under whole trainings, mend it, and give the same command again.

    python -m bench.failing_runs             every case
    python -m bench.failing_runs no-proc     those that are named

Each row is a case: how the process ended, its last words, how the same command ended once the
machine was mended, and whether `metrics.jsonl` is then that of an undisturbed run, bit for bit.
Needs root on Linux, for mounts of its own and for another user.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from bench.failing import with_own_mounts
from datamodules.digits.build import ensure
from tests.small_digits import SMALL

ROOT = Path(__file__).parent.parent
SETTINGS = (
    *("stage=sft", "data=manifest", "data.train=annotated", "run.name=a", "trainer.max_steps=4"),
    *("trainer.batch_size=2", "trainer.log_every_n_steps=1", "trainer.checkpoint_every=2"),
)


@final
@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where a case takes place."""

    disk: Path
    data: Path


@final
@dataclass(frozen=True, kw_only=True)
class Case:
    """One way in which a machine fails."""

    name: str
    stops: bool
    """Whether the run cannot go on."""

    rounds: bool = False
    """Whether numbers are computed by other kernels: torch reads in /proc what a processor can."""

    megabytes: float = 0
    """Of the disk for runs; 0 is plenty."""

    shell: str = ""
    """What is done to the process before it starts."""

    words: tuple[str, ...] = ()
    meanwhile: Callable[[Machine], None] = field(default=lambda machine: None)
    """What happens while it runs."""


def command(machine: Machine, case: Case) -> list[str]:
    """Write out what is typed."""
    words = [*SETTINGS, f"data.root={machine.data}", f"run.root={machine.disk}/runs", *case.words]
    return [sys.executable, "train.py", *words]


def run(machine: Machine, case: Case, shell: str) -> tuple[int, str]:
    """Start the command in a shell of its own mounts; return how it ended and its last words."""
    script = f'{shell}\nexec "$@"' if "$@" not in shell else shell
    wrapped = ["unshare", "--mount", "bash", "-c", script, "bash", *command(machine, case)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(wrapped, cwd=ROOT, stderr=subprocess.PIPE, env=environment)
    if shell == case.shell:
        case.meanwhile(machine)
    _, said = process.communicate()
    lines = said.decode(errors="replace").replace("\r", "\n").strip().splitlines()
    raw = "Traceback" in said.decode(errors="replace")
    return process.returncode, f"{'TRACEBACK ' if raw else ''}{lines[-1] if lines else '-'}"


def metrics(machine: Machine) -> bytes:
    """Read what the run logged."""
    file = machine.disk / "runs" / "a" / "metrics.jsonl"
    return file.read_bytes() if file.exists() else b""


def directory_goes(machine: Machine) -> None:
    """Take the run directory away after its first rows."""
    while not metrics(machine):
        time.sleep(0.05)
    (machine.disk / "runs" / "a").rename(machine.disk / "elsewhere")


CASES = (
    Case(name="undisturbed", stops=False),
    Case(name="full-checkpoint", stops=True, megabytes=45),
    Case(name="full-export", stops=True, megabytes=40, words=("trainer.checkpoint_every=100",)),
    Case(name="full-start", stops=True, megabytes=0.004),
    Case(name="file-size", stops=True, shell="ulimit -f 4000"),
    Case(name="read-only", stops=True, shell="mount -o bind,ro $DISK $DISK"),
    Case(name="descriptors-8", stops=True, shell="ulimit -n 8"),
    Case(name="gone", stops=True, meanwhile=directory_goes),
    Case(name="no-proc", stops=False, shell="umount --lazy /proc", rounds=True),
    Case(name="no-home", stops=False, shell="unset HOME"),
    Case(name="home-closed", stops=False, shell="export HOME=/proc/nowhere"),
    Case(
        name="nobody",
        stops=False,
        shell="chmod 1777 $DISK; unset HOME; exec setpriv --reuid 4711 --regid 4711 "
        '--clear-groups "$@"',
    ),
    Case(name="no-tmpdir", stops=False, shell="export TMPDIR=/nowhere"),
    Case(name="tmp-full", stops=False, shell="mount -t tmpfs -o size=4k,nr_inodes=2 none $TMP"),
    Case(name="words-full", stops=False, shell='exec "$@" 2> /dev/full'),
    Case(name="umask-077", stops=False, shell="umask 077"),
    Case(
        name="wandb-full",
        stops=False,
        shell="export WANDB_MODE=offline WANDB=$DISK/runs/a/wandb; mkdir -p $WANDB; "
        "mount -t tmpfs -o size=8k none $WANDB",
        words=("logger=wandb",),
    ),
)


def row(case: Case, data: Path, expected: bytes | None) -> tuple[str, bytes]:
    """Fill in one row; return it with what the case logged in the end."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        machine = Machine(disk=Path(folder, "disk"), data=data)
        machine.disk.mkdir()
        size = f"size={int(case.megabytes * 1024) or 2**20}k"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", machine.disk], check=True)
        os.environ["DISK"] = str(machine.disk)
        began = time.monotonic()
        code, last = run(machine, case, case.shell)
        seconds = time.monotonic() - began
        left = sorted(path.name for path in machine.disk.rglob("*.tmp"))
        subprocess.run(["mount", "-o", "remount,size=1g", machine.disk], check=True)
        if (machine.disk / "elsewhere").exists():
            shutil.rmtree(machine.disk / "runs", ignore_errors=True)
            (machine.disk / "runs").mkdir()
            (machine.disk / "elsewhere").rename(machine.disk / "runs" / "a")
        again, words = run(machine, case, "true") if case.stops else (0, "")
        done = metrics(machine)
        export = machine.disk / "runs" / "a" / "export" / "model.safetensors"
        same = case.rounds or expected is None or done == expected
        good = (code == 1) == case.stops and not again and same and export.exists() and not left
        good &= "TRACEBACK" not in last
        subprocess.run(["umount", "--lazy", machine.disk], check=True)
    print(
        f"{case.name:<16} {'ok' if good else 'FAULT':<6} exit {code}, then {again}; "
        f"{'same' if same else 'OTHER'} metrics, left {left or 'nothing'}, {seconds:.0f} s\n"
        f"    {last[:400]}{f' | {words[:300]}' if again else ''}",
        flush=True,
    )
    return ("ok" if good else "FAULT"), done


def main() -> None:
    """Start over in a namespace of mounts of its own, then fill in the table."""
    with_own_mounts("bench.failing_runs")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o755)
        os.environ["TMP"] = tempfile.gettempdir()
        data = Path(folder, "digits")
        ensure(data, sizes=SMALL)
        expected, outcomes = None, []
        for case in CASES:
            if sys.argv[1:] and case.name not in ("undisturbed", *sys.argv[1:]):
                continue
            outcome, logged = row(case, data, expected)
            expected = expected or logged
            outcomes.append(outcome)
    print(f"{len(outcomes)} cases, {outcomes.count('FAULT')} faults")
    sys.exit(1 if "FAULT" in outcomes else 0)


if __name__ == "__main__":
    main()
