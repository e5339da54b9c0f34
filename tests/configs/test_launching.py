"""Launches as SLURM, torchrun and mpirun describe them, held against the settings."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from configs.launching import alone_in_job, check_launch, check_recipe_launch
from configs.load import SCRIPTS, load_config

ROOT = Path(__file__).parents[2]
DDP = "trainer.strategy=ddp"
TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "LOCAL_RANK": "1"}
BATCH = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_TASK_PID": "99"}
STEP = {**BATCH, "SLURM_STEP_ID": "0"}
ELASTIC = {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "2", "GROUP_WORLD_SIZE": "1"}


def check(words: list[str], environ: dict[str, str], stage: str = "sft") -> None:
    check_launch(load_config([f"stage={stage}", *words], tuple(SCRIPTS)), environ)


TWO = ["trainer.devices=2", DDP]
EIGHT = ["trainer.devices=4", "trainer.num_nodes=2", DDP]

REFUSED = {
    "one task for two devices": (TWO, {"SLURM_NTASKS": "1"}, "=2 times .* makes 2 .* has 1 "),
    "one task of a step": (TWO, {**STEP, "SLURM_NTASKS": "1"}, "makes 2 .* srun has 1"),
    "four tasks for two devices": (TWO, {**STEP, "SLURM_NTASKS": "4"}, "makes 2 .* has 4"),
    "a step smaller than its job": (
        EIGHT,
        {**STEP, "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "4"},
        "makes 8 .* has 4 .SLURM_STEP_NUM_TASKS=4",
    ),
    "copies": ([], {**STEP, "SLURM_NTASKS": "3"}, "srun started 3 .* one process"),
    "copies, seen by the second": ([], {"SLURM_NTASKS": "3", "SLURM_PROCID": "2"}, "started 3"),
    "nodes the other way round": (
        EIGHT,
        {**STEP, "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "4"},
        "trainer.devices is 4, but srun has 2",
    ),
    "nodes alone": (
        EIGHT,
        {**STEP, "SLURM_NTASKS": "8", "SLURM_NNODES": "1"},
        "trainer.num_nodes is 2, but srun has 1",
    ),
    "two nodes without srun": (EIGHT, {**BATCH, "SLURM_NTASKS": "8"}, "without srun"),
    "torchrun with more": (TWO, {**TORCHRUN, "WORLD_SIZE": "4"}, "torchrun has 4 .WORLD_SIZE=4"),
    "torchrun of one": ([], {**TORCHRUN, "WORLD_SIZE": "2"}, "torchrun started 2"),
    "torchrun per node": (
        ["trainer.devices=2", "trainer.num_nodes=2", DDP],
        {**TORCHRUN, "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "1"},
        "trainer.devices is 2, but torchrun has 4",
    ),
    "mpirun": ([], {"OMPI_COMM_WORLD_SIZE": "2"}, "mpirun started 2"),
    "jsrun": (TWO, {"JSM_NAMESPACE_SIZE": "6"}, "jsrun has 6"),
    "by hand": ([], {"RANK": "0", "WORLD_SIZE": "2"}, "launcher started 2"),
    # numbers of one process that cannot be
    "a rank beyond": (TWO, {**ELASTIC, "RANK": "2"}, "RANK=2 with WORLD_SIZE=2"),
    "a local rank beyond": (
        TWO,
        {**ELASTIC, "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "2"},
        "LOCAL_RANK=2 with LOCAL_WORLD_SIZE=2",
    ),
    "a node beyond": (TWO, {**ELASTIC, "GROUP_RANK": "1"}, "GROUP_RANK=1 with GROUP_WORLD"),
    "a task beyond": (TWO, {**STEP, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "2"}, "PROCID=2"),
    "a word": (TWO, {**ELASTIC, "WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
    "none": (TWO, {**ELASTIC, "WORLD_SIZE": "0"}, "WORLD_SIZE is '0'"),
    "a rank that is a word": ([], {"RANK": "abc"}, "RANK is 'abc', but it numbers processes"),
    "a rank of blanks": ([], {"NODE_RANK": " "}, "NODE_RANK is ' ', but it numbers"),
    "a task below": ([], {**BATCH, "SLURM_PROCID": "-1"}, "SLURM_PROCID is '-1', but it numbers"),
    "a rank of one": ([], {"RANK": "1"}, "RANK=1 with 1 in all"),
    "a local rank of one": ([], {"LOCAL_RANK": "1"}, "LOCAL_RANK=1 with 1 in all"),
    "a local rank of two": ([], {"LOCAL_RANK": "1", "WORLD_SIZE": "2"}, "started 2 processes"),
    "a node of one": ([], {"NODE_RANK": "1"}, "NODE_RANK=1, but trainer.num_nodes is 1"),
    "MPICH": ([], {"PMI_SIZE": "2", "PMI_RANK": "0"}, "mpiexec started 2"),
    "MVAPICH": ([], {"MV2_COMM_WORLD_SIZE": "3"}, "mpiexec started 3"),
    "Flux": ([], {"FLUX_JOB_SIZE": "2"}, "flux started 2"),
    "PMIx": ([], {"PMIX_RANK": "1"}, "PMIX_RANK=1 with 1 in all"),
    "torchrun twice": (
        TWO,
        {**STEP, **ELASTIC, "SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2"},
        "srun starts torchrun 2 times .* told of 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_numbers_that_contradict_each_other_are_refused(case):
    words, environ, told = REFUSED[case]
    with pytest.raises(ValueError, match=told):
        check(words, environ)


ADMITTED = {
    "nobody counts": (TWO, {}),
    "a batch script without srun": ([], {**BATCH, "SLURM_NTASKS": "4"}),
    "a batch script of one task": ([], {**BATCH, "SLURM_NTASKS": "1"}),
    "a batch script that does not count tasks": (TWO, BATCH),
    "a batch script, which starts the others by itself": (TWO, {**BATCH, "SLURM_NTASKS": "2"}),
    "one task of srun": ([], {**STEP, "SLURM_NTASKS": "1"}),
    "tasks in all": (EIGHT, {**STEP, "SLURM_NTASKS": "8"}),
    "tasks per node": (
        EIGHT,
        {**STEP, "SLURM_NTASKS": "8", "SLURM_NTASKS_PER_NODE": "4", "SLURM_NNODES": "2"},
    ),
    "a step that overrides its job": (
        TWO,
        {
            **STEP,
            "SLURM_NTASKS": "2",
            "SLURM_NTASKS_PER_NODE": "4",
            "SLURM_NNODES": "4",
            "SLURM_STEP_NUM_TASKS": "2",
            "SLURM_STEP_NUM_NODES": "1",
        },
    ),
    "a shell for interactive work": (TWO, {**STEP, "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "bash"}),
    "salloc": (TWO, {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "interactive"}),
    "torchrun": (TWO, {**TORCHRUN, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}),
    "torchrun within a task": (TWO, {**STEP, "SLURM_NTASKS": "1", **TORCHRUN, "WORLD_SIZE": "2"}),
    "started by a leader": (
        TWO,
        {"EARWITNESS_RUN_DIR": "runs/a", "LOCAL_RANK": "1", "SLURM_NTASKS": "1"},
    ),
    "mpirun of one": ([], {"OMPI_COMM_WORLD_SIZE": "1"}),
}


@pytest.mark.parametrize("case", ADMITTED)
def test_no_good_launch_is_refused(case):
    check(*ADMITTED[case])


@pytest.mark.parametrize("stage", ["preview", "probe", "benchmark", "audit", "clean"])
def test_what_asks_in_one_process_is_not_started_several_times(stage):
    with pytest.raises(ValueError, match=r"srun started 3 processes.*array of jobs"):
        check([], {**STEP, "SLURM_NTASKS": "3"}, stage)
    check(["trainer.devices=2"], {**BATCH, "SLURM_NTASKS": "3"}, stage)


def test_a_recipe_is_started_once():
    with pytest.raises(ValueError, match=r"srun started 2 .*start it once"):
        check_recipe_launch({**STEP, "SLURM_NTASKS": "2"})
    check_recipe_launch({**BATCH, "SLURM_NTASKS": "2"})
    with pytest.raises(ValueError, match=r"RANK is 'x', but it numbers processes from 0: unset it"):
        check_recipe_launch({"RANK": "x"})


@pytest.mark.parametrize(
    ("environ", "alone"),
    [
        (BATCH, True),
        ({"SLURM_JOB_ID": "7"}, True),
        ({**STEP, "SLURM_JOB_NAME": "bash"}, True),
        (STEP, False),
        ({"SLURM_NTASKS": "2", "SLURM_PROCID": "1"}, False),
        ({}, False),
    ],
)
def test_a_process_of_a_batch_script_is_told_from_those_of_srun(environ, alone):
    assert alone_in_job(environ) == alone


@pytest.mark.parametrize("word", ["trainer.devices=-1", "trainer.devices=auto"])
def test_devices_are_a_number(word):
    with pytest.raises(ValueError, match=r"trainer\.devices is .* must be"):
        load_config(["stage=sft", word], tuple(SCRIPTS))


def test_a_refusal_comes_before_torch_and_names_both_numbers(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "EARWITNESS_"))}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "train.py", "stage=sft", *TWO, f"run.root={tmp_path}"],
        cwd=ROOT,
        env={**kept, "SLURM_NTASKS": "1", "SLURM_JOB_ID": "7"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and not [*tmp_path.iterdir()]
    assert "import time" in done.stderr and " torch" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: trainer.devices=2 ") and "SLURM_NTASKS=1" in last
