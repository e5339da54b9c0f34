"""Log-probabilities of chosen tokens without ever holding logits for all of them at once."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable


def fused_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    banned: Tensor,
    temperature: float = 1.0,
    chunk: int = 1024,
) -> Tensor:
    """Score each target under the tempered softmax of the language-model head.

    Logits exist for `chunk` tokens at a time, forward and backward; the weight gradient is summed
    in float32. Costs one more head product than the plain twin and O(chunk * V) memory.

    Shapes: hidden (T, D), weight (V, D), targets (T,), banned (V,) -> (T,) float32

    Args:
        banned: True on tokens that have no probability, such as media placeholders.
    """
    device = hidden.device.type
    if torch.is_autocast_enabled(device):  # autograd functions must do by hand what ops do alone
        hidden, weight = (x.to(torch.get_autocast_dtype(device)) for x in (hidden, weight))
    with torch.autocast(device, enabled=False):
        out: Tensor = _ChunkedLogprobs.apply(hidden, weight, targets, banned, temperature, chunk)
    return out


def plain_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    banned: Tensor,
    temperature: float = 1.0,
    chunk: int = 1024,
) -> Tensor:
    """Do the same with all logits in memory; `chunk` is ignored.

    Shapes: hidden (T, D), weight (V, D), targets (T,), banned (V,) -> (T,) float32
    """
    logits = _logits(hidden, weight, banned, temperature)
    return logits.log_softmax(-1).gather(1, targets.unsqueeze(1)).squeeze(1)


def _logits(hidden: Tensor, weight: Tensor, banned: Tensor, temperature: float) -> Tensor:
    """Project to the vocabulary. Shapes: (T, D), (V, D), (V,) -> (T, V), at least float32"""
    logits = F.linear(hidden, weight)
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    return precise.masked_fill(banned, float("-inf"))


class _ChunkedLogprobs(Function):
    """Keep the log-sum-exp of each token; recompute the logits when the gradient is asked for."""

    @staticmethod
    def forward(
        ctx: Any,  # torch types the context as Any
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        banned: Tensor,
        temperature: float,
        chunk: int,
    ) -> Tensor:
        precise = torch.promote_types(hidden.dtype, torch.float32)
        total = hidden.new_empty(len(hidden), dtype=precise)  # log-sum-exp
        picked = torch.empty_like(total)
        for part in torch.arange(len(hidden), device=hidden.device).split(chunk):
            logits = _logits(hidden[part], weight, banned, temperature)  # (chunk, V)
            total[part] = logits.logsumexp(-1)
            picked[part] = logits.gather(1, targets[part].unsqueeze(1)).squeeze(1)
        ctx.save_for_backward(hidden, weight, targets, banned, total)
        ctx.temperature, ctx.chunk = temperature, chunk
        return picked - total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """With p the softmax: d logp_y / d logits = (onehot_y - p) / temperature."""
        hidden, weight, targets, banned, total = ctx.saved_tensors
        grad_hidden = torch.empty_like(hidden)
        trained = ctx.needs_input_grad[1]  # a frozen head needs no V x D accumulator
        grad_weight = torch.zeros_like(weight, dtype=total.dtype) if trained else None
        for part in torch.arange(len(hidden), device=hidden.device).split(ctx.chunk):
            logits = _logits(hidden[part], weight, banned, ctx.temperature)
            slope = -(logits - total[part].unsqueeze(1)).exp()  # (chunk, V)
            slope.scatter_add_(1, targets[part].unsqueeze(1), torch.ones_like(slope[:, :1]))
            slope = slope * (grad[part] / ctx.temperature).unsqueeze(1)
            slope = slope.to(hidden.dtype)
            grad_hidden[part] = slope @ weight
            if grad_weight is not None:
                grad_weight += (slope.T @ hidden[part]).to(grad_weight.dtype)
        weight_grad = None if grad_weight is None else grad_weight.to(weight.dtype)
        return grad_hidden, weight_grad, None, None, None, None
