"""Attention over prompts shared by their completions: two fused calls, and the dense plain twin."""

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.kernels.layout import GroupLayout


def split_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: GroupLayout, *, scaling: float
) -> Tensor:
    """Attend along a packed row: prompts among themselves, completions to prompt and self.

    Two calls of `scaled_dot_product_attention` instead of one over an S x S mask. The keys of a
    prompt are computed once and only expanded to its group; the gradient sums over it.

    Shapes: query (1, H, S, E); key, value (1, K, S, E) -> (1, S, H, E)
    """
    prompt = layout.prompt_index
    prompt_key, prompt_value = _rows(key, prompt), _rows(value, prompt)  # (B, K, P, E)
    out = F.scaled_dot_product_attention(
        _rows(query, prompt),
        prompt_key,
        prompt_value,
        is_causal=True,
        scale=scaling,
        enable_gqa=True,
    )  # (B, H, P, E)
    packed = [out.transpose(1, 2)[layout.prompt_valid]]  # (sum of prompt_lens, H, E)

    if len(layout.owner):
        own = layout.completion_index
        shared_key = layout.to_completions(prompt_key)  # (N, K, P, E)
        shared_value = layout.to_completions(prompt_value)
        out = F.scaled_dot_product_attention(
            _rows(query, own),
            torch.cat([shared_key, _rows(key, own)], dim=2),
            torch.cat([shared_value, _rows(value, own)], dim=2),
            attn_mask=layout.completion_mask,
            scale=scaling,
            enable_gqa=True,
        )  # (N, H, T, E)
        packed.append(out.transpose(1, 2)[layout.completion_valid])
    return torch.cat(packed).unsqueeze(0)  # (1, S, H, E)


def dense_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: GroupLayout, *, scaling: float
) -> Tensor:
    """Compute the same with one S x S mask: the plain twin, quadratic in the whole row.

    Shapes: query (1, H, S, E); key, value (1, K, S, E) -> (1, S, H, E)
    """
    out = F.scaled_dot_product_attention(
        query, key, value, attn_mask=layout.dense_mask, scale=scaling, enable_gqa=True
    )
    return out.transpose(1, 2)


def _rows(packed: Tensor, index: Tensor) -> Tensor:
    """Gather padded rows out of a packed one. Shapes: (1, H, S, E), (R, W) -> (R, H, W, E)"""
    return packed[0][:, index].transpose(0, 1)


def language_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    group_layout: GroupLayout | None = None,
    dense: bool = False,
    **_: object,
) -> tuple[Tensor, None]:
    """Implement transformers' attention interface for the language model.

    The layout travels as a keyword of the model call, not in a global: gradient checkpointing runs
    attention again during `backward()`, when a context manager would be gone.

    Shapes: query (R, H, Q, E); key, value (R, K, S, E) -> (R, Q, H, E)
    """
    if group_layout is None:  # decoding with a cache, or a caller outside this project
        out = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=attention_mask,
            scale=scaling,
            enable_gqa=True,
            is_causal=attention_mask is None and query.shape[2] > 1,
        )
        return out.transpose(1, 2), None
    attend = dense_attention if dense else split_attention
    return attend(query, key, value, group_layout, scaling=scaling), None
