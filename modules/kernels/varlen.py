"""Attention of variable lengths: the kernels that a machine may have, and their plain twin."""

import importlib
import inspect
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from modules.kernels.segments import Segments

Varlen = Callable[[Tensor, Tensor, Tensor, Segments, float], Tensor]
"""(query (Q, H, E), key (N, K, E), value (N, K, E), segments, scaling) -> (Q, H, E)

Causal within each segment, aligned at its end."""

FLASH = ("flash_attn.cute", "flash_attn_interface", "flash_attn")
"""Modules of flash-attn, the newest first: 4, 3 and 2."""

LARGEST_HEAD = 256
"""Widest head that every flash kernel takes."""


def plain_varlen(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float
) -> Tensor:
    """Attend segment by segment with ordinary attention: the twin that runs everywhere."""
    queries = query.split(segments.query_lens)
    keys, values = key.split(segments.key_lens), value.split(segments.key_lens)
    groups = query.shape[1] // key.shape[1]
    out = [
        F.scaled_dot_product_attention(
            q.transpose(0, 1)[None],
            k.transpose(0, 1).repeat_interleave(groups, 0)[None],
            v.transpose(0, 1).repeat_interleave(groups, 0)[None],
            attn_mask=_seen_by(len(q), len(k), device=q.device),
            scale=scaling,
        )[0].transpose(0, 1)
        for q, k, v in zip(queries, keys, values, strict=True)
    ]
    return torch.cat(out)


def _seen_by(queries: int, keys: int, *, device: torch.device) -> Tensor:
    """Mask of a segment: the last query sees all keys. Shapes: -> (queries, keys)"""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def computed_in(query: Tensor) -> torch.dtype:
    """Tell the precision of attention: under autocast that one, whatever rotary embeddings made."""
    device = query.device.type
    cast = torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if cast else query.dtype


def has_kernel(query: Tensor) -> bool:
    """Whether kernels of variable lengths take queries of this kind."""
    half = computed_in(query) in (torch.float16, torch.bfloat16)
    return query.is_cuda and half and query.shape[-1] <= LARGEST_HEAD


def kernel_for(query: Tensor) -> tuple[str, Varlen]:
    """Choose the kernel for queries of this kind, with the name and version that a log shows."""
    return _installed() if has_kernel(query) else ("the plain twin", plain_varlen)


@cache
def _installed() -> tuple[str, Varlen]:
    """Find flash-attn's kernel, or else torch's own."""
    for name in FLASH:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        kernel = getattr(module, "flash_attn_varlen_func", None)
        if kernel is not None:
            return _named(name), partial(flash_varlen, kernel)
    varlen: Any = importlib.import_module("torch.nn.attention.varlen")
    return f"torch {torch.__version__}", partial(torch_varlen, varlen.varlen_attn)


def _named(module: str) -> str:
    """Name the package that a module of flash-attn is from."""
    package = {"flash_attn.cute": "flash-attn-4", "flash_attn_interface": "flash-attn-3"}
    name = package.get(module, "flash-attn")
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:  # built in place
        return name


def flash_varlen(
    kernel: Callable[..., Any],  # Any: a tensor, or a tuple that begins with it
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    scaling: float,
) -> Tensor:
    """Call flash-attn, which takes grouped heads and aligns causal segments at their end."""
    out = kernel(
        query,
        key,
        value,
        cu_seqlens_q=segments.query_ends,
        cu_seqlens_k=segments.key_ends,
        max_seqlen_q=max(segments.query_lens),
        max_seqlen_k=max(segments.key_lens),
        softmax_scale=scaling,
        causal=True,
    )
    first: Tensor = out[0] if isinstance(out, tuple) else out
    return first


def torch_varlen(
    kernel: Callable[..., Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    segments: Segments,
    scaling: float,
) -> Tensor:
    """Call torch's kernel; that of torch 2.11 takes no grouped heads."""
    groups = query.shape[1] // key.shape[1]
    grouped = {"enable_gqa": True} if groups > 1 and _takes_groups(kernel) else {}
    if groups > 1 and not grouped:
        key, value = (states.repeat_interleave(groups, 1) for states in (key, value))
    return kernel(
        query,
        key,
        value,
        segments.query_ends,
        segments.key_ends,
        max(segments.query_lens),
        max(segments.key_lens),
        scale=scaling,
        window_size=(-1, 0),  # causal: no key to the right of the last one that is aligned
        **grouped,
    )


@cache
def _takes_groups(kernel: Callable[..., Tensor]) -> bool:
    return "enable_gqa" in inspect.signature(kernel).parameters
