"""Estimates of KL by hand, and their gradients in closed form."""

import math

import pytest
import torch

from modules.losses.kl import kl_estimate, kl_loss
from modules.losses.policy_gradient import importance_ratio

MASK = torch.tensor([[True, True, False], [True, False, False]])


def double(rows):
    return torch.tensor(rows, dtype=torch.float64)


def log(rows):
    return double(rows).log()


POLICY, REFERENCE = [[0.8, 0.2, 0.1], [0.1, 0.1, 0.1]], [[0.4, 0.4, 0.9], [0.4, 0.9, 0.9]]
LN2 = math.log(2)
ESTIMATES = {  # where reference over policy is 0.5, 2 and 4
    "k1": (LN2, -LN2, -2 * LN2),
    "k2": (LN2**2 / 2, LN2**2 / 2, 2 * LN2**2),
    "k3": (LN2 - 0.5, 1 - LN2, 3 - 2 * LN2),
    "k3_corrected": (1.5 * (LN2 - 0.5), 0.5 * (1 - LN2), 3 * (3 - 2 * LN2)),
}


@pytest.mark.parametrize("estimator", ESTIMATES)
def test_divergences_by_hand(estimator):
    """What is logged is k3 whatever the estimator; the loss is the sum over 5."""
    ratio = double([[1.5, 0.5, 9.0], [3.0, 9.0, 9.0]])
    first, second, third = ESTIMATES[estimator]
    given, of = (log(POLICY), log(REFERENCE), MASK), {"estimator": estimator, "ratio": ratio}
    each = kl_estimate(*given, **of)
    torch.testing.assert_close(each, double([[first, second, 0], [third, 0, 0]]))
    loss, stats = kl_loss(*given, **of, denominator=5)
    assert loss.item() == pytest.approx(sum(ESTIMATES[estimator]) / 5)
    assert stats["kl"].item() == pytest.approx(sum(ESTIMATES["k3"]) / 3)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [("k1", (1, 1)), ("k2", (LN2, -2 * LN2)), ("k3", (1 - 0.5, 1 - 4))],
)
def test_the_kl_gradient_pulls_towards_the_reference(estimator, expected):
    """d loss / d logprob over 2: k1 pulls all alike, k2 by -delta, k3 by 1 - exp(delta)."""
    logprobs = log([[0.8, 0.1]]).requires_grad_()
    mask, of = torch.tensor([[True, True]]), {"estimator": estimator, "ratio": None}
    kl_loss(logprobs, log([[0.4, 0.4]]), mask, denominator=2, **of)[0].backward()
    torch.testing.assert_close(logprobs.grad, double([expected]) / 2)


@pytest.mark.parametrize("sampler", [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])
def test_corrected_k3_has_value_and_gradient_of_the_divergence_whoever_sampled(sampler):
    """Over a whole vocabulary, weighted by the sampler: KL(p||q), and d KL(p||q) / d logits."""
    logits = double([0.9, -0.4, 0.3]).requires_grad_()
    policy, reference, old = logits.log_softmax(0), log([0.3, 0.3, 0.4]), log(sampler)
    column = [values.unsqueeze(1) for values in (policy, reference, old)]  # a token a row
    mask = torch.ones(3, 1, dtype=torch.bool)
    ratio = importance_ratio(column[0], column[2], mask, level="token")
    rarity = 1 / old.exp().unsqueeze(1)  # weighs each token by its probability
    loss, _ = kl_loss(*column[:2], mask, estimator="k3_corrected", ratio=ratio, denominator=rarity)
    truth = (policy.exp() * (policy - reference)).sum()
    assert loss.item() == pytest.approx(truth.item())
    actual = torch.autograd.grad(loss, logits, retain_graph=True)
    torch.testing.assert_close(actual, torch.autograd.grad(truth, logits))
