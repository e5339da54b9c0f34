"""Losses of stages that imitate: completions as they are, or a teacher token by token.

Like those of modules/losses/policy_gradient.py they divide by what their caller names.
"""

from torch import Tensor

from modules.losses.policy_gradient import check_shapes, masked_mean, total


def sft_loss(
    logprobs: Tensor, loss_mask: Tensor, *, denominator: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Imitate: make the tokens that are marked likelier.

        loss = -Σ_t logprobs_t / denominator

    Shapes: logprobs, loss_mask (N, T) -> loss ()

    Args:
        denominator: the marked tokens of the whole step, summed over ranks and micro-batches, or a
            constant of the run.
    """
    check_shapes(loss_mask, logprobs=logprobs)
    loss = -total(logprobs, loss_mask, denominator)
    return loss, {"nll": masked_mean(-logprobs, loss_mask)}


def distillation_loss(
    divergence: Tensor, loss_mask: Tensor, *, denominator: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Bring two distributions together in the place of every token that is marked.

        loss = Σ_t divergence_t / denominator

    Shapes: divergence, loss_mask (N, T) -> loss ()

    Args:
        denominator: see `sft_loss`.
    """
    check_shapes(loss_mask, divergence=divergence)
    loss = total(divergence, loss_mask, denominator)
    return loss, {"divergence": masked_mean(divergence, loss_mask)}
