"""Losses of imitation by hand."""

import math

import pytest
import torch

from modules.losses.supervised import distillation_loss, sft_loss

MASK = torch.tensor([[True, True, False], [True, False, False]])


def test_sft_loss_by_hand():
    """Tokens of probability 1/2, 1/4 and 1/8 cost 6 ln 2 in all; over 4, and over 3 for the log."""
    likely = torch.tensor([[0.5, 0.25, 0.9], [0.125, 0.9, 0.9]], dtype=torch.float64)
    logprobs = likely.log().requires_grad_()
    loss, stats = sft_loss(logprobs, MASK, denominator=4)
    loss.backward()
    assert loss.item() == pytest.approx(6 * math.log(2) / 4)
    assert stats["nll"].item() == pytest.approx(2 * math.log(2))
    torch.testing.assert_close(logprobs.grad, -MASK.double() / 4)


def test_distillation_loss_by_hand():
    """Divergences of 3, 5 and 1 where tokens are marked: 9 over 4, and over 3 for the log."""
    apart = torch.tensor([[3.0, 5.0, 7.0], [1.0, 7.0, 7.0]], requires_grad=True)
    loss, stats = distillation_loss(apart, MASK, denominator=4)
    loss.backward()
    assert loss.item() == pytest.approx(9 / 4)
    assert stats["divergence"].item() == pytest.approx(3)
    torch.testing.assert_close(apart.grad, MASK.float() / 4)
