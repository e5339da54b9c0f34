"""Rounds of sampling and updates: what they compare, keep, sum up and refuse."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import lightning as L
import pytest
import torch

from configs.rewards import PerceptionConfig, RewardConfig
from configs.rlvr import DynamicSamplingConfig, KlConfig, ObjectiveConfig, RlvrConfig
from configs.schema import OptimConfig
from datamodules.batch import Batch
from modules.policy.omni import OmniModel
from modules.rewards.verifier_reward import VerifierReward
from modules.rlvr import RlvrModule
from modules.rollout.collector import FreshPrompts
from modules.rollout.rollout import Experience, Rollout
from modules.step.nonfinite import NonFiniteError
from modules.step.policy_module import FitSettings
from tests.fitting import gradients, require_same, train

TEMPERATURE = 1.5
"""At which the shipped model is right now and then on every question of the quiz."""


def rlvr_module(
    policy: OmniModel,
    *,
    accumulate: int = 1,
    prompts: FreshPrompts | None = None,
    **settings: object,
) -> RlvrModule:
    rlvr = RlvrConfig(
        **{"group_size": 4, "max_completion_tokens": 6, "temperature": TEMPERATURE} | settings  # type: ignore[arg-type]
    )
    return RlvrModule(
        policy,
        FitSettings(optim=OptimConfig(lr=1e-3), max_steps=10, seed=5),
        rlvr,
        reward_function=VerifierReward(rlvr),
        accumulate=accumulate,
        fresh_prompts=prompts,
    )


def fit(module: RlvrModule, rounds: Sequence[list[Batch]]) -> L.Trainer:
    """Train on given rounds."""
    return train(module, rounds, steps=len(rounds) * module.rlvr.updates)


def cut(batch: Batch, *parts: Sequence[int]) -> list[Batch]:
    return [batch.select(part) for part in parts]


def test_the_quiz_is_neither_always_nor_never_answered(tiny_policy, quiz):
    """Else the tests below would compare zeros."""
    [one] = rlvr_module(tiny_policy).collect_rollouts([quiz])
    assert one.nonzero_std.sum() >= 2
    assert 0 < one.correct.float().mean() < 1


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": ObjectiveConfig(loss_aggregation="sequence"), "kl": KlConfig(coef=0.1)},
        {
            "objective": ObjectiveConfig(loss_aggregation="token"),
            "mask_truncated_completions": True,
        },
        {"objective": ObjectiveConfig(baseline="batch", scale_rewards="batch")},
        {"objective": ObjectiveConfig(importance_sampling_level="sequence", surrogate="cispo")},
        {
            "perception": PerceptionConfig(kl_coef=0.1, entropy_coef=0.1, token_coef=0.5),
            "reward": RewardConfig(blind=0.5),
        },
    ],
    ids=["sequence", "token", "batch", "gspo-cispo", "perception"],
)
def test_accumulated_gradients_are_those_of_one_large_batch(tiny_policy, quiz, settings):
    """Cut unevenly, so that means of means would show."""
    whole = gradients(rlvr_module(tiny_policy, **settings), [quiz])
    parts = gradients(rlvr_module(tiny_policy, accumulate=2, **settings), cut(quiz, [0, 1, 2], [3]))
    require_same(parts, whole)


def test_a_round_says_the_same_however_it_is_cut(tiny_policy, quiz):
    module = rlvr_module(tiny_policy)
    [whole] = module.collect_rollouts([quiz])
    parts = module.collect_rollouts(cut(quiz, [3], [1, 0, 2]))
    texts = dict(zip([s.id for s in quiz.samples], _groups(whole), strict=True))
    for part in parts:
        for sample, group in zip(part.batch.samples, _groups(part), strict=True):
            assert group == texts[sample.id]


def _groups(one: Rollout) -> list[list[str]]:
    texts, size = one.sampled.texts, one.group_size
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def test_a_first_update_is_on_policy_and_trains_the_towers(tiny_policy, quiz):
    """With the only update, the ratio is 1 to the bit and nothing is clipped."""
    module = rlvr_module(tiny_policy)
    found = gradients(module, [quiz])
    assert module.step_metrics["train/ratio"] == 1
    assert (
        module.step_metrics["train/clipped_low"] == module.step_metrics["train/clipped_high"] == 0
    )
    assert module.step_metrics["train/mismatch_max"] < 1e-4
    for tower in ("audio_tower", "visual"):
        assert any(grad.any() for name, grad in found.items() if tower in name)


def test_later_updates_measure_from_where_the_round_was_sampled(tiny_policy, quiz):
    """Three epochs over one round: old log-probs stay those of its beginning."""
    module = rlvr_module(tiny_policy, num_iterations=3)
    seen = []
    update = module.update_policy

    def watched(minibatch: Sequence[Experience]) -> None:
        seen.append(
            (minibatch[0].logprobs.old, module.score(minibatch[0].rollout).logprobs.detach())
        )
        update(minibatch)

    module.update_policy = watched  # type: ignore[method-assign]
    trainer = fit(module, [[quiz]])
    assert trainer.global_step == 3
    (old, first), (same, second), (_, third) = seen
    torch.testing.assert_close(old, first, atol=1e-5, rtol=1e-5)
    assert old is same
    assert (second - first).abs().max() > 1e-3
    assert (third - second).abs().max() > 1e-3
    assert module.step_metrics["train/ratio"] != 1


def test_minibatches_are_steps_on_disjoint_prompts(tiny_policy, quiz):
    module = rlvr_module(tiny_policy, minibatches=2)
    seen: list[list[str]] = []
    update = module.update_policy

    def watched(minibatch: Sequence[Experience]) -> None:
        seen.append([sample.id for one in minibatch for sample in one.batch.samples])
        update(minibatch)

    module.update_policy = watched  # type: ignore[method-assign]
    assert fit(module, [cut(quiz, [0, 1], [2, 3])]).global_step == 2
    assert seen == [["q0", "q1"], ["q2", "q3"]]


def refills(quiz: Batch) -> tuple[list[int], Callable[[int, int], Batch | None]]:
    """Offer nothing, then known prompts with a new one, then new ones."""
    asked: list[int] = []
    offered = [None, quiz.select([0, 2]), quiz.select([3]), quiz.select([1])]

    def refill(number: int, attempt: int) -> Batch | None:
        asked.append(attempt)
        return offered[attempt]

    return asked, refill


def _with_spread(module: RlvrModule, useful: set[str]) -> None:
    """Let only some prompts fare unevenly."""
    rollout = module.collector._rollout

    def rigged(batch: Batch, **how: object) -> Rollout:
        one = rollout(batch, **how)  # type: ignore[arg-type]
        for row, sample in enumerate(batch.samples):
            right = torch.tensor([1.0, 0, 0, 0]) * (sample.id in useful)
            one.rewards[row] = one.filter_scores[row] = right
        return one

    module.collector._rollout = rigged  # type: ignore[method-assign]


def test_prompts_without_spread_are_replaced_until_the_round_is_full(tiny_policy, quiz):
    """q1 is dull; q0 comes again and is left out, q2 is dull, q3 is what was wanted."""
    asked, prompts = refills(quiz)
    module = rlvr_module(
        tiny_policy, dynamic_sampling=DynamicSamplingConfig(max_batches=4), prompts=prompts
    )
    _with_spread(module, {"q0", "q3"})
    [one] = module.collect_rollouts([quiz.select([0, 1])])
    assert [sample.id for sample in one.batch.samples] == ["q0", "q3"]
    assert asked == [0, 1, 2]
    module.log_step_metrics()
    assert module.step_metrics["train/prompts_sampled"] == 4
    assert module.step_metrics["train/resample_batches"] == 3
    assert module.step_metrics["train/prompts_missing"] == 0
    assert module.step_metrics["train/frac_reward_zero_std"] == 0.5


def test_a_round_that_cannot_be_filled_keeps_its_dull_prompts(tiny_policy, quiz):
    asked, prompts = refills(quiz)
    module = rlvr_module(
        tiny_policy, dynamic_sampling=DynamicSamplingConfig(max_batches=2), prompts=prompts
    )
    _with_spread(module, {"q3"})
    first, second = module.collect_rollouts(cut(quiz, [0], [1]))
    assert [first.batch.samples[0].id, second.batch.samples[0].id] == ["q0", "q1"]
    assert asked == [0, 1]
    module.log_step_metrics()
    assert module.step_metrics["train/prompts_missing"] == 2


def test_frozen_towers_run_once_per_round(tiny_encoder, quiz):
    policy = OmniModel.load("assets/tiny", tiny_encoder.tokenizer, freeze_towers=True)
    module = rlvr_module(policy, num_iterations=2)
    calls = []
    policy.backbone.vision_tower.register_forward_hook(lambda *_: calls.append(1))
    fit(module, [[quiz]])
    assert len(calls) == 1


def test_a_divergence_in_the_reward_lowers_it_and_leaves_the_loss_alone(tiny_policy, quiz):
    """The reference is made likelier to say the end token: whoever goes on is charged for it."""
    module = rlvr_module(tiny_policy, kl=KlConfig(coef=0.5, estimator="k1", place="reward"))
    with torch.no_grad():
        tiny_policy.backbone.head.weight.mul_(1.5)
    [one] = module.collect_rollouts([quiz])
    [logprobs] = module.score_rollouts([one])
    charged = module.kl_penalty(one, logprobs)
    assert logprobs.reference is not None and isinstance(charged, torch.Tensor)
    by_hand = 0.5 * ((logprobs.sampler - logprobs.reference) * one.loss_mask).sum(1)
    torch.testing.assert_close(charged.flatten(), by_hand, atol=1e-5, rtol=1e-5)
    sampler = logprobs.sampler
    assert module.kl_term(Experience(one, logprobs, sampler[:, 0]), sampler, sampler, 1)[0] == 0


@pytest.mark.parametrize("what", ["reward", "log-prob", "loss", "gradient"])
def test_a_number_that_went_wrong_never_reaches_the_weights(tiny_policy, quiz, what):
    module = rlvr_module(tiny_policy)
    before = {name: p.detach().clone() for name, p in tiny_policy.named_parameters()}
    _poison(module, what)
    said = "loss" if what == "log-prob" else what
    with pytest.raises(
        NonFiniteError, match=rf"{said} is infinite or NaN.*q\d.*nothing is learned"
    ):
        fit(module, [[quiz]])
    assert all(torch.equal(p, before[name]) for name, p in tiny_policy.named_parameters())


def _poison(module: RlvrModule, what: str) -> None:
    """Put one NaN where it is said."""
    nan = float("nan")
    if what == "reward":
        collect = module.collector.collect

        def collected(*words: object, **named: object) -> object:
            found = collect(*words, **named)  # type: ignore[arg-type]
            one = found[0][0]
            one.rewards[1, 0] = nan
            return found

        module.collector.collect = collected  # type: ignore[method-assign, assignment]
    elif what == "log-prob":
        score = module.score

        def scored(one: Rollout) -> object:
            found = score(one)
            found.logprobs.data[0, 0] = nan
            return found

        module.score = scored  # type: ignore[method-assign, assignment]
    elif what == "loss":
        module.kl_term = lambda *_: (torch.tensor(nan), {})  # type: ignore[method-assign]
    else:
        weight = module.policy.backbone.head.weight
        weight.register_hook(lambda gradient: gradient * nan)


def test_checkpoints_leave_the_reference_out(tiny_policy):
    with_kl = rlvr_module(tiny_policy, kl=KlConfig(coef=0.5))
    assert with_kl.state_dict().keys() == rlvr_module(tiny_policy).state_dict().keys()


def test_unanimous_groups_teach_nothing(policy, ragged):
    """An untrained policy never answers: all rewards are 0, and so is every gradient."""
    found = gradients(rlvr_module(policy), [ragged])
    assert not any(gradient.any() for gradient in found.values())


def test_divergence_starts_at_zero_and_grows(tiny_policy, quiz):
    module = rlvr_module(tiny_policy, kl=KlConfig(coef=0.5))
    [one] = module.collect_rollouts([quiz])

    def divergence(one: Rollout) -> float:
        [logprobs] = module.score_rollouts([one])
        experience = Experience(one, logprobs, logprobs.sampler[:, 0])
        now = module.score(one).logprobs
        return module.kl_term(experience, now, now.detach(), 16)[0].item()

    assert divergence(one) == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        tiny_policy.backbone.head.weight.mul_(3.0)
    assert one.encoded is not None
    assert divergence(replace(one, encoded=one.encoded.detach())) > 1e-3
