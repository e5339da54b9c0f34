"""Every loss: pure functions of tensors.

A loss returns `(loss, stats)` and divides by what its caller names, never by the number of tokens
at hand: summed over micro-batches and ranks it is then the loss of one large batch. Objectives are
choices that do not depend on one another: the level of the importance ratio, how it is bounded,
the denominator, the correction of another sampler. Named algorithms are configs over these.
"""

import math

import torch
from torch import Tensor

from configs.choices import Average, Correction, Estimator, Level, Surrogate

MAX_LOG_RATIO = 20.0
"""Bound of log-ratios between different samplers before the exponential, which float32 holds up to
88. No bound of weights in use is that large, so that it changes none."""


def importance_ratio(
    logprobs: Tensor, old_logprobs: Tensor, loss_mask: Tensor, *, level: Level
) -> Tensor:
    """Weigh tokens by how much likelier the policy in training makes them than the one before.

        token:    exp(logprobs_t - old_logprobs_t)
        sequence: exp(mean_t(logprobs_t - old_logprobs_t)), for each token of the completion

    The second is GSPO's (2507.18071): a geometric mean, so that all tokens are bounded or none is.

    Shapes: logprobs, old_logprobs, loss_mask (N, T) -> (N, T)
    """
    check_shapes(loss_mask, logprobs=logprobs, old_logprobs=old_logprobs)
    log_ratio = masked(logprobs - old_logprobs, loss_mask)  # (N, T)
    if level == "sequence":
        mean = log_ratio.sum(1, keepdim=True) / _lengths(loss_mask)  # (N, 1)
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
    ratio_max: float | None,
    weight: Tensor | None = None,
    denominator: float | Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Make the tokens of better completions likelier, but not far from where they were sampled.

        bounded = clip(ratio_t, 1 - clip_low, 1 + clip_high)
        clip:  gain_t = min(min(ratio_t, ratio_max) A_t, bounded A_t)    PPO; 2-sided 2505.07291
        cispo: gain_t = constant(bounded) A_t logprobs_t                 2506.13585
        loss = -Σ weight_t gain_t / denominator

    A wider clip_high than clip_low lets rare tokens grow (DAPO, 2503.14476). `ratio_max` bounds
    what `clip` leaves open: a bad token that has grown.

    Shapes: logprobs, old_logprobs, loss_mask, weight (N, T); advantage (N,) or (N, T) -> loss ()

    Args:
        logprobs: under the policy in training; carries the gradient.
        old_logprobs: of the same weights before the first update on these rollouts.
        weight: of each token, such as `correction_weights`; carries no gradient.
        denominator: see the function of that name.
    """
    ratio = importance_ratio(logprobs, old_logprobs, loss_mask, level=level)  # (N, T)
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high)  # (N, T)
    low, high = ratio < bounded, ratio > bounded  # (N, T)
    advantage = _by_token(advantage, loss_mask)  # (N, T)
    if surrogate == "cispo":
        gain = bounded.detach() * advantage * logprobs  # (N, T)
    else:
        limit = math.inf if ratio_max is None else ratio_max
        gain = torch.minimum(ratio.clamp(max=limit) * advantage, bounded * advantage)  # (N, T)
        low = low & (advantage < 0)
        high = (high & (advantage > 0)) | ((ratio > limit) & (advantage < 0))
    if weight is not None:
        check_shapes(loss_mask, weight=weight)
        gain = gain * masked(weight.detach(), loss_mask)
    stats = {"ratio": ratio, "clipped_low": low.float(), "clipped_high": high.float()}
    means = {name: masked_mean(values, loss_mask) for name, values in stats.items()}
    return -total(gain, loss_mask, denominator), means


def denominator(
    loss_mask: Tensor, *, average: Average, completions: int, tokens: int, longest: int
) -> float | Tensor:
    """Say what sums over tokens are divided by. Papers differ here:

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
    if average == "sequence":
        return _lengths(loss_mask) * completions
    return float(max(tokens, 1) if average == "token" else completions * longest)


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
    """Weigh tokens by trainer over sampler, where the two give other probabilities to the same.

        token:    w = exp(old_logprobs_t - rollout_logprobs_t)
        sequence: w = exp(Σ_t(old_logprobs_t - rollout_logprobs_t)), for each of its tokens
        truncate: min(w, high)                        TIS (Yao et al., 2025)
        mask:     w where low <= w <= high, else 0    IcePop (2510.18855)

    Unlike in `importance_ratio`, the level of sequences takes the product, which is the true
    weight of a completion; it is far from 1 much sooner.

    The stats say how far the two are apart, whatever the kind: KL(sampler || trainer) by k3, the
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
        together = log_ratio.sum(1, keepdim=True).clamp(max=MAX_LOG_RATIO)  # (N, 1)
        bounded = together.expand_as(log_ratio)  # (N, T)
    weight = bounded.exp()  # (N, T)
    if kind == "truncate":
        return weight.clamp(max=high), stats
    return weight.masked_fill((weight < low) | (weight > high), 0.0), stats


def divergence(
    logprobs: Tensor,
    reference_logprobs: Tensor,
    loss_mask: Tensor,
    *,
    estimator: Estimator,
    ratio: Tensor | None = None,
) -> Tensor:
    """Estimate KL(policy || reference) at each sampled token; zero where nothing trains.

        delta = reference_logprobs - logprobs
        k1 = -delta                       k3 = exp(delta) - 1 - delta
        k2 = delta² / 2                   k3_corrected = ratio * k3

    Schulman's: k1 and k3 average to the divergence where the policy itself sampled the tokens, and
    k3 is never negative. The gradient of k1 averages to zero, so that it is for rewards. The last
    is DeepSeek-V3.2's (2512.02556), for tokens of an older policy; gradient flows through both
    factors, so that its average is that of the divergence.

    Shapes: logprobs, reference_logprobs, loss_mask, ratio (N, T) -> (N, T)

    Args:
        ratio: `importance_ratio`, which only k3_corrected needs.
    """
    check_shapes(loss_mask, logprobs=logprobs, reference_logprobs=reference_logprobs)
    delta = masked(reference_logprobs - logprobs, loss_mask)  # (N, T)
    if estimator == "k1":
        return -delta
    if estimator == "k2":
        return delta.square() / 2
    delta = delta.clamp(max=MAX_LOG_RATIO)
    k3 = delta.expm1() - delta  # (N, T)
    if estimator == "k3":
        return k3
    if ratio is None:
        raise ValueError(
            "ratio is None, but k3_corrected weighs each token by it: give importance_ratio(...), "
            "or choose estimator k3."
        )
    check_shapes(loss_mask, ratio=ratio)
    return masked(ratio * k3, loss_mask)


def kl_loss(
    logprobs: Tensor,
    reference_logprobs: Tensor,
    loss_mask: Tensor,
    *,
    estimator: Estimator,
    ratio: Tensor | None,
    denominator: float | Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Price the distance from the reference: loss = Σ divergence_t / denominator.

    What is logged is the mean of k3 whatever the estimator, so that runs can be compared.

    Shapes: logprobs, reference_logprobs, loss_mask, ratio (N, T) -> loss ()
    """
    each = divergence(logprobs, reference_logprobs, loss_mask, estimator=estimator, ratio=ratio)
    with torch.no_grad():
        k3 = divergence(logprobs, reference_logprobs, loss_mask, estimator="k3")  # (N, T)
    return total(each, loss_mask, denominator), {"kl": masked_mean(k3, loss_mask)}


def masked(values: Tensor, loss_mask: Tensor) -> Tensor:
    """Zero what does not train; padding may hold infinities, which times zero would be NaN."""
    return values.masked_fill(~loss_mask, 0.0)


def masked_mean(values: Tensor, loss_mask: Tensor) -> Tensor:
    """Average over the tokens that train, for the log; zero where there are none."""
    return masked(values.detach(), loss_mask).sum() / loss_mask.sum().clamp(min=1)


def total(values: Tensor, loss_mask: Tensor, denominator: float | Tensor) -> Tensor:
    """Sum over the tokens that train, each divided by its share's denominator. Shapes: -> ()"""
    if isinstance(denominator, Tensor) and denominator.shape != (len(values), 1):
        raise ValueError(
            f"denominator is {tuple(denominator.shape)} for {len(values)} completions, but must be "
            "a number or (N, 1): keep the second dimension."
        )
    return (masked(values, loss_mask) / denominator).sum()


def check_shapes(loss_mask: Tensor, **tensors: Tensor) -> None:
    """Refuse tensors that are not laid out as the mask is."""
    for name, tensor in tensors.items():
        if tensor.shape != loss_mask.shape:
            raise ValueError(
                f"{name} is {tuple(tensor.shape)} and loss_mask {tuple(loss_mask.shape)}, but both "
                "must be (N, T): was one of them shifted by a token, and the other not?"
            )


def _lengths(loss_mask: Tensor) -> Tensor:
    """Count what trains of each completion, at least 1. Shapes: (N, T) -> (N, 1)"""
    return loss_mask.sum(1, keepdim=True).clamp(min=1)


def _by_token(advantage: Tensor, loss_mask: Tensor) -> Tensor:
    """Give each token the advantage of its completion. Shapes: (N,) or (N, T) -> (N, T)"""
    if advantage.shape == loss_mask.shape[:1]:
        advantage = advantage.unsqueeze(1).expand_as(loss_mask)  # (N, T)
    elif advantage.shape != loss_mask.shape:
        raise ValueError(
            f"advantage is {tuple(advantage.shape)} and loss_mask {tuple(loss_mask.shape)}, but an "
            "advantage is one per completion, (N,), or one per token, (N, T): flatten (B, G)."
        )
    return masked(advantage, loss_mask)
