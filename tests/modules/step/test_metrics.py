"""What a step records, as one process reduces it."""

import pytest
import torch

from modules.step.metrics import StepMetrics


def test_numbers_that_float32_cannot_hold_are_kept():
    """2^24 + 1 tokens, and a mean of them with one more: (2^24 + 1 + 2 (2^24 + 4)) / 3."""
    metrics = StepMetrics()
    metrics.record({"tokens": 2.0**24 + 1, "share": 0.1})
    assert metrics.reduce() == {"tokens": 16777217.0, "share": 0.1}
    metrics.record({"tokens": 2.0**24 + 1})
    metrics.record({"tokens": 2.0**24 + 4}, weight=2.0)
    assert metrics.reduce() == {"tokens": 16777219.0}


def test_means_are_weighted_and_the_largest_is_taken_where_a_name_says_so():
    """Of 1 and 4, the second with weight 2: a mean of 3, of tensors with gradients as well."""
    metrics = StepMetrics()
    for value, weight in ((1.0, 1.0), (4.0, 2.0)):
        trained = torch.tensor(value, requires_grad=True)
        metrics.record({"loss": trained, "ratio_max": value}, weight=weight)
    assert metrics.reduce() == {"loss": pytest.approx(3), "ratio_max": 4.0}
    assert metrics.reduce() == {}
