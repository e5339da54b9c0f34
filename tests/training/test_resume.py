"""A killed run continues as if it had never been killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datamodules.digits.build import ensure
from tests.mortal import mortal
from tests.small_digits import SMALL

ROOT = Path(__file__).parents[2]
STEPS = 10


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "digits"
    ensure(root, sizes=SMALL)
    return root


CASES = {
    "sft": [
        "stage=sft",
        "data.train=train+annotated",
        "data.mixture.by=modality",
        "data.mixture.unit=output_tokens",
        "sft.pack_tokens=400",
        "trainer.max_tokens=100000",
    ],
    "rlvr": [
        "stage=rlvr",
        "rlvr.num_iterations=2",
        "rlvr.dynamic_sampling.max_batches=2",
        "rlvr.kl.coef=0.01",
        "rlvr.log_rollouts_every=2",
        "model.lora.rank=4",
    ],
    "on policy": [
        "stage=distill",
        "distill.method=on_policy",
        "distill.on_policy_share=0.5",
        "distill.student_view.condition=no_audio",
        "distill.divergence=jsd",
        "trainer.max_tokens=100000",
    ],
    "traces": [
        "stage=distill",
        "distill.rejection_sampling.samples=4",
        "distill.rejection_sampling.max_correct=3",
        "distill.rejection_sampling.only_correct=false",
        "distill.rejection_sampling.limit=24",
    ],
    "prealign": ["stage=prealign", "prealign.subtract_prior=true", "rlvr.max_completion_tokens=12"],
}
"""Of each stage, what a resumed run might forget: where in the data a round of two updates is, what
it was refilled with, the reference, and weights that checkpoints leave out; how many tokens it has
learned from, by which its learning rate falls; whose turn it was; what was sampled before it began;
what a reader knew."""


def start(case: str, digits: Path, runs: Path, name: str) -> subprocess.Popen[bytes]:
    words = [
        f"run.root={runs}",
        f"run.name={name}",
        "data=manifest",
        f"data.root={digits}",
        "trainer.batch_size=3",
        f"trainer.max_steps={STEPS}",
        "trainer.checkpoint_every=2",
        "trainer.val_check_interval=4",
        "trainer.val_limit=6",
        "trainer.accumulate_grad_batches=2",
        "rlvr.group_size=4",
        "optim.lr=1e-3",
        "optim.schedule=cosine",
        "trainer.log_every_n_steps=2",
        *CASES[case],
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return subprocess.Popen(
        [sys.executable, "train.py", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=(runs / f"{name}.err").open("ab"),
        preexec_fn=mortal,
    )


def steps_of(run: Path) -> list[int]:
    file = run / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("}")]


def finish(process: subprocess.Popen[bytes], runs: Path, name: str) -> None:
    assert process.wait(timeout=300) == 0, (runs / f"{name}.err").read_text()[-2000:]


@pytest.mark.parametrize("case", CASES)
def test_metrics_after_sigkill_are_those_of_an_unbroken_run(case, digits, tmp_path):
    """Killed twice, somewhere after steps 3 and 6, and started again with the same command.

    Every row of metrics, losses and rewards as exact floats, is compared; with accumulation,
    validation and a reference policy, and checkpoints that do not fall on the kills.
    """
    finish(start(case, digits, tmp_path, "unbroken"), tmp_path, "unbroken")
    for killed_after in (3, 6):
        process = start(case, digits, tmp_path, "killed")
        deadline = time.monotonic() + 300
        while max(steps_of(tmp_path / "killed"), default=0) < killed_after:
            assert process.poll() is None, (tmp_path / "killed.err").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finish(start(case, digits, tmp_path, "killed"), tmp_path, "killed")
    unbroken, killed = (
        (tmp_path / name / "metrics.jsonl").read_text() for name in ("unbroken", "killed")
    )
    assert killed == unbroken
    assert sorted(set(steps_of(tmp_path / "killed"))) == list(range(2, STEPS + 1, 2))
    weights = [
        (tmp_path / name / "export" / "model.safetensors").read_bytes()
        for name in ("unbroken", "killed")
    ]
    assert weights[0] == weights[1]
