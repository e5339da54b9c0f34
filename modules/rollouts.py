"""Sampling: prompts are read once, their caches expanded to the group, finished rows dropped."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from datamodules.batch import Completions
from modules.kernels.layout import GroupLayout


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How completions are drawn."""

    group_size: int
    """Completions per prompt."""

    max_tokens: int
    """Longest completion, the end token included."""

    temperature: float = 1.0
    """0 takes the likeliest token."""


@dataclass(kw_only=True)
class Rollout:
    """What the policy said to each prompt, G times, and how likely it held each token."""

    completions: Completions
    logprobs: Tensor
    """Of each sampled token under the policy that sampled it, at its temperature. (N, T)"""

    loss_mask: Tensor
    """True on sampled tokens, the end token included. (N, T)"""

    texts: list[str]
    """The completions without special tokens. N"""

    finished: list[bool]
    """Whether each completion ended by itself, rather than at `max_tokens`. N"""


Decode = Callable[[Tensor, Tensor, DynamicCache, Tensor], Tensor]
"""(token ids (R,), positions (R,), cache, mask (R, 1, 1, L)) -> logits (R, V) of the next token"""


def expand_cache(packed: DynamicCache, layout: GroupLayout, group_size: int) -> DynamicCache:
    """Unpack a prefill row into one padded cache row per completion, G per prompt.

    Shapes of each layer: (1, K, sum of P, E) -> (B * G, K, P, E)
    """
    expanded = DynamicCache()
    for number, layer in enumerate(packed.layers):
        states: Any = layer  # typed by what a layer might be; a language model's has both
        key, value = (
            packed_states[0][:, layout.prompt_index]
            .transpose(0, 1)
            .repeat_interleave(group_size, dim=0)
            for packed_states in (states.keys, states.values)
        )
        expanded.update(key, value, number)
    return expanded


def decode_group(
    decode: Decode,
    first_logits: Tensor,
    cache: DynamicCache,
    prompt_valid: Tensor,
    next_position: Tensor,
    *,
    uniforms: Tensor,
    temperature: float,
    stop_id: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw completions for N rows until each has ended or `uniforms` are used up.

    A row's draws depend on its own uniforms only, so the same (seed, step, sample, rollout) gives
    the same completion whatever else is in the batch.

    Shapes: first_logits (N, V), prompt_valid (N, P), next_position (N,), uniforms (N, T)
        -> token ids, logprobs, mask (N, T)
    """
    total, longest = uniforms.shape
    device = first_logits.device
    ids = torch.zeros(total, longest, dtype=torch.long, device=device)
    logprobs = torch.zeros(total, longest, device=device)
    mask = torch.zeros(total, longest, dtype=torch.bool, device=device)
    rows = torch.arange(total, device=device)  # which completion each cache row belongs to
    valid, logits = prompt_valid, first_logits
    for step in range(longest):
        token, logprob = _draw(logits, uniforms[rows, step], temperature)  # (R,)
        ids[rows, step], logprobs[rows, step], mask[rows, step] = token, logprob, True

        alive = (token != stop_id).nonzero().squeeze(1)
        if len(alive) == 0 or step + 1 == longest:
            break
        if len(alive) < len(rows):
            rows, token, valid = rows[alive], token[alive], valid[alive]
            next_position = next_position[alive]
            cache.batch_select_indices(alive)
        valid = torch.cat([valid, valid.new_ones(len(rows), 1)], dim=1)  # (R, P + step + 1)
        logits = decode(token, next_position + step, cache, valid[:, None, None])
    return ids, logprobs, mask


def _draw(logits: Tensor, uniform: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Choose a token by inverting the cumulative distribution at `uniform`, or the likeliest.

    Shapes: logits (R, V), uniform (R,) -> token (R,), its tempered logprob (R,)
    """
    logprobs = (logits.float() / (temperature or 1.0)).log_softmax(-1)
    if temperature == 0:
        token = logprobs.argmax(-1)
    else:
        # In double: a float32 cumulative sum over 152k tokens can round past its own end.
        cumulative = logprobs.double().exp().cumsum(-1)
        if not torch.isfinite(cumulative[:, -1]).all():
            raise ValueError(
                "the policy's logits are not finite, so there is nothing to sample from: the run "
                "diverged. Continue from an earlier checkpoint with a smaller optim.lr."
            )
        target = uniform.double().unsqueeze(1) * cumulative[:, -1:]
        token = torch.searchsorted(cumulative, target, right=True).squeeze(1)
    return token, logprobs.gather(1, token.unsqueeze(1)).squeeze(1)
