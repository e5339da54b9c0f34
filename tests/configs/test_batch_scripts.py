"""Batch scripts of SLURM, run by bash as SLURM would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "configs/slurm"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory in which .venv/bin/python is the one of these tests, and show.py says how it was
    started."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tmp_path / ".venv/bin/python").chmod(0o755)
    (tmp_path / "show.py").write_text("import sys\nprint(sys.argv[1:])\n")
    return tmp_path


def submitted(
    checkout: Path, *words: str, task: str | None = "1", script: str = "lines"
) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    return subprocess.run(
        ["bash", str(SCRIPTS / f"{script}.sbatch"), *words],
        cwd=checkout,
        env=environ | ({} if task is None else {"SLURM_ARRAY_TASK_ID": task}),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "seed=4 'probe.conditions=[full, text_only]'",
            ["seed=4", "probe.conditions=[full, text_only]"],
        ),
        (r'"run.name=it\'s \"b\"" seed=3', ['run.name=it\\\'s "b"', "seed=3"]),
        ("run.name='läufe 50%d'\r", ["run.name=läufe 50%d"]),
        ("data.root=~/x init_from=$HOME/y", ["data.root=~/x", "init_from=$HOME/y"]),
        ("--optim.lr=1e-07 -- -n", ["--optim.lr=1e-07", "--", "-n"]),
    ],
)
def test_a_task_adds_the_words_of_its_line(checkout, line, words):
    (checkout / "my settings.txt").write_text(f"seed=1\n{line}\nseed=3", newline="")
    done = submitted(checkout, "my settings.txt", "show.py", "stage=sft", task="2")
    assert done.stdout == f"{['stage=sft', *words]}\n", done.stderr


@pytest.mark.parametrize("line", ["seed=4 run.name='a b", 'run.name="a', "run.name=a\\"])
def test_a_line_that_cannot_be_split_starts_nothing(checkout, line):
    """Or the run would go without the settings behind the quote."""
    (checkout / "settings.txt").write_text(f"{line}\n")
    done = submitted(checkout, "settings.txt", "show.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: line 1 of settings.txt is {line}, but its words are quoted as for a shell: close "
        "each quote\n"
    )


@pytest.mark.parametrize("task", ["0", "2", "3", "none", None])
def test_a_task_without_a_line_starts_nothing(checkout, task):
    (checkout / "settings.txt").write_text("seed=1\n  \n")
    done = submitted(checkout, "settings.txt", "show.py", task=task)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: settings.txt has no line {task or 'none'}, but each task of the array takes its "
        "own: submit with --array=1-2\n"
    )


def test_a_task_has_its_number_as_seed(checkout):
    done = submitted(checkout, "show.py", "stage=sft", task="0", script="seeds")
    assert done.stdout == "['stage=sft', 'seed=0']\n"


def test_a_warning_before_an_agent_has_begun_its_draw_does_not_end_it(checkout):
    """SLURM queues again by itself what it displaces, unless it has failed by then."""
    agent = checkout / ".venv/bin/wandb"
    agent.write_text('#!/bin/sh\nkill -USR1 $$\necho "$@"\n')
    agent.chmod(0o755)
    done = submitted(checkout, "me/earwitness/s1", script="agent")
    assert done.stdout == "agent --forward-signals --count 1 me/earwitness/s1\n"


def test_seeds_without_an_array_are_no_seed(checkout):
    done = submitted(checkout, "show.py", task=None, script="seeds")
    assert done.returncode and not done.stdout
    assert done.stderr.rstrip().endswith(
        "SLURM_ARRAY_TASK_ID: is not set, but each task has its number as seed: submit with "
        "--array=0-4"
    )
