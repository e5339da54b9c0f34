"""Estimates of the KL divergence from the reference, as a penalty or as a loss."""

import torch
from torch import Tensor

from configs.choices import Estimator
from modules.losses.masking import MAX_LOG_RATIO, check_shapes, masked, masked_mean, masked_sum


def kl_estimate(
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
    assert ratio is not None, "ratio is None, but k3_corrected weighs each token by it"
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
    """Penalize divergence from the reference: loss = Σ kl_t / denominator.

    What is logged is the mean of k3 whatever the estimator, so that runs can be compared.

    Shapes: logprobs, reference_logprobs, loss_mask, ratio (N, T) -> loss ()
    """
    each = kl_estimate(logprobs, reference_logprobs, loss_mask, estimator=estimator, ratio=ratio)
    with torch.no_grad():
        k3 = kl_estimate(logprobs, reference_logprobs, loss_mask, estimator="k3")  # (N, T)
    return masked_sum(each, loss_mask, denominator), {"kl": masked_mean(k3, loss_mask)}
