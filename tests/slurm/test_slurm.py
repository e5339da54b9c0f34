"""Real jobs: arrays, warnings, pre-emption, time limits, several processes and whole recipes."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from datamodules.digits.build import ensure
from tests.small_digits import SMALL

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(
        "SLURM_CONF" not in os.environ, reason="there is no SLURM cluster: run make test-slurm"
    ),
]

ROOT = Path(__file__).parents[2]
SIZE = ("--cpus-per-task=1", "--mem=1G")
STEPS = 150
FAILED = ("FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY")
TRAIN = [
    *("train.py", "stage=sft", f"trainer.max_steps={STEPS}", "trainer.batch_size=3"),
    *("trainer.log_every_n_steps=1", "trainer.checkpoint_every=20"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("data") / "digits"
    ensure(root, sizes=SMALL)
    return ["data=manifest", f"data.root={root}"]


@pytest.fixture(scope="module")
def unbroken(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Give the metrics of a run outside SLURM that nothing disturbs."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    found: dict[tuple[str, ...], str] = {}

    def metrics(*words: str) -> str:
        if words not in found:
            root = tmp_path_factory.mktemp("unbroken")
            command = [*TRAIN, *data, *words, f"run.root={root}", "run.name=run"]
            subprocess.run(
                [sys.executable, *command], cwd=ROOT, env=kept, check=True, capture_output=True
            )
            found[words] = (root / "run/metrics.jsonl").read_text()
        return found[words]

    return metrics


class Cluster:
    """SLURM's commands, with the logs of all jobs in one directory."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout.strip()

    def submit(self, file: str, options: Sequence[str], words: Sequence[str]) -> str:
        """Hand in a batch script with its words; return the number of the job."""
        output = f"--output={self.logs}/%A_%a.log"
        return self.run(
            *("sbatch", "--parsable", *SIZE, output, *options, f"configs/slurm/{file}.sbatch"),
            *words,
        )

    def jobs(self, job: str) -> list[dict[str, str]]:
        """Read the fields of a job, or of each task of an array."""
        lines = self.run("scontrol", "show", "job", "-o", job).splitlines()
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]

    def said(self) -> str:
        return "".join(file.read_text() for file in sorted(self.logs.glob("*.log")))

    def await_(self, ready: Callable[[], object], seconds: float = 600) -> None:
        latest = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < latest, self.said()[-3000:]
            time.sleep(0.1)

    def finish(self, job: str) -> list[dict[str, str]]:
        """Wait until all tasks of a job are completed; do not wait for SLURM's two minutes.

        Nor hurry more: slurmd refuses a job that starts again in the second in which it was ended
        ("already killed, do not launch batch job"), and SLURM then calls it failed.
        """
        hurried: set[tuple[str, str]] = set()

        def completed() -> bool:
            found = self.jobs(job)
            for one in found:
                ended = one["JobState"] in FAILED or "Never" in one["Reason"]
                assert not ended, (one, self.said()[-3000:])
                task = one.get("ArrayTaskId")
                name = f"{one['ArrayJobId']}_{task}" if task else job
                again = (name, one["Restarts"])
                if one["JobState"] == "PENDING" and one["Restarts"] != "0" and again not in hurried:
                    hurried.add(again)
                    self.run("scontrol", "update", f"jobid={name}", "StartTime=now+2")
            return all(one["JobState"] == "COMPLETED" for one in found)

        self.await_(completed)
        return self.jobs(job)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    logs = tmp_path / "logs"
    logs.mkdir()
    return Cluster(logs)


def rows(root: Path, pattern: str) -> int:
    return sum(file.read_text().count("\n") for file in root.glob(f"{pattern}/metrics.jsonl"))


def metrics_of(root: Path, pattern: str) -> str:
    (file,) = root.glob(f"{pattern}/metrics.jsonl")
    return file.read_text()


def test_one_task_of_an_array_is_warned_and_queued_again_alone(cluster, data, unbroken, tmp_path):
    """The last, whose SLURM_JOB_ID is the number of the whole array."""
    root = tmp_path / "runs"
    job = cluster.submit("seeds", ["--array=0-2"], [*TRAIN, *data, f"run.root={root}"])
    cluster.await_(lambda: rows(root, f"*-job{job}_2") >= 30)
    cluster.run("scancel", "--signal=USR1", "--batch", f"{job}_2")
    cluster.await_(lambda: f"job {job}_2 is queued again" in cluster.said())
    found = {one["ArrayTaskId"]: one["Restarts"] for one in cluster.finish(job)}
    assert found == {"0": "0", "1": "0", "2": "1"}
    assert "(resumed)" in (cluster.logs / f"{job}_2.log").read_text()
    for seed in (0, 2):
        assert metrics_of(root, f"*-job{job}_{seed}") == unbroken(f"seed={seed}")


AGENT = f"""#!{sys.executable}
import os, sys
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args
from wandb.wandb_agent import AgentProcess
assert sys.argv[1:] == ["agent", "--forward-signals", "--count", "1", "me/earwitness/s1"]
number = os.environ["SLURM_ARRAY_TASK_ID"]
args = create_sweep_command_args({{"args": {{"seed": {{"value": int(number)}}}}}})
words = {{"${{env}}": ["/usr/bin/env"], "${{interpreter}}": ["python"]}}
words["${{args_no_hyphens}}"] = args["args_no_hyphens"]
command = [word for part in os.environ["COMMAND"].split() for word in words.get(part, [part])]
environ = {{**os.environ, "WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "draw" + number}}
print("ended with", AgentProcess(env=environ, command=command, forward_signals=True).wait())
"""
"""In place of `wandb agent`, which asks a server what to run: the same process of the same package,
whose draw is the number of the task."""


def test_the_draw_of_an_agent_is_warned_and_goes_on_in_its_task(
    cluster, data, unbroken, tmp_path, monkeypatch
):
    """In a checkout of its own, where `sbatch` is called."""
    for name, text in (("python", f'#!/bin/sh\nexec {sys.executable} "$@"\n'), ("wandb", AGENT)):
        file = tmp_path / "checkout/.venv/bin" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
    program = ["${env}", "${interpreter}", str(ROOT / TRAIN[0]), *TRAIN[1:], *data]
    program += [f"run.root={tmp_path}/runs", "run.name=${oc.env:WANDB_RUN_ID}"]
    monkeypatch.setenv("COMMAND", " ".join([*program, "${args_no_hyphens}"]))
    options = ["--array=2", f"--chdir={tmp_path}/checkout"]
    job = cluster.submit("agent", options, ["me/earwitness/s1"])
    cluster.await_(lambda: rows(tmp_path / "runs", "draw2") >= 30)
    cluster.run("scancel", "--signal=USR1", "--batch", f"{job}_2")
    cluster.await_(lambda: f"job {job}_2 is queued again" in cluster.said())
    (found,) = cluster.finish(job)
    assert found["Restarts"] == "1"
    assert "(resumed)" in cluster.said() and "ended with 0" in cluster.said()
    assert metrics_of(tmp_path / "runs", "draw2") == unbroken("seed=2")


def test_a_job_that_is_cancelled_after_a_warning_stays_ended(cluster, data, tmp_path):
    """While it is in the step after which it would be queued again, which takes seconds."""
    slow = ["trainer.batch_size=200"]
    job = cluster.submit("gpu", [], [*TRAIN, *data, *slow, f"run.root={tmp_path}/runs"])
    cluster.await_(lambda: rows(tmp_path / "runs", "*") >= 1)
    cluster.run("scancel", "--signal=USR1", "--batch", job)
    time.sleep(0.3)  # until it is delivered
    cluster.run("scancel", job)
    cluster.await_(lambda: f"job {job} is cancelled or displaced" in cluster.said())
    cluster.await_(lambda: cluster.jobs(job)[0]["JobState"] == "CANCELLED")
    assert cluster.jobs(job)[0]["Restarts"] == "0" and "is queued again" not in cluster.said()


def test_a_job_that_is_displaced_without_warning_loses_what_followed_its_checkpoint(
    cluster, data, unbroken, tmp_path
):
    root = tmp_path / "runs"
    job = cluster.submit("gpu", ["--exclusive"], [*TRAIN, *data, "seed=2", f"run.root={root}"])
    cluster.await_(lambda: rows(root, "*") >= 50)
    urgent = cluster.run(
        *("sbatch", "--parsable", "--partition=urgent", "--exclusive", "--output=/dev/null"),
        *("--wrap", "true"),
    )
    cluster.await_(lambda: cluster.jobs(urgent)[0]["JobState"] == "COMPLETED")
    (found,) = cluster.finish(job)
    assert found["Restarts"] == "1"
    said = cluster.said()
    assert "(resumed)" in said and "queued again" not in said
    assert metrics_of(root, "*") == unbroken("seed=2")
    before, after = (re.findall(r"(\d+)/150 ", part) for part in said.split("(resumed)"))
    last, first = int(before[-1]), int(after[0])
    assert 0 <= last - first <= 21  # a checkpoint every 20 steps; the bar may be a step behind


def test_a_time_limit_cuts_a_run_into_jobs(cluster, data, unbroken, tmp_path):
    """The warning comes within a minute of its time, as SLURM looks now and then."""
    root = tmp_path / "runs"
    words = [*TRAIN, *data, "seed=2", f"run.root={root}", "trainer.max_steps=500"]
    job = cluster.submit("gpu", ["--time=1", "--signal=B:USR1@25"], words)
    (found,) = cluster.finish(job)
    assert int(found["Restarts"]) >= 1
    assert cluster.said().count("is queued again") == int(found["Restarts"])
    steps = [json.loads(line)["step"] for line in metrics_of(root, "*").splitlines()]
    assert steps == list(range(1, 501))


def test_processes_that_srun_starts_end_and_go_on_together(cluster, data, unbroken, tmp_path):
    root = tmp_path / "runs"
    together = ("seed=2", "trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")
    options = ["--nodes=1", "--ntasks-per-node=2", "--gpus-per-node=2"]
    job = cluster.submit("nodes", options, [*TRAIN, *data, *together, f"run.root={root}"])
    cluster.await_(lambda: rows(root, "*") >= 30)
    cluster.run("scancel", "--signal=USR1", job)
    cluster.await_(lambda: f"job {job} is queued again" in cluster.said())
    (found,) = cluster.finish(job)
    assert found["Restarts"] == "1"
    assert metrics_of(root, "*") == unbroken(*together)


def test_a_recipe_is_a_chain_of_jobs(cluster, data, tmp_path):
    words = ["recipe=vidground", *data, "trainer.accelerator=cpu", "seeds=[0,1]"]
    words += ["trainer.max_steps=3", "benchmark.limit=20", f"run.root={tmp_path}"]
    command = [sys.executable, "train.py", *words, "run.name=chain", "--sbatch"]
    script = cluster.run(*command)
    jobs = [re.search(r"--job-name=(\S+)", line)[1] for line in script.splitlines()[3:]]
    arms = ("base-0.rlvr", "base-0.benchmark", "base-1.rlvr", "base-1.benchmark")
    assert jobs == ["probe", *arms, "recipe"]
    options = " ".join(["sbatch", *SIZE, f"--output={cluster.logs}/%x-%j.log", ""])
    last = cluster.run("bash", "-c", re.sub(r"(?<!\.)sbatch ", options, script))
    (found,) = cluster.finish(last.removeprefix("Submitted batch job "))
    assert (tmp_path / "chain/finished").exists(), found
    assert (tmp_path / "chain/compare/results.json").exists()
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "is finished, and no job is left to submit" in again.stderr and not again.stdout


def test_tasks_share_the_questions_of_a_probe(cluster, data, tmp_path):
    words = ["eval.py", "stage=probe", *data, "probe.limit=20", "probe.samples=1"]
    words += ["probe.conditions=[full]", f"run.root={tmp_path}"]
    job = cluster.submit("shards", ["--array=0-1"], words)
    cluster.finish(job)
    asked = re.findall(r"^full +\S+ +(\d+) ", cluster.said(), re.MULTILINE)
    assert len(asked) == 2 and max(map(int, asked)) == 20  # the later one sees all answers


def test_tasks_take_lines_of_a_file(cluster, data, tmp_path):
    lines = tmp_path / "settings.txt"
    lines.write_text("seed=4 'probe.conditions=[full, no_audio]'\noptim.lr=1e-07 run.name=b\n")
    words = [str(lines), "train.py", "stage=sft", *data, "--print-config"]
    job = cluster.submit("lines", ["--array=1-2"], words)
    cluster.finish(job)
    first, second = ((cluster.logs / f"{job}_{task}.log").read_text() for task in (1, 2))
    assert "seed: 4\n" in first and "  - full\n  - no_audio\n" in first
    assert "name: b\n" in second and "lr: 1.0e-07\n" in second
    job = cluster.submit("lines", ["--array=3"], words)
    cluster.await_(lambda: cluster.jobs(job)[0]["JobState"] == "FAILED")
    assert "has no line 3, but each task of the array takes its own" in cluster.said()
