"""Losses and weights that compare the policy with itself while media are withheld.

Each takes the log-probs of the same sampled tokens twice: with the media, and blind.
"""

import torch
from torch import Tensor

from modules.losses.masking import MAX_LOG_RATIO, check_shapes, masked, masked_mean, masked_sum

MAX_DIVERGENCE = 10.0
"""Divergence of a token beyond which it is pushed no further, in nats: where the media made it some
e^11 times likelier, or e^2.6 times less likely. As in PAPO's code."""

MIN_CONTRIBUTION = 0.01
"""Mean contribution to a completion, in nats a token, that may be rounding of two passes: weights
by shares of less would be noise, as for a question without media."""


def papo_loss(
    logprobs: Tensor,
    blind_logprobs: Tensor,
    entropy: Tensor,
    blind_entropy: Tensor,
    loss_mask: Tensor,
    *,
    kl_coef: float,
    entropy_coef: float,
    denominator: float | Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Add up PAPO's two terms by their coefficients; a term without one costs no gradient.

    Shapes: logprobs, blind_logprobs, entropy, blind_entropy, loss_mask (N, T) -> loss ()
    """
    loss = logprobs.new_zeros(())
    kl, stats = perception_loss(logprobs, blind_logprobs, loss_mask, denominator=denominator)
    if kl_coef:
        loss = loss + kl_coef * kl
    if entropy_coef:
        term, entropies = entropy_loss(entropy, blind_entropy, loss_mask, denominator=denominator)
        loss, stats = loss + entropy_coef * term, stats | entropies
    return loss, stats


def perception_loss(
    logprobs: Tensor, blind_logprobs: Tensor, loss_mask: Tensor, *, denominator: float | Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Push the policy away from its blind self, so that its tokens depend on the media.

        delta_t = blind_logprobs_t - logprobs_t
        loss    = -Σ_t min(exp(delta_t) - 1 - delta_t, max) / denominator

    PAPO's implicit perception loss (2507.06448), a divergence that is maximized: minimizing this
    makes a token likelier, and blindly less likely, where the media already made it so, and the
    other way round where they made it less likely. Under the tokens that the policy samples, the
    gradient in logprobs averages to that of -KL(blind || full), the one in blind_logprobs to that
    of -KL(full || blind).

    The paper prints the ratio upside down, full over blind, its code as here. Upside down, the pull
    has the same sign, but is no longer that of either divergence: it grows with the ratio, without
    end where a token is already impossible blind, while here it is at most 1 there.

    Shapes: logprobs, blind_logprobs, loss_mask (N, T) -> loss ()

    Args:
        blind_logprobs: of the same tokens under the same weights; may carry gradient, too.
    """
    check_shapes(loss_mask, logprobs=logprobs, blind_logprobs=blind_logprobs)
    delta = masked(blind_logprobs - logprobs, loss_mask).clamp(max=MAX_LOG_RATIO)  # (N, T)
    divergence = (delta.expm1() - delta).clamp(max=MAX_DIVERGENCE)  # (N, T)
    stats = {"perception_kl": masked_mean(divergence, loss_mask)}
    return -masked_sum(divergence, loss_mask, denominator), stats


def entropy_loss(
    entropy: Tensor, blind_entropy: Tensor, loss_mask: Tensor, *, denominator: float | Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Keep both distributions sharp: the divergence also grows where one of them falls apart.

        loss = Σ_t (entropy_t + blind_entropy_t) / denominator

    PAPO's double entropy loss. Its code estimates entropies by the sampled token's -logprob; these
    are exact, as an estimate from the policy's tokens would pull the blind one towards it.

    Shapes: entropy, blind_entropy, loss_mask (N, T) -> loss ()
    """
    check_shapes(loss_mask, entropy=entropy, blind_entropy=blind_entropy)
    stats = {
        "entropy": masked_mean(entropy, loss_mask),
        "blind_entropy": masked_mean(blind_entropy, loss_mask),
    }
    return masked_sum(entropy + blind_entropy, loss_mask, denominator), stats


@torch.no_grad()
def contribution_weights(
    logprobs: Tensor, blind_logprobs: Tensor, loss_mask: Tensor, *, coef: float
) -> Tensor:
    """Weight each token by the contribution of the media to it, relative to its completion.

        contribution_t = max(0, logprobs_t - blind_logprobs_t)
        weight_t = 1 - coef + coef * contribution_t / mean(contribution of the completion)

    The quantity is RT-OPD's (2609.28778), clipped at 0; to use it as a weight of the policy loss is
    ours, as VPPO (2510.09285) does with the tokens of largest divergence. A completion's weights
    average to 1, so that it counts as much as before; where the media contributed nothing, or less
    than `MIN_CONTRIBUTION`, all are exactly 1.

    Shapes: logprobs, blind_logprobs, loss_mask (N, T) -> (N, T), without gradient
    """
    check_shapes(loss_mask, logprobs=logprobs, blind_logprobs=blind_logprobs)
    contribution = masked(logprobs - blind_logprobs, loss_mask).clamp(min=0)  # (N, T)
    lengths = loss_mask.sum(1, keepdim=True).clamp(min=1)  # (N, 1)
    mean = contribution.sum(1, keepdim=True) / lengths  # (N, 1)
    return torch.where(mean >= MIN_CONTRIBUTION, 1 + coef * (contribution / mean - 1), 1.0)
