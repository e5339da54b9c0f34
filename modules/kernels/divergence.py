"""Divergences between student and teacher, token by token, without logits of all tokens at once."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from configs.choices import DivergenceKind
from modules.kernels.products import add_product


def fused_divergence(
    hidden: Tensor,
    weight: Tensor,
    teacher_hidden: Tensor,
    teacher_weight: Tensor,
    *,
    suppressed: Tensor,
    kind: DivergenceKind,
    jsd_weight: float = 0.5,
    temperature: float = 1.0,
    top_k: int = 0,
    chunk: int = 256,
) -> Tensor:
    """Compare two heads token by token; with s and t the tempered softmax of student and teacher:

        reverse_kl  KL(s || t) = Σ s ln(s / t)
        forward_kl  KL(t || s) = Σ t ln(t / s)
        jsd         w KL(t || m) + (1 - w) KL(s || m),  m = w t + (1 - w) s

    The last is GKD's (arXiv 2306.13649) with w for its beta: as w nears 0 it is w times the
    forward KL, and as w nears 1, 1 - w times the reverse KL. No factor makes up for temperature.

    Logits exist for `chunk` tokens at a time, forward and backward; the weight gradient is summed
    in float32. The teacher gets no gradient.

    Shapes: hidden (T, D), weight (V, D), teacher_hidden (T, D'), teacher_weight (V', D'),
        suppressed (V,) -> (T,) float32

    Args:
        suppressed: True on tokens that have no probability in either. Nor have rows that only one
            head has: heads may be padded beyond the vocabulary that both share.
        top_k: compare the teacher's likeliest this many one by one, and all others as one outcome
            in both, which is never more than the whole divergence; 0 compares all.
    """
    device = hidden.device.type
    heads = (hidden, weight, teacher_hidden, teacher_weight)
    if torch.is_autocast_enabled(device):  # autograd functions must do by hand what ops do alone
        hidden, weight, teacher_hidden, teacher_weight = (
            part.to(torch.get_autocast_dtype(device)) for part in heads
        )
    rows = min(len(weight), len(teacher_weight))
    measure = _Measure(
        suppressed=suppressed[:rows],
        kind=kind,
        jsd_weight=jsd_weight,
        temperature=temperature,
        top_k=top_k if top_k < rows else 0,
    )
    with torch.autocast(device, enabled=False):
        out: Tensor = _ChunkedDivergence.apply(
            hidden, weight, teacher_hidden.detach(), teacher_weight.detach(), measure, chunk
        )
    return out


def plain_divergence(
    hidden: Tensor,
    weight: Tensor,
    teacher_hidden: Tensor,
    teacher_weight: Tensor,
    *,
    suppressed: Tensor,
    kind: DivergenceKind,
    jsd_weight: float = 0.5,
    temperature: float = 1.0,
    top_k: int = 0,
) -> Tensor:
    """Compute the same as `fused_divergence` with all logits in memory.

    Shapes: hidden (T, D), weight (V, D), teacher_hidden (T, D'), teacher_weight (V', D'),
        suppressed (V,) -> (T,) float32
    """
    allowed = (~suppressed[: len(teacher_weight)]).nonzero().squeeze(1)
    logits = F.linear(hidden, weight[allowed]), F.linear(teacher_hidden, teacher_weight[allowed])
    student, teacher = (
        (part.to(torch.promote_types(part.dtype, torch.float32)) / temperature).log_softmax(-1)
        for part in logits
    )  # (T, allowed) each
    teacher = teacher.detach()
    if 0 < top_k < len(allowed):
        order = teacher.argsort(dim=-1, descending=True)  # (T, allowed)
        student, teacher = (
            torch.cat([near[:, :top_k], near[:, top_k:].logsumexp(-1, keepdim=True)], dim=1)
            for near in (student.gather(1, order), teacher.gather(1, order))
        )  # (T, top_k + 1) each
    s, t = student.exp(), teacher.exp()
    if kind == "reverse_kl":
        return (s * (student - teacher)).sum(-1)
    if kind == "forward_kl":
        return (t * (teacher - student)).sum(-1)
    mixture = (jsd_weight * t + (1 - jsd_weight) * s).log()
    to_teacher, to_student = (t * (teacher - mixture)).sum(-1), (s * (student - mixture)).sum(-1)
    return jsd_weight * to_teacher + (1 - jsd_weight) * to_student


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """The tokens that are compared, and the divergence."""

    suppressed: Tensor
    """True on tokens without probability, of those that both heads have. (V,)"""

    kind: DivergenceKind
    jsd_weight: float
    temperature: float
    top_k: int

    def logprobs(self, hidden: Tensor, weight: Tensor) -> Tensor:
        """Shapes: (c, D), (V or more, D) -> (c, V), at least float32, -inf where suppressed"""
        logits = F.linear(hidden, weight[: len(self.suppressed)])
        precise = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.temperature != 1:
            precise = precise / self.temperature
        return precise.masked_fill(self.suppressed, -math.inf).log_softmax(-1)

    def outcomes(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Reduce to the teacher's likeliest tokens, with their ids, and the rest as one outcome.

        Shapes: (c, V), (c, V) -> (c, K + 1), (c, K + 1), (c, K); or as they are where all count
        """
        if not self.top_k:
            return student, teacher, None
        likeliest = teacher.topk(self.top_k).indices  # (c, K)
        coarse = (
            torch.cat(
                [
                    logprobs.gather(1, likeliest),
                    logprobs.scatter(1, likeliest, -math.inf).logsumexp(1, keepdim=True),
                ],
                dim=1,
            )
            for logprobs in (student, teacher)
        )
        return next(coarse), next(coarse), likeliest

    def value(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the divergence of outcomes. Shapes: (c, O), (c, O) -> (c,)"""
        if self.kind == "reverse_kl":
            return (student.exp() * _gap(student, teacher)).sum(-1)
        if self.kind == "forward_kl":
            return (teacher.exp() * _gap(teacher, student)).sum(-1)
        mixture = self._mixture(student, teacher)
        to_teacher = (teacher.exp() * _gap(teacher, mixture)).sum(-1)
        to_student = (student.exp() * _gap(student, mixture)).sum(-1)
        return self.jsd_weight * to_teacher + (1 - self.jsd_weight) * to_student

    def slope(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Differentiate by the student's logits of the outcomes, tempered ones.

        With g the derivative by s, that is s (g - Σ s g): g is ln(s / t) for the reverse KL and
        (1 - w) ln(s / m) for jsd; for the forward KL it comes to s - t.

        Shapes: (c, O), (c, O) -> (c, O)
        """
        likely = student.exp()
        if self.kind == "forward_kl":
            return likely - teacher.exp()
        if self.kind == "reverse_kl":
            steep = _gap(student, teacher)
        else:
            gap = _gap(student, self._mixture(student, teacher))
            steep = gap.mul_(1 - self.jsd_weight)
        return likely * (steep - (likely * steep).sum(-1, keepdim=True))

    def _mixture(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Shapes: (c, O), (c, O) -> (c, O), the logs of w t + (1 - w) s"""
        w = self.jsd_weight
        return torch.logaddexp(teacher + math.log(w), student + math.log1p(-w))


def _gap(one: Tensor, other: Tensor) -> Tensor:
    """Subtract log-probs, 0 where `one` is impossible: -inf - -inf is not a number."""
    return (one - other).masked_fill_(one.isneginf(), 0.0)


class _ChunkedDivergence(Function):
    """Save no logits; recompute them in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,  # torch types the context as Any
        hidden: Tensor,
        weight: Tensor,
        teacher_hidden: Tensor,
        teacher_weight: Tensor,
        measure: _Measure,
        chunk: int,
    ) -> Tensor:
        precise = torch.promote_types(hidden.dtype, torch.float32)
        out = hidden.new_empty(len(hidden), dtype=precise)
        for part in torch.arange(len(hidden), device=hidden.device).split(chunk):
            student = measure.logprobs(hidden[part], weight)  # (chunk, V)
            teacher = measure.logprobs(teacher_hidden[part], teacher_weight)
            out[part] = measure.value(*measure.outcomes(student, teacher)[:2]).to(precise)
        ctx.save_for_backward(hidden, weight, teacher_hidden, teacher_weight)
        ctx.measure, ctx.chunk = measure, chunk
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Spread the slope of an outcome over its tokens by their share in it, s / Σ s."""
        hidden, weight, teacher_hidden, teacher_weight = ctx.saved_tensors
        measure: _Measure = ctx.measure
        rows = len(measure.suppressed)
        grad_hidden = torch.empty_like(hidden)
        trained = ctx.needs_input_grad[1]  # a frozen head needs no V x D accumulator
        grad_weight = torch.zeros_like(weight, dtype=grad.dtype) if trained else None
        for part in torch.arange(len(hidden), device=hidden.device).split(ctx.chunk):
            student = measure.logprobs(hidden[part], weight)  # (chunk, V)
            teacher = measure.logprobs(teacher_hidden[part], teacher_weight)
            *outcomes, likeliest = measure.outcomes(student, teacher)
            slope = measure.slope(*outcomes)  # (chunk, V), or (chunk, K + 1)
            if likeliest is not None:
                share = student.sub_(outcomes[0][:, -1:]).exp_()  # of each token in the rest
                share = share.masked_fill_(measure.suppressed, 0.0) * slope[:, -1:]
                slope = share.scatter_(1, likeliest, slope[:, :-1])
            slope = slope.mul_(grad[part].unsqueeze(1) / measure.temperature).to(hidden.dtype)
            grad_hidden[part] = slope @ weight[:rows]
            if grad_weight is not None:
                add_product(grad_weight[:rows], slope.T, hidden[part])
        weight_grad = None if grad_weight is None else grad_weight.to(weight.dtype)
        return grad_hidden, weight_grad, None, None, None, None
