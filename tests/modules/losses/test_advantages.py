"""Advantages by hand, and where they must be nothing."""

import math

import pytest
import torch

from modules.losses.advantages import STD_EPS, center_rewards, nonzero_std, scale_advantages

REWARD = torch.tensor([[3.0, 0.0, 0.0], [0.75, 0.0, 0.0]], dtype=torch.float64)


def close(actual, rows):
    torch.testing.assert_close(actual, torch.tensor(rows, dtype=torch.float64))


def test_group_is_the_distance_from_the_groups_mean():
    """Means 1 and 0.25: (3 - 1, 0 - 1, 0 - 1) and (0.75 - 0.25, 0 - 0.25, 0 - 0.25)."""
    close(center_rewards(REWARD, baseline="group"), [[2, -1, -1], [0.5, -0.25, -0.25]])


def test_leave_one_out_is_the_distance_from_the_siblings_mean():
    """Of (3, 0, 0): 3 - 0, and 0 - (3 + 0) / 2; of (0.75, 0, 0): 0.75 and -0.375."""
    close(
        center_rewards(REWARD, baseline="leave_one_out"), [[3, -1.5, -1.5], [0.75, -0.375, -0.375]]
    )


def test_batch_is_the_distance_from_the_given_mean():
    """The mean of all ranks may be 0.5 though the rewards here have another."""
    actual = center_rewards(REWARD, baseline="batch", batch_mean=0.5)
    close(actual, [[2.5, -0.5, -0.5], [0.25, -0.5, -0.5]])


def test_group_scale_is_the_sample_standard_deviation():
    """(2, -1, -1) has the sample variance (4 + 1 + 1) / 2 = 3, its quarter the 16th of that."""
    actual = scale_advantages(center_rewards(REWARD, baseline="group"), scale_rewards="group")
    first = [value / (math.sqrt(3) + STD_EPS) for value in (2, -1, -1)]
    second = [value / (math.sqrt(3 / 16) + STD_EPS) for value in (0.5, -0.25, -0.25)]
    close(actual, [first, second])


def test_batch_scale_is_the_given_standard_deviation():
    actual = scale_advantages(
        torch.tensor([[3.0, -1.0]], dtype=torch.float64), scale_rewards="batch", batch_std=4.0
    )
    close(actual, [[3 / (4 + STD_EPS), -1 / (4 + STD_EPS)]])


def test_no_scale_leaves_what_it_is_given():
    assert scale_advantages(REWARD, scale_rewards="none") is REWARD


@pytest.mark.parametrize("baseline", ["group", "leave_one_out"])
@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_a_unanimous_group_has_exactly_no_advantage(baseline, scale):
    """The mean of seven times 0.1 is not 0.1 in floating point; that must not become a signal."""
    reward = torch.full((2, 7), 0.1)
    reward[1, 3] = 0.9
    advantage = scale_advantages(
        center_rewards(reward, baseline=baseline), scale_rewards=scale, batch_std=0.3
    )
    assert (advantage[0] == 0).all()
    assert (advantage[1] != 0).all()


def test_a_unanimous_group_may_be_better_than_the_batch():
    reward = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    actual = center_rewards(reward, baseline="batch", batch_mean=0.25)
    torch.testing.assert_close(actual, torch.tensor([[0.75, 0.75], [-0.25, -0.25]]))


def test_a_group_is_informative_if_it_has_spread():
    reward = torch.tensor([[0.1, 0.1, 0.1], [0.1, 0.1, 0.2], [0.0, 0.0, 0.0]])
    assert nonzero_std(reward).tolist() == [False, True, False]


@pytest.mark.parametrize("shape", [(4,), (3, 1), (2, 2, 2)])
def test_an_advantage_needs_siblings(shape):
    values, rule = torch.zeros(shape), r"\(B, G\) of G > 1"
    with pytest.raises(AssertionError, match=rule):
        center_rewards(values, baseline="group")
    with pytest.raises(AssertionError, match=rule):
        scale_advantages(values, scale_rewards="none")
    with pytest.raises(AssertionError, match=rule):
        nonzero_std(values)


def test_what_only_the_caller_knows_must_be_given():
    with pytest.raises(AssertionError, match="batch_mean is None"):
        center_rewards(REWARD, baseline="batch")
    with pytest.raises(AssertionError, match="batch_std is None"):
        scale_advantages(REWARD, scale_rewards="batch")
