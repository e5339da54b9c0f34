"""Decode: read prompts once, expand their caches to the group, drop finished rows."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from configs.choices import AttentionKind
from datamodules.batch import Batch, Completions
from modules.backbones.base import LanguageModel
from modules.policy.sampling import Sampling
from modules.policy.scoring import forward_packed, next_position
from modules.step.nonfinite import NonFiniteError
from modules.step.timer import PhaseTimer, timed

Decode = Callable[[Tensor, Tensor, DynamicCache, Tensor], Tensor]
"""(token ids (R,), positions (R,), cache, mask (R, 1, 1, L)) -> logits (R, V) of the next token"""


def generate(
    parts: LanguageModel,
    batch: Batch,
    after: Completions | None,
    owner: Sequence[int],
    *,
    encoded: Tensor,
    sampling: Sampling,
    uniforms: Tensor,
    suppressed: Tensor,
    stop_id: int,
    attention: AttentionKind,
    timer: PhaseTimer | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Prefill prompts, and tokens that already follow them, in one pass; then sample on.

    Shapes: encoded (sum of P, D_in), uniforms (N, T), suppressed (V,)
        -> token ids, logprobs, mask (N, T)

    Args:
        owner: the prompt that each completion belongs to, that of `after` where it is given.
    """

    def logits_of(hidden: Tensor) -> Tensor:
        """Predict the next token. Shapes: (R, D) -> (R, V)"""
        logits: Tensor = parts.head(hidden)
        return logits.masked_fill(suppressed, float("-inf"))

    def decode(token: Tensor, position: Tensor, cache: DynamicCache, mask: Tensor) -> Tensor:
        embedded = parts.embedding(token).unsqueeze(1)  # (R, 1, D)
        places = position.expand(3, -1).unsqueeze(2)  # (3, R, 1)
        return logits_of(parts.forward(embedded, places, cache=cache, attention_mask=mask)[:, 0])

    kv = DynamicCache()
    with timed(timer, "prefill"):
        hidden, layout = forward_packed(
            parts, batch, after, encoded=encoded, attention=attention, cache=kv
        )
        index, valid = layout.prompt_index[owner], layout.prompt_valid[owner]  # (N, P)
        position = next_position(batch, layout)[owner]  # (N,)
        if after is None:  # siblings begin alike: the head runs once for each prompt
            logits = logits_of(hidden[layout.last_prompt_token])[owner]  # (N, V)
        else:
            index = torch.cat([index, layout.completion_index], dim=1)  # (N, P + given)
            valid = torch.cat([valid, layout.completion_valid], dim=1)
            last = layout.prompt_lens.sum() + layout.completion_lens.cumsum(0) - 1  # (N,)
            logits = logits_of(hidden[last])  # (N, V)
            position = position + layout.completion_lens
    with timed(timer, "decode"):
        return decode_rows(
            decode,
            logits,
            expand_cache(kv, index),
            valid,
            position,
            sampling=sampling,
            uniforms=uniforms,
            stop_id=stop_id,
        )


def expand_cache(packed: DynamicCache, index: Tensor) -> DynamicCache:
    """Unpack the cache of a packed row into one padded row for each completion.

    Shapes of each layer: (1, K, S, E), index (N, L) -> (N, K, L, E)
    """
    expanded = DynamicCache()
    for number, layer in enumerate(packed.layers):
        states: Any = layer  # typed by what a layer might be; a language model's has both
        key, value = (
            packed_states[0][:, index].transpose(0, 1)
            for packed_states in (states.keys, states.values)
        )
        expanded.update(key, value, number)
    return expanded


def decode_rows(
    decode: Decode,
    first_logits: Tensor,
    cache: DynamicCache,
    prompt_valid: Tensor,
    next_position: Tensor,
    *,
    sampling: Sampling,
    uniforms: Tensor,
    stop_id: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample N rows until each has ended or `uniforms` are used up.

    A row's draws depend on its own uniforms only, so the same (seed, step, sample, rollout) gives
    the same completion whatever else is in the batch.

    Rows that have ended leave when they are next looked for, which waits for a GPU; until then they
    are decoded on, and what they draw is not kept.

    Shapes: first_logits (N, V), prompt_valid (N, P), next_position (N,), uniforms (N, T)
        -> token ids, logprobs, mask (N, T)
    """
    total, longest = uniforms.shape
    device = first_logits.device
    ids = torch.zeros(total, longest, dtype=torch.long, device=device)
    logprobs = torch.zeros(total, longest, device=device)
    mask = torch.zeros(total, longest, dtype=torch.bool, device=device)
    rows = torch.arange(total, device=device)  # which completion each cache row belongs to
    ended = torch.zeros_like(mask[:, 0])  # (R,)
    every = look_every(device)
    valid, logits = prompt_valid, first_logits
    for step in range(longest):
        token, logprob = _draw(logits, uniforms[rows, step], sampling)  # (R,)
        ids[rows, step] = token.masked_fill(ended, 0)
        logprobs[rows, step] = logprob.masked_fill(ended, 0.0)
        mask[rows, step] = ~ended
        ended = ended | (token == stop_id)
        last = step + 1 == longest
        if last or (step + 1) % every == 0:
            finite = logprobs[:, step // every * every : step + 1].isfinite().all()
            *over, good = torch.cat([ended, finite.view(1)]).tolist()  # waits for the GPU
            _require_finite(good)
            kept = [row for row, done in enumerate(over) if not done]
            if last or not kept:
                break
            if len(kept) < len(over):
                alive = torch.tensor(kept, device=device)
                rows, token, valid = rows[alive], token[alive], valid[alive]
                next_position, ended = next_position[alive], ended[alive]
                cache.batch_select_indices(alive)
        valid = torch.cat([valid, valid.new_ones(len(rows), 1)], dim=1)  # (R, P + step + 1)
        logits = decode(token, next_position + step, cache, valid[:, None, None])
    return ids, logprobs, mask


def look_every(device: torch.device) -> int:
    """Say after how many tokens to look which rows have ended: a CPU is never waited for."""
    return 16 if device.type == "cuda" else 1


def _draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Draw a token by inverting the cumulative distribution at `uniform`, or take the likeliest.

    The likeliest `top_k` stand in the order of the vocabulary, so that with k as large as that the
    draws are those without it. Where a logit is infinite or NaN, so is the logprob.

    Shapes: logits (R, V), uniform (R,) -> token (R,), its tempered logprob (R,)
    """
    logprobs = (logits.float() / (sampling.temperature or 1.0)).log_softmax(-1)
    if sampling.temperature == 0:
        token = logprobs.argmax(-1)
    elif 0 < sampling.top_k < logprobs.shape[1]:
        likeliest = logprobs.topk(sampling.top_k).indices.sort(-1).values  # (R, top_k)
        place = _invert(logprobs.gather(1, likeliest), uniform)  # (R,)
        token = likeliest.gather(1, place.unsqueeze(1)).squeeze(1)
    else:
        token = _invert(logprobs, uniform)
    return token, logprobs.gather(1, token.unsqueeze(1)).squeeze(1)


def _invert(logprobs: Tensor, uniform: Tensor) -> Tensor:
    """Find where the cumulative distribution passes `uniform`. Shapes: (R, V), (R,) -> (R,)"""
    # In double: a float32 cumulative sum over 152k tokens can round past its own end.
    cumulative = logprobs.double().exp().cumsum(-1)
    target = uniform.double().unsqueeze(1) * cumulative[:, -1:]
    place = torch.searchsorted(cumulative, target, right=True).squeeze(1)
    return place.clamp(max=logprobs.shape[1] - 1)  # NaN is past all others


def _require_finite(good: bool) -> None:
    """Raise where logits were infinite or NaN."""
    if not good:
        raise NonFiniteError(
            "the policy's logits are infinite or NaN, so that there is nothing to sample from: the "
            "weights or a question went wrong. Look at these, or train with a smaller optim.lr.",
            weights_good=False,
        )
