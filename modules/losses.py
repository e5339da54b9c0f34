"""Every advantage and loss: pure functions of tensors.

A loss returns `(loss, stats)` and divides by a constant that its caller names, never by the number
of tokens at hand: summed over micro-batches and ranks it is then the loss of one large batch.
Papers differ here. GRPO (2402.03300) averages within each completion and so favors short right and
long wrong ones; DAPO (2503.14476) averages over the tokens of the batch; Dr. GRPO (2503.20783)
divides by a constant, as is done here.
"""

import torch
from torch import Tensor

STD_EPS = 1e-4
"""Added to a group's standard deviation, so that a nearly unanimous group is not blown up."""


def group_advantage(reward: Tensor, *, normalize: bool) -> Tensor:
    """Compare each completion with its siblings, so that no value model is needed.

        advantage = reward - mean(reward)                    Dr. GRPO, 2503.20783
        advantage = (reward - mean(reward)) / (std + eps)    with normalize: GRPO, 2402.03300

    The standard deviation is the sample's, over G - 1. Where all siblings fare alike, the advantage
    is exactly zero: there, rounding errors over eps would pass for a signal.

    Shapes: reward (B, G) -> advantage (B, G)
    """
    if reward.ndim != 2 or reward.shape[1] < 2:
        raise ValueError(
            f"reward is {tuple(reward.shape)}, but an advantage compares siblings: it must be "
            "(B, G) with G of at least 2. Set rlvr.group_size accordingly."
        )
    advantage = reward - reward.mean(dim=1, keepdim=True)  # (B, G)
    if normalize:
        advantage = advantage / (reward.std(dim=1, keepdim=True) + STD_EPS)
    unanimous = (reward == reward[:, :1]).all(dim=1, keepdim=True)  # (B, 1)
    return advantage.masked_fill(unanimous, 0.0)


def policy_loss(
    logprobs: Tensor,
    rollout_logprobs: Tensor,
    advantage: Tensor,
    loss_mask: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    denominator: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Make the tokens of better completions likelier, but not far from where they were sampled.

        ratio_t = exp(logprobs_t - rollout_logprobs_t)
        loss    = -1/denominator * Σ_t min(ratio_t A, clip(ratio_t, 1 - clip_low, 1 + clip_high) A)

    A wider clip_high than clip_low lets rare tokens grow (DAPO, 2503.14476).

    Shapes: logprobs, rollout_logprobs, loss_mask (N, T); advantage (N,) -> loss ()

    Args:
        logprobs: under the policy in training; carries the gradient.
        rollout_logprobs: under the policy that sampled.
        denominator: constant over a run, such as N * max_completion_tokens of a whole step.
    """
    _check_shapes(loss_mask, logprobs=logprobs, rollout_logprobs=rollout_logprobs)
    if advantage.shape != logprobs.shape[:1]:
        raise ValueError(
            f"advantage is {tuple(advantage.shape)} for {logprobs.shape[0]} completions, but each "
            "has exactly one: flatten (B, G) to (N,)."
        )
    ratio = torch.exp(_masked(logprobs - rollout_logprobs, loss_mask))  # (N, T)
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)  # (N, T)
    weight = advantage.unsqueeze(1)  # (N, 1)
    objective = torch.minimum(ratio * weight, clipped * weight)  # (N, T)
    stats = {
        "ratio": _mean(ratio, loss_mask),
        "clipped": _mean((ratio != clipped).float(), loss_mask),
    }
    return -_masked(objective, loss_mask).sum() / denominator, stats


def kl_loss(
    logprobs: Tensor, reference_logprobs: Tensor, loss_mask: Tensor, *, denominator: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Estimate the divergence from the reference, KL(policy || reference), on sampled tokens.

        delta_t = reference_logprobs_t - logprobs_t
        loss    = 1/denominator * Σ_t (exp(delta_t) - 1 - delta_t)

    Schulman's k3, as in GRPO (2402.03300): unbiased as a value when the policy itself sampled the
    tokens, never negative, and quieter than -delta.

    Shapes: logprobs, reference_logprobs, loss_mask (N, T) -> loss ()
    """
    _check_shapes(loss_mask, logprobs=logprobs, reference_logprobs=reference_logprobs)
    delta = _masked(reference_logprobs - logprobs, loss_mask)  # (N, T)
    divergence = torch.expm1(delta) - delta  # (N, T)
    return divergence.sum() / denominator, {"kl": _mean(divergence, loss_mask)}


def sft_loss(
    logprobs: Tensor, loss_mask: Tensor, *, denominator: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Imitate: make the tokens that are marked likelier.

        loss = -1/denominator * Σ_t logprobs_t

    Shapes: logprobs, loss_mask (N, T) -> loss ()

    Args:
        denominator: the marked tokens of the whole step, summed over ranks and micro-batches, or a
            constant of the run.
    """
    _check_shapes(loss_mask, logprobs=logprobs)
    surprise = -_masked(logprobs, loss_mask)  # (N, T)
    return surprise.sum() / denominator, {"nll": _mean(surprise, loss_mask)}


def _masked(values: Tensor, loss_mask: Tensor) -> Tensor:
    """Zero what does not train; padding may hold infinities, which times zero would be NaN."""
    return values.masked_fill(~loss_mask, 0.0)


def _mean(values: Tensor, loss_mask: Tensor) -> Tensor:
    """Average over the tokens that train, for the log; zero where there are none."""
    return _masked(values.detach(), loss_mask).sum() / loss_mask.sum().clamp(min=1)


def _check_shapes(loss_mask: Tensor, **tensors: Tensor) -> None:
    for name, tensor in tensors.items():
        if tensor.shape != loss_mask.shape:
            raise ValueError(
                f"{name} is {tuple(tensor.shape)} and loss_mask {tuple(loss_mask.shape)}, but both "
                "must be (N, T): was one of them shifted by a token, and the other not?"
            )
