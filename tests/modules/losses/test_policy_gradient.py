"""Losses by hand, their gradients in closed form, and their limits."""

import math
from functools import partial

import pytest
import torch

from modules.losses.kl import kl_loss
from modules.losses.policy_gradient import importance_ratio, loss_denominator, policy_loss
from modules.losses.supervised import distillation_loss, sft_loss

MASK = torch.tensor([[True, True, False], [True, False, False]])
CLIP = {"surrogate": "clip", "clip_low": 0.1, "clip_high": 0.3, "clip_ratio_c": None}
by_token = partial(policy_loss, level="token", **CLIP)
by_sequence = partial(policy_loss, level="sequence", **CLIP)
cispo = partial(by_token, surrogate="cispo")


def double(rows):
    return torch.tensor(rows, dtype=torch.float64)


def log(rows):
    return double(rows).log()


RATIOS = log([[2.0, 0.5, 7.0], [0.5, 7.0, 7.0]])  # log-probs after sampling at log-probs of 0
OLD = torch.zeros(2, 3, dtype=torch.float64)
ADVANTAGE = double([1.5, -2.0])


def test_policy_loss_by_hand():
    """A good completion of two tokens and a bad one of one; clip to [0.9, 1.3], divide by 5:

    good, A = +1.5: min(2.0, 1.3) * 1.5 = 1.95 and min(0.5, 0.9) * 1.5 = 0.75
    bad,  A = -2:   min(-2 * 0.5, -2 * 0.9) = -1.8
    loss = -(1.95 + 0.75 - 1.8) / 5 = -0.18; the mean ratio is 1. Of three tokens, the first hits
    the upper bound and the last the lower; the second is outside, but free to return
    """
    loss, stats = by_token(RATIOS, OLD, ADVANTAGE, MASK, denominator=5)
    assert loss.item() == pytest.approx(-0.18)
    expected = {"ratio": 1.0, "clipped_low": 1 / 3, "clipped_high": 1 / 3}
    assert {name: value.item() for name, value in stats.items()} == pytest.approx(expected)


def test_the_ratio_has_the_policy_on_top():
    """Sampled at 0.4 and now at 0.5: ratio 1.25, inside the clip; the other way round 0.8."""
    one = torch.tensor([[True]])
    loss, stats = by_token(log([[0.5]]), log([[0.4]]), double([3.0]), one, denominator=1)
    assert loss.item() == pytest.approx(-3 * 1.25)
    assert stats["clipped_low"].item() == stats["clipped_high"].item() == 0


def test_the_policy_gradient_is_ratio_times_advantage_until_clipped():
    """d loss / d logprob = -ratio * A / denominator; none where a clip is the smaller term.

    A = +1.5: 1.1 passes, 2.0 is clipped away; A = -2: 2.0 passes, as a bad token may always
    shrink; padding has none.
    """
    logprobs = log([[1.1, 2.0, 7.0], [2.0, 7.0, 7.0]]).requires_grad_()
    by_token(logprobs, OLD, ADVANTAGE, MASK, denominator=5)[0].backward()
    torch.testing.assert_close(logprobs.grad, double([[-1.1 * 1.5, 0, 0], [2.0 * 2, 0, 0]]) / 5)


def test_the_second_side_bounds_a_bad_token_that_has_grown():
    """A = -2 at ratios 5 and 3, at most 4: 4 * 2 without gradient and 3 * 2 with it, over 5."""
    logprobs = log([[5.0, 3.0]]).requires_grad_()
    mask = torch.tensor([[True, True]])
    loss, stats = by_token(
        logprobs, OLD[:1, :2], double([-2.0]), mask, clip_ratio_c=4, denominator=5
    )
    loss.backward()
    assert loss.item() == pytest.approx((8 + 6) / 5)
    torch.testing.assert_close(logprobs.grad, double([[0, 6 / 5]]))
    assert stats["clipped_high"].item() == 0.5


def test_the_ratio_of_a_sequence_is_the_geometric_mean_of_its_tokens():
    """Ratios 8 and 0.5 have the geometric mean 2, whatever the padding; 0.7 is alone."""
    logprobs = log([[8.0, 0.5, 9.0], [0.7, 9.0, 9.0]])
    ratio = importance_ratio(logprobs, OLD, MASK, level="sequence")
    torch.testing.assert_close(ratio, double([[2.0] * 3, [0.7] * 3]))


def test_the_gradient_of_a_sequence_is_shared_by_its_tokens():
    """Ratio sqrt(1.5 * 0.8), inside the clip: with its own length 2 as denominator, each token
    gets -ratio * A / 2; ratio 2 of the second completion is clipped for all of it."""
    logprobs = log([[1.5, 0.8, 9.0], [8.0, 0.5, 9.0]]).requires_grad_()
    mask = torch.tensor([[True, True, False], [True, True, False]])
    own = loss_denominator(mask, loss_aggregation="sequence", completions=1, tokens=4, longest=3)
    loss, stats = by_sequence(logprobs, OLD, double([3.0, 1.0]), mask, denominator=own)
    loss.backward()
    share = -math.sqrt(1.2) * 3 / 2
    torch.testing.assert_close(logprobs.grad, double([[share, share, 0], [0, 0, 0]]))
    assert stats["clipped_high"].item() == 0.5


def test_cispo_bounds_the_weight_and_keeps_the_gradient():
    """d loss / d logprob = -clip(ratio) * A / 5: weights 1.3, 0.9 and 0.9, none dropped; the loss
    is that times the log-probs: (1.3 * ln 2 + 0.9 * ln 0.5) * 1.5 - 0.9 * 2 * ln 0.5."""
    logprobs = RATIOS.clone().requires_grad_()
    loss, stats = cispo(logprobs, OLD, ADVANTAGE, MASK, denominator=5)
    loss.backward()
    expected = double([[1.3 * 1.5, 0.9 * 1.5, 0], [-0.9 * 2, 0, 0]]) / -5
    torch.testing.assert_close(logprobs.grad, expected)
    gain = math.log(2) * (0.4 * 1.5 + 0.9 * 2)
    assert loss.item() == pytest.approx(-gain / 5)
    assert stats["clipped_low"].item() == pytest.approx(2 / 3)
    assert stats["clipped_high"].item() == pytest.approx(1 / 3)


def test_at_ratio_one_every_surrogate_has_the_gradient_of_reinforce():
    for loss in (by_token, cispo, partial(by_token, clip_ratio_c=3)):
        logprobs = RATIOS.clone().requires_grad_()
        loss(logprobs, RATIOS, ADVANTAGE, MASK, denominator=5)[0].backward()
        torch.testing.assert_close(logprobs.grad, double([[-1.5, -1.5, 0], [2, 0, 0]]) / 5)


def test_tokens_may_have_advantages_and_weights_of_their_own():
    """Ratio 0.5 throughout, over 2: -(0.5 * 1 * 0.5 + 0.5 * 2 * 0.25 - 0.9 * 3 * 4), of which only
    the last, of a bad token, is at its bound; the weights carry no gradient."""
    advantage, weight = double([[1, 2, 9], [-3, 9, 9]]), double([[0.5, 0.25, 9], [4, 9, 9]])
    logprobs, weight = log([[0.5] * 3] * 2).requires_grad_(), weight.requires_grad_()
    loss, stats = by_token(logprobs, OLD, advantage, MASK, weight=weight, denominator=2)
    loss.backward()
    assert loss.item() == pytest.approx((-0.25 - 0.25 + 10.8) / 2)
    assert weight.grad is None
    torch.testing.assert_close(logprobs.grad, double([[-0.125, -0.125, 0], [0, 0, 0]]))
    assert stats["clipped_low"].item() == pytest.approx(1 / 3)


def test_denominators_by_hand():
    """Lengths 2, 1 and 0, which counts as 1, of 10 completions; 7 tokens; 10 times 4."""
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    of = partial(loss_denominator, mask, completions=10, longest=4)
    assert of(loss_aggregation="sequence", tokens=7).tolist() == [[20], [10], [10]]
    assert of(loss_aggregation="token", tokens=7) == 7
    assert of(loss_aggregation="token", tokens=0) == 1
    assert of(loss_aggregation="constant", tokens=7) == 40


ESTIMATES = ("k1", "k2", "k3", "k3_corrected")
LOSSES = {
    "clip": partial(by_token, denominator=40),
    "sequence": partial(by_sequence, denominator=40),
    "cispo": partial(cispo, denominator=40),
    "two_sided": partial(by_token, clip_ratio_c=1.5, denominator=40),
}
for name in ESTIMATES:
    LOSSES[name] = partial(kl_loss, estimator=name, denominator=40)
LOSSES["sft"] = partial(sft_loss, denominator=40)
LOSSES["distillation"] = partial(distillation_loss, denominator=40)


def lose(name, logprobs, other, advantage, mask, **more):
    """Call any loss with what it needs of these."""
    if name in ESTIMATES:
        ratio = importance_ratio(logprobs, other, mask, level="token")
        return LOSSES[name](logprobs, other, mask, ratio=ratio, **more)
    if name in ("sft", "distillation"):
        return LOSSES[name](logprobs, mask, **more)
    return LOSSES[name](logprobs, other, advantage, mask, **more)


@pytest.mark.parametrize("average", ["sequence", "token", "constant"])
@pytest.mark.parametrize("name", LOSSES)
def test_micro_batches_add_up_to_the_whole_batch(name, average):
    generator = torch.Generator().manual_seed(3)
    logprobs = -torch.rand(5, 8, generator=generator, dtype=torch.float64)
    other = logprobs - 0.3 * torch.rand(5, 8, generator=generator, dtype=torch.float64)
    advantage = double([1.0, -0.5, 2.0, 0.0, -3.0])
    mask = torch.arange(8) < torch.tensor([[8], [1], [3], [5], [0]])

    def gradient(*parts):
        leaf = logprobs.clone().requires_grad_()
        for part in parts:
            share = loss_denominator(
                mask[part], loss_aggregation=average, completions=5, tokens=17, longest=8
            )
            of = (leaf[part], other[part], advantage[part], mask[part])
            lose(name, *of, denominator=share)[0].backward()
        return leaf.grad

    whole = gradient(slice(0, 5))
    torch.testing.assert_close(gradient(slice(0, 2), slice(2, 5)), whole, rtol=0, atol=1e-15)
    assert whole.abs().sum() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_with_nothing_to_train_costs_nothing(name):
    logprobs = torch.full((2, 3), -1.0, requires_grad=True)
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    loss, stats = lose(name, logprobs, torch.zeros(2, 3), torch.ones(2), nothing)
    loss.backward()
    assert loss.item() == 0
    assert all(value.item() == 0 for value in stats.values())
    assert (logprobs.grad == 0).all()


@pytest.mark.parametrize("other", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("name", LOSSES)
def test_what_stands_in_the_padding_stays_there(name, other):
    """In every argument, and in every gradient; and what is logged carries none."""
    logprobs = torch.full((2, 3), -1.0).masked_fill(~MASK, -math.inf).requires_grad_()
    filled = torch.full((2, 3), -1.5).masked_fill(~MASK, other)
    more = {} if name in {*ESTIMATES, "sft", "distillation"} else {"weight": filled.abs()}
    loss, stats = lose(name, logprobs, filled, filled, MASK, **more)
    loss.backward()
    assert loss.isfinite()
    assert stats
    assert all(value.isfinite() and not value.requires_grad for value in stats.values())
    assert logprobs.grad.isfinite().all()
    assert (logprobs.grad[~MASK] == 0).all()


def test_shifted_tensors_are_refused_by_name():
    good, short = torch.zeros(2, 3), torch.zeros(2, 2)
    of = {"estimator": "k3", "ratio": None, "denominator": 1}
    with pytest.raises(AssertionError, match=r"old_logprobs is \(2, 2\).*shifted by a token"):
        by_token(good, short, torch.zeros(2), MASK, denominator=1)
    with pytest.raises(AssertionError, match=r"weight is \(2, 2\)"):
        by_token(good, good, torch.zeros(2), MASK, weight=short, denominator=1)
    with pytest.raises(AssertionError, match=r"reference_logprobs is \(2, 2\)"):
        kl_loss(good, short, MASK, **of)
    with pytest.raises(AssertionError, match=r"logprobs is \(2, 2\) and loss_mask \(2, 3\)"):
        sft_loss(short, MASK, denominator=1)
    with pytest.raises(AssertionError, match=r"advantage is \(1, 2\)"):
        by_token(good, good, torch.zeros(1, 2), MASK, denominator=1)
    with pytest.raises(AssertionError, match=r"\(2,\) is no \(N, 1\)"):
        by_token(good, good, torch.zeros(2), MASK, denominator=torch.ones(2))
    with pytest.raises(AssertionError, match=r"ratio is None"):
        kl_loss(good, good, MASK, **{**of, "estimator": "k3_corrected"})
