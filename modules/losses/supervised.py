"""Losses of imitation: of given completions, or of a teacher token by token.

The caller gives their denominator, as that of modules/losses/policy_gradient.py.
"""

from torch import Tensor

from modules.losses.masking import check_shapes, masked_mean, masked_sum


def sft_loss(
    logprobs: Tensor, loss_mask: Tensor, *, denominator: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Compute the negative log-likelihood of the marked tokens.

        loss = -Σ_t logprobs_t / denominator

    Shapes: logprobs, loss_mask (N, T) -> loss ()

    Args:
        denominator: the marked tokens of the whole step, summed over ranks and micro-batches, or a
            constant of the run.
    """
    check_shapes(loss_mask, logprobs=logprobs)
    loss = -masked_sum(logprobs, loss_mask, denominator)
    return loss, {"nll": masked_mean(-logprobs, loss_mask)}


def distillation_loss(
    divergence: Tensor, loss_mask: Tensor, *, denominator: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum the divergence between two distributions over the marked tokens.

        loss = Σ_t divergence_t / denominator

    Shapes: divergence, loss_mask (N, T) -> loss ()

    Args:
        denominator: see `sft_loss`.
    """
    check_shapes(loss_mask, divergence=divergence)
    loss = masked_sum(divergence, loss_mask, denominator)
    return loss, {"divergence": masked_mean(divergence, loss_mask)}
