"""Imitation by hand: what it sums over, what it refuses, how fast it goes."""

import pytest
import torch

from configs.schema import OptimConfig, SftConfig
from datamodules.batch import Batch, Completions
from modules.finite import NonFinite
from modules.omni import OmniModel
from modules.sft import SftModule


def sft_module(policy: OmniModel, optim: OptimConfig | None = None, **settings: int) -> SftModule:
    sft = SftConfig(**settings)
    return SftModule(policy, optim or OptimConfig(), sft, max_steps=10, batch_size=4)


def with_targets(batch: Batch, targets: list[list[int]]) -> Batch:
    batch = batch.to("cpu")
    batch.targets = targets
    return batch


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [("constant", [0.5, 1, 1, 1]), ("linear", [0.5, 1, 0.5, 0]), ("cosine", [0.5, 1, 0.5, 0])],
)
def test_learning_rates_by_hand(policy, schedule, factors):
    """Two steps of warm-up, then ten minus two steps of decay: at steps 0, 2, 6, 10."""
    module = sft_module(policy, OptimConfig(warmup_steps=2, schedule=schedule))
    assert [module._lr_factor(step) for step in (0, 2, 6, 10)] == pytest.approx(factors)


def test_long_targets_are_refused_by_name(policy, ragged):
    module = sft_module(policy, max_completion_tokens=3)
    batch = with_targets(ragged, [[5, 6], [5, 6, 7, 8], [5], [5]])
    with pytest.raises(ValueError, match=r"completion of s1 has 4 tokens.*never cut"):
        module.targets(batch)


def test_sft_sums_over_tokens_and_averages_over_prompts(policy, ragged):
    batch = with_targets(ragged, [[50, 60], [70, 80, 90], [100], [110, 120]])
    loss = sft_module(policy).training_step(batch, 0)
    assert batch.targets is not None
    scored = policy.logprobs(batch, Completions.of(batch.targets, range(4)))
    torch.testing.assert_close(loss, -scored.sum() / 4)


def test_a_bad_gradient_names_the_samples_of_all_micro_batches_since_the_last_step(policy, ragged):
    module = sft_module(policy)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    for prompts in ([0, 1], [2]):
        batch = with_targets(ragged.select(prompts), [[50, 60]] * len(prompts))
        module.training_step(batch, 0).backward()
    module.on_before_optimizer_step(optimizer)  # is finite, and begins anew
    batch = with_targets(ragged.select([3]), [[50]])
    module.training_step(batch, 0).backward()
    policy.backbone.head.weight.grad.fill_(float("nan"))
    with pytest.raises(NonFinite, match=r"the gradient is infinite or NaN in 1 samples \(s3\)"):
        module.on_before_optimizer_step(optimizer)
