"""A cluster's warning: the step ends, a checkpoint is written, and the job is queued again."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from bench.signals import members
from configs.launching import slurm_job
from runtime import preemption
from tests.fork_server import children_of

RARE = "trainer.checkpoint_every=100000"
SHORT = ["stage=sft", "trainer.max_steps=10", "trainer.batch_size=3", RARE]
SHORT += ["trainer.log_every_n_steps=1", "trainer.val_check_interval=4", "trainer.val_limit=6"]
LONG = ["stage=sft", "trainer.max_steps=100000", "trainer.batch_size=2", RARE]
LONG += ["trainer.log_every_n_steps=1"]
JOB = {"SLURM_JOB_ID": "71", "SLURM_JOB_NAME": "earwitness"}
ASKED = "show job -o 71\nrequeue 71\n"
TASK = {**JOB, "SLURM_ARRAY_JOB_ID": "71", "SLURM_ARRAY_TASK_ID": "2"}


@pytest.fixture
def scontrol(tmp_path: Path) -> Path:
    """Stand in for SLURM's command, and note what it is asked."""
    tool, asked = tmp_path / "bin" / "scontrol", tmp_path / "asked"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    tool.chmod(0o755)
    return asked


def rows_of(run: Path) -> list[str]:
    file = run / "metrics.jsonl"
    return file.read_text().splitlines() if file.exists() else []


def warn(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)


def test_warned_runs_save_their_step_and_go_on_to_the_metrics_of_an_unbroken_one(
    start, run, scontrol
):
    """Every process of the job gets the signal, as from srun; once before a validation is due."""
    child = start("train.py", *SHORT, "data.workers=2")
    assert child.end() == 0, child.said.read_text()[-2000:]
    unbroken = rows_of(run)
    run.rename(run.with_name("unbroken"))
    for steps, code in ((2, 138), (5, 138), (99, 0)):
        child = start("train.py", *SHORT, "data.workers=2", **TASK)
        if code:
            child.await_(lambda least=steps: len(rows_of(run)) >= least)
            warn(members(child.pid))
        assert child.end() == code, child.said.read_text()[-2000:]
        if code:
            saved = [int(path.stem[5:]) for path in (run / "checkpoints").glob("*.ckpt")]
            assert max(saved) == json.loads(rows_of(run)[-1])["step"] >= steps - 1
    assert rows_of(run) == unbroken
    said = child.said.read_text()
    assert said.count("stopped by SIGUSR1: the same command goes on from here") == 2
    assert said.count("job 71_2 is queued again") == 2 and "Traceback" not in said
    assert scontrol.read_text() == "show job -o 71_2\nrequeue 71_2\n" * 2


def test_processes_that_train_together_end_at_the_same_step(start, run, scontrol):
    """Whichever is warned; and their leader alone asks for the job to be queued again."""
    child = start("train.py", *LONG, "trainer.devices=2", "trainer.strategy=ddp", **JOB)
    child.await_(lambda: rows_of(run))
    warn(children_of(child.pid))
    assert child.end() == 138, child.said.read_text()[-2000:]
    (saved,) = (run / "checkpoints").glob("*.ckpt")
    assert int(saved.stem[5:]) == json.loads(rows_of(run)[-1])["step"]
    assert scontrol.read_text() == ASKED


def test_an_evaluation_ends_at_once(start, run, scontrol):
    child = start("eval.py", "stage=probe", "probe.batch_size=1", "probe.samples=8", **JOB)
    child.await_(lambda: "question/s" in child.said.read_text())
    warn([child.pid])
    assert child.end() == 138
    assert scontrol.read_text() == ASKED and not (run / "finished").exists()


def test_outside_slurm_nothing_is_queued(start, run, scontrol):
    child = start("train.py", *LONG)
    child.await_(lambda: rows_of(run))
    warn([child.pid])
    assert child.end() == 138
    assert not scontrol.exists() and [*(run / "checkpoints").glob("*.ckpt")]


def test_a_signal_to_end_is_heard_after_a_warning(start, run, scontrol):
    """As when the step takes longer than the warning gave it: the job is queued again, too."""
    child = start("train.py", *LONG, "trainer.batch_size=512", **JOB)
    child.await_(lambda: "0/100000" in child.said.read_text())
    warn([child.pid])
    time.sleep(0.2)
    os.kill(child.pid, signal.SIGTERM)
    assert child.end() in (138, 143)


@pytest.mark.parametrize(
    ("environ", "job"),
    [
        ({}, None),
        (JOB, "71"),
        (TASK, "71_2"),
        ({**TASK, "SLURM_JOB_ID": "74"}, "71_2"),
        ({**TASK, "SLURM_ARRAY_TASK_ID": "0"}, "71_0"),
        ({**JOB, "SLURM_ARRAY_JOB_ID": "70"}, "71"),
        ({**JOB, "SLURM_ARRAY_TASK_ID": "2"}, "71"),
        ({"SLURM_ARRAY_JOB_ID": "70"}, None),
        ({"SLURM_JOB_ID": "../71"}, None),
    ],
)
def test_an_array_task_is_named_by_the_array_and_its_number(environ, job):
    assert slurm_job(environ) == job


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'Requested operation is presently disabled' >&2; exit 1", "presently disabled"),
        ("exit 3", "status 3"),
        (None, "No such file"),
    ],
)
def test_a_job_that_cannot_be_queued_is_told(tmp_path, monkeypatch, caplog, script, reason):
    if script is not None:
        (tmp_path / "scontrol").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if script else str(tmp_path))
    preemption.requeue(TASK)
    assert "job 71_2 could not be queued again (" in caplog.text and reason in caplog.text
    assert "submit the command again with run.name=" in caplog.text


@pytest.mark.parametrize(
    ("state", "queued"),
    [
        ("JobState=RUNNING Reason=None", True),
        ("JobState=COMPLETING Reason=TimeLimit", True),
        ("JobState=COMPLETING Reason=None", False),
        ("JobState=CANCELLED Reason=None", False),
        ("", True),
    ],
)
def test_a_job_that_somebody_cancels_stays_ended(tmp_path, monkeypatch, caplog, state, queued):
    """Although it was warned before; as SLURM 22.05 describes jobs."""
    (tmp_path / "scontrol").write_text(
        f'#!/bin/sh\n[ "$1" != show ] || echo "JobId=71 Priority=1 {state} Dependency=(null)"\n'
    )
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    preemption.requeue(JOB)
    assert ("job 71 is queued again" in caplog.text) == queued
    assert ("job 71 is cancelled or displaced: it is not queued again" in caplog.text) != queued


def test_processes_behind_a_leader_queue_nothing(monkeypatch, caplog):
    monkeypatch.setenv("SLURM_PROCID", "1")
    preemption.requeue(TASK)
    assert not caplog.records
