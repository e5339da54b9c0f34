"""AdamW and the learning-rate schedule of every stage."""

import math
from typing import Any

import torch
from torch import nn

from configs.schema import OptimConfig


def build_optimizer(policy: nn.Module, optim: OptimConfig) -> torch.optim.Optimizer:
    """Make AdamW over the trainable parameters; vectors such as norms and biases do not decay.

    On a GPU its update is one kernel: torch's other form holds a square root of all second moments
    at once, four bytes more for each weight.
    """
    trained = [p for p in policy.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trained if p.ndim >= 2]},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = bool(trained) and all(p.is_cuda for p in trained)
    return torch.optim.AdamW(
        groups, lr=optim.lr, weight_decay=optim.weight_decay, fused=fused or None
    )


def lr_factor(step: int, optim: OptimConfig, *, max_steps: int, tokens_done: float) -> float:
    """Scale the peak learning rate: linear warm-up, then the configured shape down to 0 where
    training ends, by steps or by tokens.

    The schedule is a function of the configured `max_steps`: asking the trainer for its own
    estimate would build the loaders too early and lose their place on resume.

    Args:
        tokens_done: share of `trainer.max_tokens` that has been trained on; 0 without that limit.
    """
    warmup = optim.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, max((step - warmup) / max(1, max_steps - warmup), tokens_done))
    if optim.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if optim.schedule == "linear" else 1.0
