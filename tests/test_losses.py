"""Losses by hand, their gradients in closed form, and their limits."""

import math

import pytest
import torch

from modules.losses import STD_EPS, group_advantage, kl_loss, policy_loss, sft_loss

MASK = torch.tensor([[True, True, False], [True, False, False]])


def log(rows):
    return torch.tensor(rows, dtype=torch.float64).log()


def test_the_advantage_is_the_distance_from_the_groups_mean():
    """Means 1 and 0.25: (3 - 1, 0 - 1, 0 - 1) and (0.75 - 0.25, 0 - 0.25, 0 - 0.25)."""
    reward = torch.tensor([[3.0, 0.0, 0.0], [0.75, 0.0, 0.0]])
    expected = torch.tensor([[2.0, -1.0, -1.0], [0.5, -0.25, -0.25]])
    torch.testing.assert_close(group_advantage(reward, normalize=False), expected)


def test_the_normalized_advantage_is_in_sample_standard_deviations():
    """(2, -1, -1) has the sample variance (4 + 1 + 1) / 2 = 3."""
    reward = torch.tensor([[3.0, 0.0, 0.0]])
    expected = torch.tensor([[2.0, -1.0, -1.0]]) / (math.sqrt(3) + STD_EPS)
    torch.testing.assert_close(group_advantage(reward, normalize=True), expected)


@pytest.mark.parametrize("normalize", [False, True])
def test_a_unanimous_group_has_exactly_no_advantage(normalize):
    """The mean of seven times 0.1 is not 0.1 in floating point; that must not become a signal."""
    reward = torch.full((2, 7), 0.1)
    reward[1, 3] = 0.9
    advantage = group_advantage(reward, normalize=normalize)
    assert (advantage[0] == 0).all()
    assert (advantage[1] != 0).all()


@pytest.mark.parametrize("shape", [(4,), (3, 1), (2, 2, 2)])
def test_an_advantage_needs_siblings(shape):
    with pytest.raises(ValueError, match=r"\(B, G\) with G of at least 2.*rlvr.group_size"):
        group_advantage(torch.zeros(shape), normalize=False)


def test_policy_loss_by_hand():
    """A good completion of two tokens and a bad one of one; clip to [0.9, 1.3], divide by 5:

    good, A = +1.5: min(2.0, 1.3) * 1.5 = 1.95 and min(0.5, 0.9) * 1.5 = 0.75
    bad,  A = -2:   min(-2 * 0.5, -2 * 0.9) = -1.8
    loss = -(1.95 + 0.75 - 1.8) / 5 = -0.18; all three ratios are outside, their mean is 1
    """
    loss, stats = policy_loss(
        log([[2.0, 0.5, 7.0], [0.5, 7.0, 7.0]]),
        torch.zeros(2, 3, dtype=torch.float64),
        torch.tensor([1.5, -2.0], dtype=torch.float64),
        MASK,
        clip_low=0.1,
        clip_high=0.3,
        denominator=5,
    )
    assert loss.item() == pytest.approx(-0.18)
    assert stats["ratio"].item() == pytest.approx(1.0)
    assert stats["clipped"].item() == pytest.approx(1.0)


def test_the_ratio_has_the_policy_on_top():
    """Sampled at 0.4 and now at 0.5: ratio 1.25, inside the clip; the other way round 0.8."""
    loss, stats = policy_loss(
        log([[0.5]]),
        log([[0.4]]),
        torch.tensor([3.0], dtype=torch.float64),
        torch.tensor([[True]]),
        clip_low=0.5,
        clip_high=0.5,
        denominator=1,
    )
    assert loss.item() == pytest.approx(-3 * 1.25)
    assert stats["clipped"].item() == 0


def test_the_policy_gradient_is_ratio_times_advantage_until_clipped():
    """d loss / d logprob = -ratio * A / denominator; none where a clip is the smaller term.

    A = +1.5: 1.1 passes, 2.0 is clipped away; A = -2: 2.0 passes, as a bad token may always
    shrink; padding has none.
    """
    logprobs = log([[1.1, 2.0, 7.0], [2.0, 7.0, 7.0]]).requires_grad_()
    loss, _ = policy_loss(
        logprobs,
        torch.zeros(2, 3, dtype=torch.float64),
        torch.tensor([1.5, -2.0], dtype=torch.float64),
        MASK,
        clip_low=0.1,
        clip_high=0.3,
        denominator=5,
    )
    loss.backward()
    expected = torch.tensor([[-1.1 * 1.5, 0, 0], [2.0 * 2, 0, 0]], dtype=torch.float64) / 5
    torch.testing.assert_close(logprobs.grad, expected)


def test_kl_loss_by_hand():
    """Reference over policy 0.5, 2 and 4 on three tokens, divided by 5:

    0.5 - 1 + ln 2, 2 - 1 - ln 2 and 4 - 1 - 2 ln 2 sum to 3.5 - 2 ln 2; their mean is a third
    """
    total = 3.5 - 2 * math.log(2)
    loss, stats = kl_loss(
        log([[0.8, 0.2, 0.1], [0.1, 0.1, 0.1]]),
        log([[0.4, 0.4, 0.9], [0.4, 0.9, 0.9]]),
        MASK,
        denominator=5,
    )
    assert loss.item() == pytest.approx(total / 5)
    assert stats["kl"].item() == pytest.approx(total / 3)


def test_the_kl_gradient_pulls_towards_the_reference():
    """d loss / d logprob = (1 - reference / policy) / denominator: 1 - 0.5 and 1 - 4, over 2."""
    logprobs = log([[0.8, 0.1]]).requires_grad_()
    mask = torch.tensor([[True, True]])
    loss, _ = kl_loss(logprobs, log([[0.4, 0.4]]), mask, denominator=2)
    loss.backward()
    expected = torch.tensor([[0.25, -1.5]], dtype=torch.float64)
    torch.testing.assert_close(logprobs.grad, expected)


def test_the_kl_estimate_averages_to_the_divergence_under_the_policy():
    """Over all of a vocabulary, weighted by the policy: Σ p (q/p - 1 - ln(q/p)) = KL(p||q)."""
    policy, reference = log([[0.7, 0.2, 0.1]]), log([[0.3, 0.3, 0.4]])
    expected = (policy.exp() * (policy - reference)).sum().item()
    estimate = 0.0
    for token in range(3):
        one = torch.zeros(1, 3, dtype=torch.bool)
        one[0, token] = True
        loss, _ = kl_loss(policy, reference, one, denominator=1)
        estimate += policy[0, token].exp().item() * loss.item()
    assert estimate == pytest.approx(expected)


def test_sft_loss_by_hand():
    """Tokens of probability 1/2, 1/4 and 1/8 cost 6 ln 2 in all; over 4, and over 3 for the log."""
    logprobs = log([[0.5, 0.25, 0.9], [0.125, 0.9, 0.9]]).requires_grad_()
    loss, stats = sft_loss(logprobs, MASK, denominator=4)
    loss.backward()
    assert loss.item() == pytest.approx(6 * math.log(2) / 4)
    assert stats["nll"].item() == pytest.approx(2 * math.log(2))
    torch.testing.assert_close(logprobs.grad, -MASK.double() / 4)


def every_loss(logprobs, other, advantage, mask):
    """All three losses with one denominator, for what they must share."""
    clips = {"clip_low": 0.2, "clip_high": 0.28}
    return {
        "policy": policy_loss(logprobs, other, advantage, mask, **clips, denominator=40),
        "kl": kl_loss(logprobs, other, mask, denominator=40),
        "sft": sft_loss(logprobs, mask, denominator=40),
    }


@pytest.mark.parametrize("name", ["policy", "kl", "sft"])
def test_micro_batches_add_up_to_the_whole_batch(name):
    generator = torch.Generator().manual_seed(3)
    logprobs = -torch.rand(5, 8, generator=generator, dtype=torch.float64)
    other = logprobs - 0.3 * torch.rand(5, 8, generator=generator, dtype=torch.float64)
    advantage = torch.tensor([1.0, -0.5, 2.0, 0.0, -3.0], dtype=torch.float64)
    mask = torch.arange(8) < torch.tensor([[8], [1], [3], [5], [0]])

    def gradient(*parts):
        leaf = logprobs.clone().requires_grad_()
        for part in parts:
            losses = every_loss(leaf[part], other[part], advantage[part], mask[part])
            losses[name][0].backward()
        return leaf.grad

    whole = gradient(slice(0, 5))
    torch.testing.assert_close(gradient(slice(0, 2), slice(2, 5)), whole, rtol=0, atol=1e-15)
    assert whole.abs().sum() > 0


@pytest.mark.parametrize("name", ["policy", "kl", "sft"])
def test_a_batch_with_nothing_to_train_costs_nothing(name):
    logprobs = torch.full((2, 3), -1.0, requires_grad=True)
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    loss, stats = every_loss(logprobs, torch.zeros(2, 3), torch.ones(2), nothing)[name]
    loss.backward()
    assert loss.item() == 0
    assert all(value.item() == 0 for value in stats.values())
    assert (logprobs.grad == 0).all()


@pytest.mark.parametrize("name", ["policy", "kl", "sft"])
def test_infinities_in_the_padding_stay_there(name):
    logprobs = torch.full((2, 3), -1.0).masked_fill(~MASK, -math.inf).requires_grad_()
    other = torch.full((2, 3), -1.5).masked_fill(~MASK, math.inf)
    loss, stats = every_loss(logprobs, other, torch.tensor([1.0, -2.0]), MASK)[name]
    loss.backward()
    assert loss.isfinite()
    assert all(value.isfinite() for value in stats.values())
    assert logprobs.grad.isfinite().all()
    assert (logprobs.grad[~MASK] == 0).all()


@pytest.mark.parametrize("name", ["policy", "kl", "sft"])
def test_what_is_logged_carries_no_gradient(name):
    logprobs = torch.full((2, 3), -1.0, requires_grad=True)
    _, stats = every_loss(logprobs, torch.full((2, 3), -1.5), torch.ones(2), MASK)[name]
    assert stats
    assert not any(value.requires_grad for value in stats.values())


def test_shifted_tensors_are_refused_by_name():
    good, short = torch.zeros(2, 3), torch.zeros(2, 2)
    clips = {"clip_low": 0.2, "clip_high": 0.28, "denominator": 1}
    with pytest.raises(ValueError, match=r"rollout_logprobs is \(2, 2\).*shifted by a token"):
        policy_loss(good, short, torch.zeros(2), MASK, **clips)
    with pytest.raises(ValueError, match=r"reference_logprobs is \(2, 2\)"):
        kl_loss(good, short, MASK, denominator=1)
    with pytest.raises(ValueError, match=r"logprobs is \(2, 2\) and loss_mask \(2, 3\)"):
        sft_loss(short, MASK, denominator=1)
    with pytest.raises(ValueError, match=r"advantage is \(1, 2\) for 2 completions.*flatten"):
        policy_loss(good, good, torch.zeros(1, 2), MASK, **clips)
