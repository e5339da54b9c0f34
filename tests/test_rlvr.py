import pytest
import torch

from configs.schema import OptimConfig, RlvrConfig, SftConfig
from datamodules.batch import Completions
from modules.omni import OmniModel
from modules.rlvr import RlvrModule
from modules.rollouts import Rollout
from modules.sft import SftModule


def rlvr_module(policy: OmniModel, **settings: float) -> RlvrModule:
    rlvr = RlvrConfig(group_size=4, max_completion_tokens=6, **settings)
    return RlvrModule(policy, OptimConfig(), rlvr, max_steps=10, batch_size=4, seed=0)


def rollout_of(texts: list[str]) -> Rollout:
    """A rollout of which only the texts matter."""
    ones = torch.ones(len(texts), 1)
    return Rollout(
        completions=Completions(
            token_ids=ones.long(), lens=[1] * len(texts), owner=[n // 4 for n in range(len(texts))]
        ),
        logprobs=ones,
        loss_mask=ones.bool(),
        texts=texts,
        finished=[True] * len(texts),
    )


def test_rewards_by_hand(policy, ragged):
    """Every answer is B: right in its tags 0.9 + 0.1, wrong in its tags 0.1, no tags nothing."""
    module = rlvr_module(policy)
    said = ["<answer>B</answer>", "<answer>A</answer>", "B", "<answer></answer>"]
    reward = module.reward(ragged, rollout_of(said * 4))
    assert reward.shape == (4, 4)
    assert reward[0].tolist() == pytest.approx([1.0, 0.1, 0.0, 0.0])


def test_a_first_step_is_on_policy_and_trains_the_towers(policy, ragged):
    """Before any update the ratio is 1 up to rounding, so nothing is clipped."""
    module = rlvr_module(policy, format_weight=0.5)
    logged: dict[str, float] = {}
    module.log = lambda name, value, **_: logged.update({name: float(value)})  # type: ignore[method-assign]
    module.log_dict = lambda values: logged.update({k: float(v) for k, v in values.items()})  # type: ignore[method-assign]
    rewards = iter([torch.tensor([[1.0, 0.0, 0.0, 0.2]] * 4)])
    module.reward = lambda batch, rollout: next(rewards)  # type: ignore[method-assign]
    module.training_step(ragged, 0).backward()
    assert logged["train/ratio"] == pytest.approx(1.0, abs=1e-4)
    assert logged["train/clipped"] == 0
    towers = [policy.backbone.audio_tower, policy.backbone.vision_tower]
    assert all(any(p.grad is not None and p.grad.any() for p in t.parameters()) for t in towers)


def test_unanimous_groups_teach_nothing(policy, ragged):
    """An untrained policy never answers: all rewards are 0, and so is every gradient."""
    module = rlvr_module(policy)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.log_dict = lambda *_: None  # type: ignore[method-assign]
    module.training_step(ragged, 0).backward()
    assert not any(p.grad is not None and p.grad.any() for p in policy.parameters())


def test_divergence_starts_at_zero_and_grows(policy, ragged, continuations):
    module = rlvr_module(policy, kl_coef=0.5)
    module.log_dict = lambda *_: None  # type: ignore[method-assign]
    mask = torch.arange(9) < torch.tensor(continuations.lens).unsqueeze(1)
    rollout = rollout_of([""] * 12)
    rollout.completions, rollout.loss_mask = continuations, mask

    def divergence() -> float:
        logprobs = policy.logprobs(ragged, continuations)
        return module.divergence(ragged, rollout, logprobs).item()

    assert divergence() == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        policy.backbone.head.weight.mul_(3.0)
    assert divergence() > 1e-3


def test_checkpoints_leave_the_reference_out(policy):
    assert (
        rlvr_module(policy, kl_coef=0.5).state_dict().keys()
        == rlvr_module(policy).state_dict().keys()
    )


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [("constant", [0.5, 1, 1, 1]), ("linear", [0.5, 1, 0.5, 0]), ("cosine", [0.5, 1, 0.5, 0])],
)
def test_learning_rates_by_hand(policy, schedule, factors):
    """Two steps of warm-up, then ten minus two steps of decay: at steps 0, 2, 6, 10."""
    optim = OptimConfig(warmup_steps=2, schedule=schedule)
    module = SftModule(policy, optim, SftConfig(), max_steps=10, batch_size=4)
    assert [module._lr_factor(step) for step in (0, 2, 6, 10)] == pytest.approx(factors)


def test_long_targets_are_refused_by_name(policy, ragged):
    module = SftModule(
        policy, OptimConfig(), SftConfig(max_completion_tokens=3), max_steps=1, batch_size=4
    )
    batch = ragged.to("cpu")
    batch.targets = [[5, 6], [5, 6, 7, 8], [5], [5]]
    with pytest.raises(ValueError, match=r"completion of s1 has 4 tokens.*never cut"):
        module.targets(batch)


def test_sft_sums_over_tokens_and_averages_over_prompts(policy, ragged):
    module = SftModule(policy, OptimConfig(), SftConfig(), max_steps=1, batch_size=4)
    module.log = lambda *_, **__: None  # type: ignore[method-assign]
    module.log_dict = lambda *_: None  # type: ignore[method-assign]
    batch = ragged.to("cpu")
    batch.targets = [[50, 60], [70, 80, 90], [100], [110, 120]]
    loss = module.training_step(batch, 0)
    scored = policy.logprobs(batch, Completions.of(batch.targets, range(4)))
    torch.testing.assert_close(loss, -scored.sum() / 4)
