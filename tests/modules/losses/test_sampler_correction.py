"""Weights of tokens whose sampler computes other probabilities, by hand and in the limit."""

import math

import pytest
import torch

from modules.losses.sampler_correction import correction_weights

MASK = torch.tensor([[True, True, False], [True, False, False]])


def double(rows):
    return torch.tensor(rows, dtype=torch.float64)


def log(rows):
    return double(rows).log()


def correct(kind, level, old=((0.6, 0.1, 9.0), (0.3, 9.0, 9.0))):
    """Ratios 3, 0.5 and 0.75 by token; 1.5 and 0.75 by sequence."""
    given = log(old).requires_grad_(), log([[0.2, 0.2, 0.1], [0.4, 0.1, 0.1]]), MASK
    return correction_weights(*given, kind=kind, level=level, low=0.6, high=2.0)


@pytest.mark.parametrize(
    ("kind", "level", "first", "second"),
    [
        ("truncate", "token", [2.0, 0.5], [0.75]),
        ("mask", "token", [0.0, 0.0], [0.75]),
        ("truncate", "sequence", [1.5, 1.5], [0.75]),
        ("mask", "sequence", [1.5, 1.5], [0.75]),
    ],
)
def test_corrections_by_hand(kind, level, first, second):
    weights, _ = correct(kind, level)
    assert weights[0, :2].tolist() == pytest.approx(first)
    assert weights[1, :1].tolist() == pytest.approx(second)


def test_the_weight_of_a_sequence_is_the_product_and_not_the_mean():
    """Ratios 3 and 1.5 make 4.5, which is cut to 2, and masked."""
    old = ((0.6, 0.3, 9.0), (0.2, 9.0, 9.0))
    assert correct("truncate", "sequence", old)[0][:, 0].tolist() == pytest.approx([2.0, 0.5])
    assert correct("mask", "sequence", old)[0][:, 0].tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["none", "truncate", "mask"])
def test_the_mismatch_is_told_whatever_the_kind(kind):
    """KL(sampler || trainer) by k3: (3 - 1 - ln 3) + (0.5 - 1 + ln 2) + (0.75 - 1 - ln 0.75)."""
    weights, stats = correct(kind, "sequence")
    assert weights is None if kind == "none" else not weights.requires_grad
    assert stats["mismatch_kl"].item() == pytest.approx((1.25 - math.log(3 * 0.5 * 0.75)) / 3)
    assert stats["mismatch_max"].item() == pytest.approx(math.log(3))
    assert stats["mismatch_ratio"].item() == pytest.approx(4.25 / 3)


@pytest.mark.parametrize("level", ["token", "sequence"])
def test_weights_do_not_overflow(level):
    far = torch.full((2, 3), 90.0)
    for kind, expected in (("truncate", 2.0), ("mask", 0.0)):
        limits = {"kind": kind, "level": level, "low": 0.5, "high": 2.0}
        weights, stats = correction_weights(far, torch.zeros(2, 3), MASK, **limits)
        assert (weights[MASK] == expected).all()
        assert all(value.isfinite() for value in stats.values())


def test_a_mismatch_of_rounding_is_no_negative_divergence():
    """In float32, exp(1e-5) - 1 - 1e-5 is rounding; the truth is 1e-10 / 2."""
    near = torch.full((2, 3), 1e-5)
    limits = {"kind": "none", "level": "token", "low": 0.5, "high": 2.0}
    _, stats = correction_weights(near, torch.zeros(2, 3), MASK, **limits)
    assert 0 <= stats["mismatch_kl"].item() < 1e-9
