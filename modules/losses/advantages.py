"""From rewards to advantages: subtract a baseline, then divide by a scale.

The two choices are independent; the algorithms are pairs of them:

    GRPO (2402.03300)           group           over group
    Dr. GRPO (2503.20783)       group           over none
    RLOO (2402.14740)           leave_one_out   over none
    REINFORCE++ (2501.03262)    batch           over batch
"""

from torch import Tensor

from configs.choices import Baseline, Scale

STD_EPS = 1e-4
"""Added to standard deviations, so that nearly unanimous groups are not blown up."""


def center_rewards(
    reward: Tensor, *, baseline: Baseline, batch_mean: float | None = None
) -> Tensor:
    """Subtract a baseline made of other completions' rewards, so that no value model is needed.

        group:         reward - mean(reward of the group)
        leave_one_out: reward - mean(reward of the G - 1 siblings)
        batch:         reward - batch_mean

    Where all rewards of a group are equal, the first two are exactly zero: rounding errors over eps
    would look like a signal.

    Shapes: reward (B, G) -> (B, G)

    Args:
        batch_mean: over all micro-batches and ranks of the step, which only the caller knows.
    """
    _check_groups(reward)
    if baseline == "batch":
        assert batch_mean is not None, "batch_mean is None, but compared with"
        return reward - batch_mean
    difference = reward - reward.mean(dim=1, keepdim=True)  # (B, G)
    if baseline == "leave_one_out":
        # r - (sum - r) / (G - 1) is G / (G - 1) times r - sum / G.
        siblings = reward.shape[1] - 1
        difference = difference * ((siblings + 1) / siblings)
    return difference.masked_fill(~nonzero_std(reward).unsqueeze(1), 0.0)


def scale_advantages(
    centered: Tensor, *, scale_rewards: Scale, batch_std: float | None = None
) -> Tensor:
    """Divide centered rewards by a standard deviation, or leave them.

        group: centered / (std(centered of the group) + eps)
        batch: centered / (batch_std + eps)
        none:  centered

    The standard deviation is the sample's, over G - 1. Exact zeros stay zero.

    Shapes: centered (B, G) -> (B, G)

    Args:
        batch_std: sample standard deviation over all micro-batches and ranks of the step, of the
            rewards or of the centered ones; after `baseline=batch` these are the same.
    """
    _check_groups(centered)
    if scale_rewards == "none":
        return centered
    if scale_rewards == "group":
        return centered / (centered.std(dim=1, keepdim=True) + STD_EPS)
    assert batch_std is not None, "batch_std is None, but divided by"
    return centered / (batch_std + STD_EPS)


def nonzero_std(reward: Tensor) -> Tensor:
    """Mark the groups whose rewards are not all equal; others have no gradient.

    Shapes: reward (B, G) -> (B,)
    """
    _check_groups(reward)
    return reward.amax(dim=1) > reward.amin(dim=1)


def _check_groups(values: Tensor) -> None:
    assert values.ndim == 2 and values.shape[1] > 1, f"{tuple(values.shape)} is no (B, G) of G > 1"
