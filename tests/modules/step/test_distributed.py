"""Processes that train together: what they sum is what one process would compute."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from configs.schema import DataConfig
from datamodules.batch import Batch
from datamodules.loading.question_set import SequentialBatches, load_questions
from datamodules.prompts.encoder import PromptEncoder
from modules.policy.omni import OmniModel
from modules.step.distributed import (
    all_gather_metrics,
    all_reduce_gradients,
    all_reduce_sum,
    global_mean_std,
    raise_on_all_ranks,
)
from modules.step.nonfinite import NonFiniteError
from tests.datamodules.loading.conftest import BUDGET, six_questions
from tests.fitting import require_same
from tests.modules.test_rlvr import ObjectiveConfig, gradients, rlvr_module

SETTINGS = [
    {
        "objective": ObjectiveConfig(
            loss_aggregation="token", baseline="batch", scale_rewards="batch"
        )
    },
    {"objective": ObjectiveConfig(loss_aggregation="sequence")},
]


def test_one_process_talks_to_itself():
    values = torch.tensor([1.0, 2.5])
    assert all_reduce_sum(values) is values
    assert all_gather_metrics({"a": [(2.0, 1.0)]}) == {"a": [(2.0, 1.0)]}
    with pytest.raises(NonFiniteError, match="the loss") as caught, raise_on_all_ranks():
        raise NonFiniteError("the loss", weights_good=False)
    assert not caught.value.weights_good


def test_global_mean_and_std_by_hand():
    """Of 1, 2 and 6: mean 3, variance (4 + 1 + 9) / 2 = 7."""
    mean, std = global_mean_std([torch.tensor([[1.0, 2.0]]), torch.tensor([[6.0]])])
    assert (mean, std**2) == (pytest.approx(3), pytest.approx(7))


def _one_of_two(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    try:
        sums = all_reduce_sum(torch.tensor([1.0 + rank, 10.0]))
        means = all_gather_metrics({"both": [(float(rank), 1.0)], f"only{rank}": [(5.0, 2.0)]})
        told = _refused(rank)
        used, unused = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
        used.grad = torch.tensor([1.0, 2.0]) * (rank + 1)
        if rank:
            unused.grad = torch.ones(1)
        all_reduce_gradients([used, unused])
        found = {
            "sums": sums,
            "means": means,
            "told": told,
            "used": used.grad,
            "unused": unused.grad,
        }
        quiz = torch.load(f"{folder}/quiz.pt", weights_only=False)
        policy = OmniModel.load("assets/tiny", PromptEncoder("assets/tiny").tokenizer)
        found["gradients"] = [
            _summed_gradients(policy, [quiz.select([0, 3] if rank else [1, 2])], settings)
            for settings in SETTINGS
        ]
        found["validated"] = _validated(policy, [quiz.select([0] if rank else [1, 2, 3])])
        found["shared"] = _validated(policy, _batches(Path(folder), rank=rank, world=2))
        torch.save(found, f"{folder}/{rank}.pt")
    finally:
        dist.destroy_process_group()


def _refused(rank: int) -> str:
    """Meet a number that went wrong in one process; both are told."""
    try:
        with raise_on_all_ranks():
            if rank:
                raise NonFiniteError("the loss of q3")
    except NonFiniteError as error:
        return str(error)
    return "nothing"


def _summed_gradients(policy, batches, settings):
    module = rlvr_module(policy, **settings)
    gradients(module, batches)  # leaves the step out
    module.apply_gradients = lambda *_: all_reduce_gradients(policy.parameters())
    module.training_step(batches, 0)
    found = {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}
    policy.zero_grad()
    return found


def _validated(policy, batches):
    """Answer questions as a validation does, of sources of which a rank has some only."""
    module = rlvr_module(policy)
    for batch in batches:
        samples = [replace(sample, source=f"source-{sample.id}") for sample in batch.samples]
        module.validation_step(replace(batch, samples=samples), 0)
    return module.validated.reduce()


def _batches(folder: Path, **share: int) -> Iterator[Batch]:
    """Read what a process validates on, of six questions in three batches."""
    data = DataConfig(name="noise", root=str(folder), media=BUDGET)
    questions = load_questions(data, "train", PromptEncoder("assets/tiny"), run_dir=folder)
    return SequentialBatches(questions, batch_size=2, **share).iter_shard(0, 1)


@pytest.fixture(scope="module")
def two(tmp_path_factory, quiz) -> tuple[Path, list[dict]]:
    folder = tmp_path_factory.mktemp("two")
    torch.save(quiz, folder / "quiz.pt")
    six_questions(folder)
    mp.spawn(_one_of_two, args=(str(folder),), nprocs=2)
    return folder, [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(2)]


def test_two_processes_agree_on_their_sums(two):
    for found in two[1]:
        assert found["sums"].tolist() == [3, 20]
        assert found["means"]["both"] == [(0.0, 1.0), (1.0, 1.0)]
        assert found["means"]["only0"] == found["means"]["only1"] == [(5.0, 2.0)]
        assert found["used"].tolist() == [3, 6]
        assert found["unused"].tolist() == [1]


def test_what_went_wrong_in_one_process_stops_both(two):
    assert [found["told"] for found in two[1]] == ["the loss of q3"] * 2


@pytest.mark.parametrize("number", range(len(SETTINGS)))
def test_two_processes_compute_the_gradients_of_one(two, tiny_policy, quiz, number):
    """Half of the prompts each, with totals and moments over both."""
    whole = _summed_gradients(tiny_policy, [quiz], SETTINGS[number])
    for found in two[1]:
        require_same({name: found["gradients"][number][name] for name in whole}, whole)


def test_two_processes_validate_as_one_does(two, tiny_policy, quiz):
    """One question in one process and three in the other, each with a source of its own."""
    whole = _validated(tiny_policy, [quiz])
    assert len([name for name in whole if name.startswith("accuracy_source_")]) == 4
    assert whole["accuracy"] == 0.25
    for found in two[1]:
        assert found["validated"] == whole


def test_processes_that_share_their_questions_validate_as_one_does(two, tiny_policy):
    folder, (one, other) = two
    whole = _validated(tiny_policy, _batches(folder))
    assert len([name for name in whole if name.startswith("accuracy_source_")]) == 6
    assert one["shared"] == other["shared"] == whole
