"""The clipped policy gradient: importance ratios, the surrogate objective, and its denominator.

A loss returns `(loss, stats)` and divides by a denominator of its caller, never by the number of
its own tokens: summed over micro-batches and ranks it is then the loss of one large batch. The
level of the importance ratio, its bounds and the denominator are independent choices; named
algorithms are configurations of them.
"""

import math

import torch
from torch import Tensor

from configs.choices import Average, Level, Surrogate
from modules.losses.masking import check_shapes, lengths, masked, masked_mean, masked_sum


def importance_ratio(
    logprobs: Tensor, old_logprobs: Tensor, loss_mask: Tensor, *, level: Level
) -> Tensor:
    """Compute importance ratios: the policy in training over the one before its updates.

        token:    exp(logprobs_t - old_logprobs_t)
        sequence: exp(mean_t(logprobs_t - old_logprobs_t)), for each token of the completion

    The second is GSPO's (2507.18071): a geometric mean, so that all tokens are bounded or none is.

    Shapes: logprobs, old_logprobs, loss_mask (N, T) -> (N, T)
    """
    check_shapes(loss_mask, logprobs=logprobs, old_logprobs=old_logprobs)
    log_ratio = masked(logprobs - old_logprobs, loss_mask)  # (N, T)
    if level == "sequence":
        mean = log_ratio.sum(1, keepdim=True) / lengths(loss_mask)  # (N, 1)
        log_ratio = mean.expand_as(log_ratio)  # (N, T)
    return log_ratio.exp()


def policy_loss(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantage: Tensor,
    loss_mask: Tensor,
    *,
    level: Level,
    surrogate: Surrogate,
    clip_low: float,
    clip_high: float,
    clip_ratio_c: float | None,
    weight: Tensor | None = None,
    denominator: float | Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Make the tokens of better completions likelier, but not far from where they were sampled.

        bounded = clip(ratio_t, 1 - clip_low, 1 + clip_high)
        clip:  gain_t = min(min(ratio_t, clip_ratio_c) A_t, bounded A_t)    PPO; 2-sided 2505.07291
        cispo: gain_t = constant(bounded) A_t logprobs_t                 2506.13585
        loss = -Σ weight_t gain_t / denominator

    A wider clip_high than clip_low lets rare tokens grow (DAPO, 2503.14476). `clip_ratio_c` bounds
    what `clip` leaves open: a bad token that has grown.

    Shapes: logprobs, old_logprobs, loss_mask, weight (N, T); advantage (N,) or (N, T) -> loss ()

    Args:
        logprobs: under the policy in training; carries the gradient.
        old_logprobs: of the same weights before the first update on these rollouts.
        weight: of each token, such as `correction_weights`; carries no gradient.
        denominator: see `loss_denominator`.
    """
    ratio = importance_ratio(logprobs, old_logprobs, loss_mask, level=level)  # (N, T)
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)  # (N, T)
    low, high = ratio < bounded, ratio > bounded  # (N, T)
    advantage = _by_token(advantage, loss_mask)  # (N, T)
    if surrogate == "cispo":
        gain = bounded.detach() * advantage * logprobs  # (N, T)
    else:
        limit = math.inf if clip_ratio_c is None else clip_ratio_c
        gain = torch.minimum(ratio.clamp(max=limit) * advantage, bounded * advantage)  # (N, T)
        low = low & (advantage < 0)
        high = (high & (advantage > 0)) | ((ratio > limit) & (advantage < 0))
    if weight is not None:
        check_shapes(loss_mask, weight=weight)
        gain = gain * masked(weight.detach(), loss_mask)
    stats = {"ratio": ratio, "clipped_low": low.float(), "clipped_high": high.float()}
    means = {name: masked_mean(values, loss_mask) for name, values in stats.items()}
    return -masked_sum(gain, loss_mask, denominator), means


def loss_denominator(
    loss_mask: Tensor, *, loss_aggregation: Average, completions: int, tokens: int, longest: int
) -> float | Tensor:
    """Choose what sums over tokens are divided by. Papers differ here:

        sequence: own length * completions    GRPO (2402.03300), GSPO; favors short right and long
                                              wrong completions
        token:    tokens                      DAPO (2503.14476)
        constant: completions * longest       Dr. GRPO (2503.20783)

    Shapes: loss_mask (N, T) -> (N, 1) for sequence, else a number

    Args:
        completions: of the whole optimizer step, over all micro-batches and ranks.
        tokens: that train in the whole optimizer step, likewise.
        longest: tokens that a completion may have.
    """
    if loss_aggregation == "sequence":
        return lengths(loss_mask) * completions
    return float(max(tokens, 1) if loss_aggregation == "token" else completions * longest)


def _by_token(advantage: Tensor, loss_mask: Tensor) -> Tensor:
    """Give each token the advantage of its completion. Shapes: (N,) or (N, T) -> (N, T)"""
    if advantage.shape == loss_mask.shape[:1]:
        advantage = advantage.unsqueeze(1).expand_as(loss_mask)  # (N, T)
    check_shapes(loss_mask, advantage=advantage)
    return masked(advantage, loss_mask)
