"""A killed run continues as if it had never been killed."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.fork_server import ForkServer, fork_server

STEPS = 10


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


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[ForkServer, ForkServer]]:
    """Two, which order sets differently, so that a run that depends on it is not resumed alike."""
    with fork_server() as one, fork_server() as other:
        yield one, other


def words_of(case: str, root: Path, run: Path) -> list[str]:
    return [
        f"run.root={run.parent}",
        f"run.name={run.name}",
        "data=manifest",
        f"data.root={root}",
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


def steps_of(run: Path) -> list[int]:
    file = run / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("}")]


@pytest.mark.parametrize("case", CASES)
def test_metrics_after_sigkill_are_those_of_an_unbroken_run(case, servers, root, tmp_path):
    """Killed twice, somewhere after steps 3 and 6, and started again with the same command.

    Every row of metrics, losses and rewards as exact floats, is compared; with accumulation,
    validation and a reference policy, and checkpoints that do not fall on the kills.
    """
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    child = servers[0].start("train.py", words_of(case, root, unbroken), tmp_path / "said")
    assert child.end() == 0, child.said.read_text()[-2000:]
    for killed_after in (3, 6, STEPS):
        words = words_of(case, root, killed)
        child = servers[1].start("train.py", words, tmp_path / "killed.said")
        if killed_after < STEPS:
            child.await_(lambda least=killed_after: max(steps_of(killed), default=0) >= least)
            with suppress(ProcessLookupError):  # on a busy machine it may have ended by then
                os.kill(child.pid, signal.SIGKILL)
        code = child.end()
    assert code == 0, child.said.read_text()[-2000:]
    rows, again = ((run / "metrics.jsonl").read_text() for run in (unbroken, killed))
    assert again == rows
    assert sorted(set(steps_of(killed))) == list(range(2, STEPS + 1, 2))
    weights = [(run / "export" / "model.safetensors").read_bytes() for run in (unbroken, killed)]
    assert weights[0] == weights[1]
