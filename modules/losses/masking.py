"""Sums and means over the tokens that train, whatever the padding holds."""

from torch import Tensor

MAX_LOG_RATIO = 20.0
"""Bound of log-ratios between different samplers before the exponential, which float32 holds up to
88. No bound of weights in use is that large, so that it changes none."""


def masked(values: Tensor, loss_mask: Tensor) -> Tensor:
    """Set tokens that do not train to zero; padding may hold infinities, which times zero would be
    NaN. Shapes: (N, T) -> the same"""
    return values.masked_fill(~loss_mask, 0.0)


def masked_mean(values: Tensor, loss_mask: Tensor) -> Tensor:
    """Average over the tokens that train, for the log; zero where there are none. Shapes: -> ()"""
    return masked(values.detach(), loss_mask).sum() / loss_mask.sum().clamp(min=1)


def masked_sum(values: Tensor, loss_mask: Tensor, denominator: float | Tensor) -> Tensor:
    """Sum over the tokens that train, divided by the denominator. Shapes: -> ()"""
    if isinstance(denominator, Tensor):
        assert denominator.shape == (len(values), 1), f"{tuple(denominator.shape)} is no (N, 1)"
    return (masked(values, loss_mask) / denominator).sum()


def check_shapes(loss_mask: Tensor, **tensors: Tensor) -> None:
    """Assert that no tensor has another shape than the mask."""
    for name, tensor in tensors.items():
        assert tensor.shape == loss_mask.shape, (
            f"{name} is {tuple(tensor.shape)} and loss_mask {tuple(loss_mask.shape)}, but both are "
            "(N, T): was one shifted by a token, and the other not?"
        )


def lengths(loss_mask: Tensor) -> Tensor:
    """Count the tokens of each completion that train, at least 1. Shapes: (N, T) -> (N, 1)"""
    return loss_mask.sum(1, keepdim=True).clamp(min=1)
