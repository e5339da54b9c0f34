"""Imitation by hand: what it sums over, what it refuses, how fast it goes, when it ends."""

import pytest

from configs.schema import OptimConfig, SftConfig
from datamodules.batch import Batch, Completions
from modules.policy.omni import OmniModel
from modules.sft import SftModule
from modules.step.policy_module import FitSettings
from tests.fitting import fit, gradients, require_same

TARGETS = [[50, 60], [70, 80, 90], [100], [110, 120]]


def sft_module(
    policy: OmniModel, optim: OptimConfig | None = None, *, max_tokens: int = 0, **settings: object
) -> SftModule:
    sft = SftConfig(**settings)  # type: ignore[arg-type]
    fit_settings = FitSettings(optim=optim or OptimConfig(), max_steps=10, max_tokens=max_tokens)
    return SftModule(policy, fit_settings, sft)


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
        module.targets_of(batch)


@pytest.mark.parametrize(("average", "divisor"), [("prompt", 4), ("token", 8)])
def test_sums_over_tokens_are_divided_by_prompts_or_by_tokens(policy, ragged, average, divisor):
    batch = with_targets(ragged, TARGETS)
    module = sft_module(policy, loss_aggregation=average)
    gradients(module, [batch])
    scored = policy.logprobs(batch, Completions.of(TARGETS, range(4)))
    assert module.step_metrics["train/loss"] == pytest.approx(-scored.sum().item() / divisor)
    assert module.step_metrics["train/nll"] == pytest.approx(-scored.sum().item() / 8)


@pytest.mark.parametrize("average", ["prompt", "token"])
def test_a_step_has_the_same_gradient_however_it_is_cut(policy, ragged, average):
    """Cut unevenly, so that means of means would show."""
    batch = with_targets(ragged, TARGETS)
    whole = gradients(sft_module(policy, loss_aggregation=average), [batch])
    cut = [batch.select([2, 0, 3]), batch.select([1])]
    parts = gradients(sft_module(policy, loss_aggregation=average), cut)
    require_same(parts, whole)


def test_a_run_ends_with_the_step_that_reaches_its_tokens(policy, ragged):
    """Each step learns from the prompts and eight tokens of completions."""
    batch = with_targets(ragged, TARGETS)
    each = sum(batch.prompt_lens) + 8
    module = sft_module(policy, max_tokens=2 * each + 1)
    trainer = fit(module, [batch.select([0, 2]), batch.select([1, 3])], steps=9)
    assert (trainer.global_step, module.tokens_seen) == (3, 3 * each)


def test_the_schedule_ends_where_tokens_do(policy):
    """Half of the tokens are learned from, but a tenth of the steps are done."""
    module = sft_module(policy, OptimConfig(schedule="linear"), max_tokens=100)
    assert module._lr_factor(1) == pytest.approx(0.9)
    module.tokens_seen = 50
    assert module._lr_factor(1) == pytest.approx(0.5)
    assert module._lr_factor(8) == pytest.approx(0.2)
