"""Sampling: prompts are read once, their caches expanded to the group, finished rows dropped."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from datamodules.batch import Completions
from modules.finite import NonFinite
from modules.kernels.layout import GroupLayout
from modules.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How completions are drawn."""

    group_size: int
    """Completions per prompt."""

    max_tokens: int
    """Longest completion, the end token included."""

    temperature: float = 1.0
    """0 takes the likeliest token."""

    top_k: int = 0
    """Draw among this many likeliest tokens; 0 draws among all."""


@dataclass(kw_only=True)
class Rollout:
    """What the policy said to each prompt, G times, and how likely it held each token."""

    completions: Completions
    logprobs: Tensor
    """Of each sampled token under the policy that sampled it, at its temperature. (N, T)

    Over the whole vocabulary, also where `top_k` left most of it out: what is trained is the
    policy, and what the update scores is the policy, so that their ratio begins at 1.
    """

    loss_mask: Tensor
    """True on sampled tokens, the end token included. (N, T)"""

    texts: list[str]
    """The completions without special tokens. N"""

    finished: list[bool]
    """Whether each completion ended by itself, rather than at `max_tokens`. N"""

    @staticmethod
    def of(
        ids: Tensor, logprobs: Tensor, mask: Tensor, group_size: int, vocabulary: Vocabulary
    ) -> "Rollout":
        """Trim what was decoded to the longest completion, and write the texts.

        Shapes: ids, logprobs, mask (N, longest allowed)
        """
        lens = mask.sum(1).tolist()
        width = max(lens)
        rows = [row[:length] for row, length in zip(ids.tolist(), lens, strict=True)]
        owner = [row // group_size for row in range(len(rows))]
        return Rollout(
            completions=Completions(token_ids=ids[:, :width], lens=lens, owner=owner),
            logprobs=logprobs[:, :width],
            loss_mask=mask[:, :width],
            texts=[vocabulary.text(row) for row in rows],
            finished=[row[-1] == vocabulary.end_id for row in rows],
        )

    def select(self, prompts: Sequence[int], group_size: int) -> "Rollout":
        """Take the groups of some prompts, one at least, which are numbered anew."""
        rows = [prompt * group_size + place for prompt in prompts for place in range(group_size)]
        completions = self.completions.select(rows)
        width = completions.token_ids.shape[1]
        return Rollout(
            completions=completions,
            logprobs=self.logprobs[rows, :width],
            loss_mask=self.loss_mask[rows, :width],
            texts=[self.texts[row] for row in rows],
            finished=[self.finished[row] for row in rows],
        )

    @staticmethod
    def concat(rollouts: Sequence["Rollout"]) -> "Rollout":
        """Put several below one another, as wide as the longest; prompts are counted on."""
        completions = Completions.concat([rollout.completions for rollout in rollouts])
        width = completions.token_ids.shape[1]

        def stacked(parts: Sequence[Tensor]) -> Tensor:
            return torch.cat([F.pad(part, (0, width - part.shape[1])) for part in parts])

        return Rollout(
            completions=completions,
            logprobs=stacked([rollout.logprobs for rollout in rollouts]),
            loss_mask=stacked([rollout.loss_mask for rollout in rollouts]),
            texts=[text for rollout in rollouts for text in rollout.texts],
            finished=[ended for rollout in rollouts for ended in rollout.finished],
        )


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
    sampling: Sampling,
    uniforms: Tensor,
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
        token, logprob = _draw(logits, uniforms[rows, step], sampling)  # (R,)
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


def _draw(logits: Tensor, uniform: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Choose a token by inverting the cumulative distribution at `uniform`, or the likeliest.

    The likeliest `top_k` stand in the order of the vocabulary, so that with k as large as that the
    draws are those without it.

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
    if not torch.isfinite(cumulative[:, -1]).all():
        raise NonFinite(
            "the policy's logits are infinite or NaN, so that there is nothing to sample from: the "
            "weights or a question went wrong. Look at these, or train with a smaller optim.lr.",
            sound=False,
        )
    target = uniform.double().unsqueeze(1) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True).squeeze(1)
