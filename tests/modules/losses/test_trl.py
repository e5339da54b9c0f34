"""Advantages, losses and gradients are TRL's on identical tensors, wherever both have them.

TRL's own methods run on a stand-in that supplies what they read of a trainer: completions, rewards
and log-probs. The policy has been updated since it sampled, on completions of many lengths.
"""

from collections import defaultdict
from types import SimpleNamespace

import pytest
import torch

from modules.losses.advantages import center_rewards, scale_advantages
from modules.losses.kl import kl_estimate, kl_loss
from modules.losses.policy_gradient import importance_ratio, loss_denominator, policy_loss
from modules.losses.sampler_correction import correction_weights

VERSION = "1.16."
trl = pytest.importorskip("trl", reason=f"compares with TRL {VERSION}x, which is not installed")
if not trl.__version__.startswith(VERSION):
    pytest.skip(f"compares with TRL {VERSION}x, not {trl.__version__}", allow_module_level=True)

LENGTHS, GROUP, LONGEST = [7, 1, 4, 6, 2, 5, 3, 7, 2], 3, 11
MASK = torch.arange(7) < torch.tensor(LENGTHS).unsqueeze(1)
TOLERANCE = {"rtol": 0, "atol": 1e-12}  # TRL computes 9 / 8 in float32, which holds it


def draw(seed):
    """Log-probs of a policy, of what it was, of another engine and of a reference; and rewards."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(3, *MASK.shape, generator=generator, dtype=torch.float64)
    old = -0.2 - 2 * torch.rand(MASK.shape, generator=generator, dtype=torch.float64)
    return SimpleNamespace(
        new=old + 0.4 * noise[0],
        old=old,
        sampler=(old + 0.4 * noise[1]).float().double(),  # TRL holds these in float32
        reference=old + 0.6 * noise[2],
        reward=torch.randn(3, GROUP, generator=generator, dtype=torch.float64),
    )


def stand_in(given, generated, **settings):
    """Supply what TRL's methods read, with its names; log-probs are those of the model asked."""
    arguments = {"use_bias_correction_kl", "delta"} & settings.keys()
    args = {
        "steps_per_generation": 1,
        "gradient_accumulation_steps": 1,
        "per_device_train_batch_size": len(LENGTHS),
        "gradient_checkpointing_kwargs": None,
        "use_bias_correction_kl": False,
        "delta": None,
        **{name: settings.pop(name) for name in arguments},
    }
    accelerator = SimpleNamespace(
        device="cpu",
        num_processes=1,
        process_index=0,
        gather=lambda values: values,
        reduce=lambda values, reduction: values,
    )
    defaults = {
        "accelerator": accelerator,
        "args": SimpleNamespace(**args),
        "model": SimpleNamespace(training=True, is_gradient_checkpointing=False, says=given.old),
        "ref_model": SimpleNamespace(says=given.reference),
        "num_iterations": 2,
        "current_gradient_accumulation_steps": 1,
        "num_generations": GROUP,
        "max_completion_length": LONGEST,
        "beta": 0.0,
        "epsilon_low": 0.2,
        "epsilon_high": 0.28,
        "importance_sampling_level": "token",
        "scale_rewards": "group",
        "multi_objective_aggregation": "sum_then_normalize",
        "normalize_advantages": False,
        "reward_weights": torch.ones(1),
        "reward_func_names": ["reward"],
        "top_entropy_quantile": 1.0,
        "_tokenizer": SimpleNamespace(pad_token_id=0),
        "_generate": lambda prompts: generated,
        "_calculate_rewards": lambda *called: given.reward.view(-1, 1),
        "_get_per_token_logps_and_entropies": lambda model, *called, **more: (
            model.says,
            torch.zeros(MASK.shape),
            None,
        ),
        "_metrics": defaultdict(lambda: defaultdict(list)),
        "_logs": {name: [] for name in ("prompt", "completion", "advantages")}
        | {"rewards": defaultdict(list)},
        "_pending_extra_logs": {},
        "_pending_metrics": {},
    }
    off = ("environment_factories", "environments", "tools", "pad_to_multiple_of")
    off += ("aux_loss_enabled", "mask_truncated_completions", "reward_clip_range", "use_vllm")
    off += ("_entropy_bonus_enabled", "off_policy_mask_threshold", "log_multimodal")
    return SimpleNamespace(**(dict.fromkeys(off) | defaults | settings))


def theirs(trainer_class, given, **settings):
    """Run TRL from rewards to the loss. -> advantages (N,), loss, gradient (N, T), its log"""
    ids = [[5] * length for length in LENGTHS]
    said = [row[:length].tolist() for row, length in zip(given.sampler, LENGTHS, strict=True)]
    generated = ([[3]] * len(ids), ids, None, ids, said, {}, None, None)
    if trainer_class is trl.RLOOTrainer:
        generated = ([[3]] * len(ids), ids, ids)
    trainer = stand_in(given, generated, **settings)
    prompts = [{"prompt": "?"} for _ in ids]
    inputs = trainer_class._generate_and_score_completions(trainer, prompts)
    leaf = given.new.clone().requires_grad_()
    loss = trainer_class._compute_loss(trainer, SimpleNamespace(says=leaf), inputs)
    loss.backward()
    return inputs["advantages"], loss.detach(), leaf.grad, trainer._metrics["train"]


def ours(
    given,
    *,
    baseline="group",
    scale="group",
    level="token",
    average="sequence",
    correction=("none", "token"),
    kl=0.0,
    estimator="k3",
    longest=LONGEST,
    **bounds,
):
    """The same from our pieces, of which each objective is a choice."""
    spread = given.reward.std().item()
    advantage = scale_advantages(
        center_rewards(given.reward, baseline=baseline), scale_rewards=scale, batch_std=spread
    )
    leaf = given.new.clone().requires_grad_()
    share = loss_denominator(
        MASK,
        loss_aggregation=average,
        completions=len(LENGTHS),
        tokens=sum(LENGTHS),
        longest=longest,
    )
    kind, correction_level = correction
    weight, mismatch = correction_weights(
        given.old, given.sampler, MASK, kind=kind, level=correction_level, low=0.7, high=1.5
    )
    clips = {"surrogate": "clip", "clip_low": 0.2, "clip_high": 0.28, "clip_ratio_c": None} | bounds
    loss, stats = policy_loss(
        leaf,
        given.old,
        advantage.flatten(),
        MASK,
        level=level,
        weight=weight,
        denominator=share,
        **clips,
    )
    ratio = importance_ratio(leaf, given.old, MASK, level=level)
    price, divergences = kl_loss(
        leaf, given.reference, MASK, estimator=estimator, ratio=ratio, denominator=share
    )
    loss = loss + kl * price
    loss.backward()
    return advantage.flatten(), loss.detach(), leaf.grad, {**stats, **mismatch, **divergences}


def engine(mode):
    return {
        "use_vllm": True,
        "vllm_importance_sampling_correction": True,
        "vllm_importance_sampling_mode": mode,
        "vllm_importance_sampling_clip_min": 0.7 if mode.endswith("mask") else None,
        "vllm_importance_sampling_clip_max": 1.5,
    }


DR_GRPO = {"scale": "none", "average": "constant"}
CISPO = {"surrogate": "cispo", "clip_low": 1.0, "average": "token"}
OBJECTIVES = {  # TRL's settings, and ours
    "grpo": ({"loss_type": "grpo"}, {}),
    "scaled by batch": ({"loss_type": "grpo", "scale_rewards": "batch"}, {"scale": "batch"}),
    "dr_grpo": ({"loss_type": "dr_grpo", "scale_rewards": "none"}, DR_GRPO),
    "dapo": ({"loss_type": "dapo"}, {"average": "token"}),
    "bnpo": ({"loss_type": "bnpo"}, {"average": "token"}),
    "gspo": ({"loss_type": "grpo", "importance_sampling_level": "sequence"}, {"level": "sequence"}),
    "gspo by token": (
        {"loss_type": "dapo", "importance_sampling_level": "sequence"},
        {"level": "sequence", "average": "token"},
    ),
    "cispo": ({"loss_type": "cispo", "epsilon_high": 1.28}, {**CISPO, "clip_high": 0.28}),
    "two-sided": ({"loss_type": "grpo", "delta": 1.5}, {"clip_ratio_c": 1.5}),
    "k3": ({"loss_type": "grpo", "beta": 0.3}, {"kl": 0.3}),
    "k3 by constant": ({"loss_type": "dr_grpo", "beta": 0.3}, {"average": "constant", "kl": 0.3}),
    "corrected k3": (
        {"loss_type": "dapo", "beta": 0.3, "use_bias_correction_kl": True},
        {"average": "token", "kl": 0.3, "estimator": "k3_corrected"},
    ),
    "corrected k3 of sequences": (
        {
            "loss_type": "grpo",
            "beta": 0.3,
            "use_bias_correction_kl": True,
            "importance_sampling_level": "sequence",
        },
        {"level": "sequence", "kl": 0.3, "estimator": "k3_corrected"},
    ),
    "truncated tokens": (
        {"loss_type": "dapo", "beta": 0.3, **engine("token_truncate")},
        {"average": "token", "kl": 0.3, "correction": ("truncate", "token")},
    ),
    "masked tokens": (
        {"loss_type": "grpo", **engine("token_mask")},
        {"correction": ("mask", "token")},
    ),
    "truncated sequences": (
        {"loss_type": "grpo", **engine("sequence_truncate")},
        {"correction": ("truncate", "sequence")},
    ),
    "masked sequences": (
        {"loss_type": "cispo", "epsilon_high": 1.28, **engine("sequence_mask")},
        {**CISPO, "clip_high": 0.28, "correction": ("mask", "sequence")},
    ),
}


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_advantages_loss_and_gradient_are_trls(name, seed):
    given, (settings, choices) = draw(seed), OBJECTIVES[name]
    expected, actual = theirs(trl.GRPOTrainer, given, **settings), ours(given, **choices)
    for ours_is, theirs_is in zip(actual[:3], expected[:3], strict=True):
        torch.testing.assert_close(ours_is, theirs_is, **TOLERANCE)
    assert (actual[2][MASK] != 0).any()
    assert (actual[2][~MASK] == 0).all()


def test_the_cases_meet_their_bounds():
    """Or else a parity would say nothing of them."""
    given = draw(0)
    stats = ours(given)[3]
    assert stats["clipped_low"] > 0
    assert stats["clipped_high"] > 0
    assert not torch.equal(ours(given)[2], ours(given, clip_ratio_c=1.5)[2])
    gradients = {name: ours(given, **choices)[2] for name, (_, choices) in OBJECTIVES.items()}
    gradients.pop("bnpo")  # one micro-batch of one device is all of dapo's batch
    distinct = {gradient.sum().item() for gradient in gradients.values()}
    assert len(distinct) == len(gradients)


def test_what_is_logged_is_trls():
    given = draw(0)
    settings, choices = OBJECTIVES["truncated tokens"]
    log, stats = theirs(trl.GRPOTrainer, given, **settings)[3], ours(given, **choices)[3]
    names = {
        "clipped_low": "clip_ratio/low_mean",
        "clipped_high": "clip_ratio/high_mean",
        "kl": "kl",
        "mismatch_max": "sampling/sampling_logp_difference/max",
    }
    for name, key in names.items():
        assert stats[name].item() == pytest.approx(log[key][0], abs=1e-6), name


@pytest.mark.parametrize("seed", [0, 1])
def test_rloo_has_trls_advantages_and_at_ratio_one_its_gradient(seed):
    """TRL divides by completions alone; afterwards its ratio is that of the whole completion."""
    given = draw(seed)
    given.new = given.old
    expected = theirs(trl.RLOOTrainer, given)
    actual = ours(given, baseline="leave_one_out", scale="none", average="constant", longest=1)
    torch.testing.assert_close(actual[0], expected[0], **TOLERANCE)
    torch.testing.assert_close(actual[2], expected[2], **TOLERANCE)


@pytest.mark.parametrize("seed", [0, 1])
def test_rloo_with_kl_in_the_reward_and_normalized_has_trls_advantages(seed):
    given = draw(seed)
    expected = theirs(trl.RLOOTrainer, given, beta=0.3, normalize_advantages=True)[0]
    price = kl_estimate(given.old, given.reference, MASK, estimator="k1").sum(1)
    advantage = center_rewards(given.reward - 0.3 * price.view(-1, GROUP), baseline="leave_one_out")
    actual = scale_advantages(advantage, scale_rewards="batch", batch_std=advantage.std().item())
    torch.testing.assert_close(actual.flatten(), expected, **TOLERANCE)


def test_a_unanimous_group_teaches_nothing_in_either():
    given = draw(0)
    given.reward[0] = 0.1
    expected, actual = theirs(trl.GRPOTrainer, given, loss_type="grpo"), ours(given)
    torch.testing.assert_close(actual[2], expected[2], **TOLERANCE)
    assert (actual[2][:GROUP] == 0).all()
