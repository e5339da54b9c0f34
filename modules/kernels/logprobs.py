"""Log-probs and entropies of tokens, without logits of all tokens at once."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from modules.kernels.products import add_product


def fused_scores(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    suppressed: Tensor,
    temperature: float = 1.0,
    with_entropy: bool = True,
    chunk: int = 1024,
) -> tuple[Tensor, Tensor]:
    """Score each target, with the entropy of the distribution that it was drawn from.

    With p the tempered softmax over the tokens that are not suppressed: logprob = ln p_target and
    entropy = -Σ p ln p. Both carry gradients.

    Logits exist for `chunk` tokens at a time, forward and backward; the weight gradient is summed
    in float32. Costs one more head product than the plain twin and O(chunk * V) memory.

    Shapes: hidden (T, D), weight (V, D), targets (T,), suppressed (V,) -> (T,), (T,) float32

    Args:
        suppressed: True on tokens that have no probability, such as media placeholders.
        with_entropy: costs two more passes over the logits; without, the entropies are (0,).
    """
    device = hidden.device.type
    if torch.is_autocast_enabled(device):  # autograd functions must do by hand what ops do alone
        hidden, weight = (x.to(torch.get_autocast_dtype(device)) for x in (hidden, weight))
    with torch.autocast(device, enabled=False):
        out: tuple[Tensor, Tensor] = _ChunkedScores.apply(
            hidden, weight, targets, suppressed, temperature, chunk, with_entropy
        )
    return out


def plain_scores(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    suppressed: Tensor,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Compute the same as `fused_scores` with all logits in memory.

    Shapes: hidden (T, D), weight (V, D), targets (T,), suppressed (V,) -> (T,), (T,) float32
    """
    logprobs = _logits(hidden, weight, suppressed, temperature).log_softmax(-1)  # (T, V)
    finite = logprobs.masked_fill(suppressed, 0.0)  # 0 * -inf is not 0
    picked = logprobs.gather(1, targets.unsqueeze(1)).squeeze(1)
    return picked, -(finite.exp() * ~suppressed * finite).sum(-1)


def _logits(hidden: Tensor, weight: Tensor, suppressed: Tensor, temperature: float) -> Tensor:
    """Project to the vocabulary. Shapes: (T, D), (V, D), (V,) -> (T, V), at least float32"""
    logits = F.linear(hidden, weight)
    precise = logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature
    return precise.masked_fill(suppressed, float("-inf"))


class _ChunkedScores(Function):
    """Save the log-sum-exp of each token; recompute the logits in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,  # torch types the context as Any
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        suppressed: Tensor,
        temperature: float,
        chunk: int,
        with_entropy: bool,
    ) -> tuple[Tensor, Tensor]:
        precise = torch.promote_types(hidden.dtype, torch.float32)
        total = hidden.new_empty(len(hidden), dtype=precise)  # log-sum-exp
        picked = torch.empty_like(total)
        entropy = torch.empty_like(total if with_entropy else total[:0])
        for part in torch.arange(len(hidden), device=hidden.device).split(chunk):
            logits = _logits(hidden[part], weight, suppressed, temperature)  # (chunk, V)
            total[part] = logits.logsumexp(-1)
            picked[part] = logits.gather(1, targets[part].unsqueeze(1)).squeeze(1)
            if with_entropy:
                # Summed from -p ln p, which is 0 where p is: E[logit] - log-sum-exp would cancel.
                likely = logits.sub_(total[part].unsqueeze(1)).exp_()
                entropy[part] = torch.special.entr(likely).sum(-1)
        ctx.save_for_backward(hidden, weight, targets, suppressed, total, entropy)
        ctx.temperature, ctx.chunk = temperature, chunk
        ctx.set_materialize_grads(False)  # an entropy that is only logged costs no gradient
        return picked - total, entropy

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor | None, grad_entropy: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """With p the softmax and H its entropy, both by the logits times temperature:

        d logp_y = onehot_y - p,  d H = -p (ln p + H)
        """
        hidden, weight, targets, suppressed, total, entropy = ctx.saved_tensors
        grad_hidden = torch.empty_like(hidden)
        trained = ctx.needs_input_grad[1]  # a frozen head needs no V x D accumulator
        grad_weight = torch.zeros_like(weight, dtype=total.dtype) if trained else None
        grad = torch.zeros_like(total) if grad is None else grad
        for part in torch.arange(len(hidden), device=hidden.device).split(ctx.chunk):
            logits = _logits(hidden[part], weight, suppressed, ctx.temperature)
            likely = logits.sub_(total[part].unsqueeze(1)).exp_()  # (chunk, V)
            if grad_entropy is None:
                slope = likely.mul_(-grad[part].unsqueeze(1))
            else:
                wanted = grad_entropy[part].unsqueeze(1)
                slope = torch.special.entr(likely).mul_(wanted)
                slope -= likely.mul_(grad[part].unsqueeze(1) + wanted * entropy[part].unsqueeze(1))
            slope.scatter_add_(1, targets[part].unsqueeze(1), grad[part].unsqueeze(1))
            slope = slope.div_(ctx.temperature).to(hidden.dtype)
            grad_hidden[part] = slope @ weight
            if grad_weight is not None:
                add_product(grad_weight, slope.T, hidden[part])
        weight_grad = None if grad_weight is None else grad_weight.to(weight.dtype)
        return grad_hidden, weight_grad, None, None, None, None, None
