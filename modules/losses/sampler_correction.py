"""Importance weights for rollouts whose sampler computes other probabilities than the trainer."""

import torch
from torch import Tensor

from configs.choices import Correction, Level
from modules.losses.masking import MAX_LOG_RATIO, check_shapes, masked, masked_mean


@torch.no_grad()
def correction_weights(
    old_logprobs: Tensor,
    rollout_logprobs: Tensor,
    loss_mask: Tensor,
    *,
    kind: Correction,
    level: Level,
    low: float,
    high: float,
) -> tuple[Tensor | None, dict[str, Tensor]]:
    """Weight tokens by the ratio of trainer to sampler, which may compute other probabilities.

        token:    w = exp(old_logprobs_t - rollout_logprobs_t)
        sequence: w = exp(Σ_t(old_logprobs_t - rollout_logprobs_t)), for each of its tokens
        truncate: min(w, high)                        TIS (Yao et al., 2025)
        mask:     w where low <= w <= high, else 0    IcePop (2510.18855)

    Unlike in `importance_ratio`, the level of sequences takes the product, which is the true
    weight of a completion; it is far from 1 much sooner.

    The stats measure how far the two are apart, for every kind: KL(sampler || trainer) by k3, the
    largest difference of log-probs, and the mean of w by token.

    Shapes: old_logprobs, rollout_logprobs, loss_mask (N, T) -> (N, T)
    """
    check_shapes(loss_mask, old_logprobs=old_logprobs, rollout_logprobs=rollout_logprobs)
    log_ratio = masked(old_logprobs - rollout_logprobs, loss_mask)  # (N, T)
    bounded = log_ratio.clamp(max=MAX_LOG_RATIO)  # (N, T)
    stats = {
        "mismatch_kl": masked_mean(bounded.expm1() - log_ratio, loss_mask),
        "mismatch_max": log_ratio.abs().amax(),
        "mismatch_ratio": masked_mean(bounded.exp(), loss_mask),
    }
    if kind == "none":
        return None, stats
    if level == "sequence":
        product = log_ratio.sum(1, keepdim=True).clamp(max=MAX_LOG_RATIO)  # (N, 1), its log
        bounded = product.expand_as(log_ratio)  # (N, T)
    weight = bounded.exp()  # (N, T)
    if kind == "truncate":
        return weight.clamp(max=high), stats
    return weight.masked_fill((weight < low) | (weight > high), 0.0), stats
