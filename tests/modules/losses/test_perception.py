"""What is made of scores with media withheld: by hand, in the limit, and its direction."""

import math

import pytest
import torch

from modules.losses.perception import (
    MAX_DIVERGENCE,
    MIN_CONTRIBUTION,
    contribution_weights,
    entropy_loss,
    perception_loss,
)

MASK = torch.tensor([[True, True, False], [True, False, False]])


def log(rows):
    return torch.tensor(rows, dtype=torch.float64).log()


def test_perception_loss_by_hand():
    """Blind over full 0.5, 2 and 4 on three tokens, divided by 5; the more apart, the lower:

    0.5 - 1 + ln 2, 2 - 1 - ln 2 and 4 - 1 - 2 ln 2 sum to 3.5 - 2 ln 2; their mean is a third
    """
    full, blind = log([[0.8, 0.2, 0.1], [0.1, 0.1, 0.1]]), log([[0.4, 0.4, 0.9], [0.4, 0.9, 0.9]])
    loss, stats = perception_loss(full, blind, MASK, denominator=5)
    total = 3.5 - 2 * math.log(2)
    assert loss.item() == pytest.approx(-total / 5)
    assert stats["perception_kl"].item() == pytest.approx(total / 3)


def test_minimizing_it_raises_what_the_media_made_likelier_and_lowers_it_blind():
    """d loss / d full = -(1 - blind / full) / 2, d loss / d blind = (1 - blind / full) / 2.

    0.1 over 0.8 leaves 0.875, so that descent raises full and lowers blind; 0.3 over 0.2 gives
    -0.5, the other way round.
    """
    full, blind = log([[0.8, 0.2]]).requires_grad_(), log([[0.1, 0.3]]).requires_grad_()
    loss, _ = perception_loss(full, blind, torch.tensor([[True, True]]), denominator=2)
    loss.backward()
    expected = torch.tensor([[-0.875 / 2, 0.5 / 2]], dtype=torch.float64)
    torch.testing.assert_close(full.grad, expected)
    torch.testing.assert_close(blind.grad, -expected)


def test_its_gradient_averages_to_that_of_the_divergences():
    """Over a whole vocabulary under the policy: -KL(blind || full) for full's logits, and
    -KL(full || blind) for blind's."""
    full = torch.tensor([0.9, -0.4, 0.3], dtype=torch.float64, requires_grad=True)
    blind = torch.tensor([-0.2, 0.5, 0.1], dtype=torch.float64, requires_grad=True)
    p, q = full.log_softmax(0), blind.log_softmax(0)
    every = torch.ones(3, 1, dtype=torch.bool)
    rarity = 1 / p.detach().exp().unsqueeze(1)  # weighs each token by its probability
    loss, _ = perception_loss(p.unsqueeze(1), q.unsqueeze(1), every, denominator=rarity)
    actual = torch.autograd.grad(loss, (full, blind), retain_graph=True)
    forward = torch.autograd.grad(-(q.exp() * (q - p)).sum(), full, retain_graph=True)[0]
    reverse = torch.autograd.grad(-(p.exp() * (p - q)).sum(), blind)[0]
    torch.testing.assert_close(actual[0], forward)
    torch.testing.assert_close(actual[1], reverse)


@pytest.mark.parametrize("gap", [12.0, -3.0, 300.0, -300.0, 1e6])
def test_a_token_that_is_far_enough_is_pushed_no_further(gap):
    full = torch.tensor([[gap]], requires_grad=True)
    loss, _ = perception_loss(full, torch.zeros(1, 1), torch.tensor([[True]]), denominator=1)
    loss.backward()
    assert loss.item() == -MAX_DIVERGENCE
    assert full.grad.item() == 0


def test_seeing_nothing_new_costs_nothing():
    full = torch.tensor([[-0.7, -1.3]], requires_grad=True)
    loss, _ = perception_loss(full, full.detach(), torch.tensor([[True, True]]), denominator=1)
    loss.backward()
    assert loss.item() == 0
    assert (full.grad == 0).all()


def test_entropy_loss_is_the_sum_of_both():
    """(1 + 2) + (3) and (0.5 + 0.25) + (4) over 4; the means are thirds."""
    entropy = torch.tensor([[1.0, 2.0, 9.0], [3.0, 9.0, 9.0]], requires_grad=True)
    blind = torch.tensor([[0.5, 0.25, 9.0], [4.0, 9.0, 9.0]], requires_grad=True)
    loss, stats = entropy_loss(entropy, blind, MASK, denominator=4)
    loss.backward()
    assert loss.item() == pytest.approx((6 + 4.75) / 4)
    assert stats["entropy"].item() == pytest.approx(2)
    assert stats["blind_entropy"].item() == pytest.approx(4.75 / 3)
    torch.testing.assert_close(entropy.grad, MASK / 4)
    torch.testing.assert_close(blind.grad, MASK / 4)


def test_each_completion_may_have_its_own_denominator():
    """Rows of 2 and 1 tokens over 10 and 5: (1 + 2) / 10 + 3 / 5, twice."""
    entropy = torch.tensor([[1.0, 2.0, 9.0], [3.0, 9.0, 9.0]])
    own = torch.tensor([[10.0], [5.0]])
    loss, _ = entropy_loss(entropy, entropy, MASK, denominator=own)
    assert loss.item() == pytest.approx(2 * 0.9)


def test_weights_follow_the_contribution():
    """Contributions ln 2, 0 (made less likely) and 3 ln 2 have the mean 4/3 ln 2.

    Shares 3/4, 0 and 9/4; with coef 0.2: 0.8 + 0.15, 0.8 and 0.8 + 0.45, whose mean is 1
    """
    full, blind = log([[0.4, 0.1, 0.8, 0.5]]), log([[0.2, 0.7, 0.1, 0.5]])
    mask = torch.tensor([[True, True, True, False]])
    weights = contribution_weights(full, blind, mask, coef=0.2)
    expected = torch.tensor([[0.95, 0.8, 1.25]], dtype=torch.float64)
    torch.testing.assert_close(weights[:, :3], expected)


@pytest.mark.parametrize("coef", [0.0, 0.3, 1.0])
def test_weights_of_a_completion_average_to_one(coef):
    generator = torch.Generator().manual_seed(5)
    full, blind = -torch.rand(2, 4, 6, generator=generator, dtype=torch.float64)
    mask = torch.arange(6) < torch.tensor([[6], [4], [2], [1]])
    weights = contribution_weights(full, blind, mask, coef=coef).masked_fill(~mask, 0)
    means = weights.sum(1) / mask.sum(1)
    torch.testing.assert_close(means, torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("gain", [0.0, -2.0, 0.9 * MIN_CONTRIBUTION, 1e-7])
def test_without_contribution_all_weights_are_one(gain):
    """Nor is rounding blown up: shares of 1e-7 nats would be noise."""
    full = torch.tensor([[-1.0 + gain, -1.0], [-1.0, -1.0]])
    weights = contribution_weights(full, torch.full((2, 2), -1.0), full < 0, coef=1.0)
    assert (weights == 1).all()


def test_weights_carry_no_gradient():
    full = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    mask = torch.tensor([[True, True]])
    assert not contribution_weights(full, full - 1, mask, coef=0.5).requires_grad


@pytest.mark.parametrize("other", [math.inf, -math.inf, math.nan])
def test_what_stands_in_the_padding_stays_there(other):
    full = torch.full((2, 3), -1.0).masked_fill(~MASK, -math.inf).requires_grad_()
    blind = torch.full((2, 3), -1.5).masked_fill(~MASK, other).requires_grad_()
    for loss, stats in (
        perception_loss(full, blind, MASK, denominator=3),
        entropy_loss(full, blind, MASK, denominator=3),
    ):
        loss.backward()
        assert loss.isfinite()
        assert all(value.isfinite() and not value.requires_grad for value in stats.values())
    assert (full.grad[~MASK] == 0).all()
    assert (blind.grad[~MASK] == 0).all()
    assert contribution_weights(full, blind, MASK, coef=0.5)[MASK].isfinite().all()


def test_a_batch_with_nothing_to_train_costs_nothing():
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    full = torch.full((2, 3), -1.0, requires_grad=True)
    for function in (perception_loss, entropy_loss):
        loss, stats = function(full, torch.zeros(2, 3), nothing, denominator=1)
        assert loss.item() == 0
        assert all(value.item() == 0 for value in stats.values())
    assert (contribution_weights(full, torch.zeros(2, 3), nothing, coef=1.0) == 1).all()


def test_shifted_tensors_are_refused_by_name():
    good, short = torch.zeros(2, 3), torch.zeros(2, 2)
    with pytest.raises(AssertionError, match=r"blind_logprobs is \(2, 2\).*shifted by a token"):
        perception_loss(good, short, MASK, denominator=1)
    with pytest.raises(AssertionError, match=r"blind_entropy is \(2, 2\)"):
        entropy_loss(good, short, MASK, denominator=1)
    with pytest.raises(AssertionError, match=r"blind_logprobs is \(2, 2\)"):
        contribution_weights(good, short, MASK, coef=0.5)
