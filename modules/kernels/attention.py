"""Attention over prompts shared by their completions: one fused call, two, or the dense twin."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from configs.choices import AttentionKind
from modules.kernels.layout import GroupLayout, look_up
from modules.kernels.segments import Segments
from modules.kernels.varlen import Varlen, computed_in, has_kernel, kernel_for, plain_varlen

TOLERANCE = 0.02
"""Largest distance of a fused call from the dense twin, as a share of that one's length: rounding
in bfloat16 is some 0.003, and a call that sees wrong keys is near 1."""

CHECKED_TOKENS = 8192
"""Longest row that the dense twin checks; beyond, its mask alone takes gigabytes, and the plain
twin checks, segment by segment."""

FIXED_CUDNN = 92600
"""From this release cuDNN's masked attention has no NaN in its gradients (torch 2.15 brings it)."""

log = logging.getLogger(__name__)


def avoid_faulty_cudnn() -> None:
    """Switch cuDNN's attention off where its masked backward pass gives NaN on H100 and H200.

    There the gradient of queries is NaN where the number of keys modulo 128 is 64 and a row's
    log-sum-exp is below -88.7 (pytorch issue 196678).
    """
    if (torch.backends.cudnn.version() or FIXED_CUDNN) < FIXED_CUDNN:
        torch.backends.cuda.enable_cudnn_sdp(False)


def fused_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: GroupLayout,
    *,
    scaling: float,
    kernel: Varlen = plain_varlen,
) -> Tensor:
    """Attend along a packed row in one call of variable lengths, without padding and without mask.

    Each prompt and each completion is a segment of queries; its keys are gathered from the row. A
    key that several segments see gets the sum of their gradients, in one order.

    Shapes: query (1, H, S, E); key, value (1, K, S, E) -> (1, S, H, E)
    """
    segments, dtype = layout.segments, computed_in(query)
    query, key, value = (states.to(dtype) for states in (query, key, value))
    seen_key, seen_value = (_seen(states, segments) for states in (key, value))
    own = query[0].transpose(0, 1).contiguous()  # (S, H, E)
    return kernel(own, seen_key, seen_value, segments, scaling).unsqueeze(0)


def _seen(states: Tensor, segments: Segments) -> Tensor:
    """Gather what each segment sees. Shapes: (1, K, S, E) -> (sum of key lengths, K, E)"""
    rows = states[0].transpose(0, 1)  # (S, K, E)
    return look_up(rows.flatten(1), segments.key_index).unflatten(1, rows.shape[1:])


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
    out = _attend(
        _rows(query, prompt), prompt_key, prompt_value, mask=None, scaling=scaling
    )  # (B, H, P, E)
    packed = [_packed(out, layout.prompt_places)]  # (sum of prompt_lens, H, E)

    if len(layout.owner):
        own = layout.completion_index
        shared_key = layout.to_completions(prompt_key)  # (N, K, P, E)
        shared_value = layout.to_completions(prompt_value)
        out = _attend(
            _rows(query, own),
            torch.cat([shared_key, _rows(key, own)], dim=2),
            torch.cat([shared_value, _rows(value, own)], dim=2),
            mask=layout.completion_mask,
            scaling=scaling,
        )  # (N, H, T, E)
        packed.append(_packed(out, layout.completion_places))
    return torch.cat(packed).unsqueeze(0)  # (1, S, H, E)


def dense_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: GroupLayout, *, scaling: float
) -> Tensor:
    """Compute the same with one S x S mask: the plain twin, quadratic in the whole row.

    Shapes: query (1, H, S, E); key, value (1, K, S, E) -> (1, S, H, E)
    """
    return _attend(query, key, value, mask=layout.dense_mask, scaling=scaling).transpose(1, 2)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None, scaling: float
) -> Tensor:
    """Attend with a mask, or causally without one.

    On a GPU grouped heads are expanded beside a mask: of the fused kernels flash takes no mask, and
    the memory-efficient one no groups, so that both at once would be computed without any of them.

    Shapes: query (R, H, Q, E); key, value (R, K, L, E) -> (R, H, Q, E)
    """
    if mask is not None and query.is_cuda:
        groups = query.shape[1] // key.shape[1]
        key, value = (states.repeat_interleave(groups, 1) for states in (key, value))
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        is_causal=mask is None and query.shape[2] > 1,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def _rows(packed: Tensor, index: Tensor) -> Tensor:
    """Gather padded rows out of a packed one. Shapes: (1, H, S, E), (R, W) -> (R, H, W, E)"""
    return packed[0][:, index].transpose(0, 1)


def _packed(rows: Tensor, places: Tensor) -> Tensor:
    """Pack padded rows. Shapes: (R, H, W, E), (tokens,) -> (tokens, H, E)"""
    return rows.transpose(1, 2).flatten(0, 1)[places]


@final
@dataclass
class FusedCalls:
    """The fused calls of this process: which kernels were checked, and which of them failed."""

    good: dict[str, bool] = field(default_factory=dict)

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, layout: GroupLayout, *, scaling: float
    ) -> Tensor:
        """Attend by one fused call; check the first of each kernel, and split where it is wrong.

        Shapes: query (1, H, S, E); key, value (1, K, S, E) -> (1, S, H, E)
        """
        name, kernel = kernel_for(query)
        if self.good.get(name, True):
            out = fused_attention(query, key, value, layout, scaling=scaling, kernel=kernel)
            if name not in self.good and kernel is not plain_varlen:
                exact = (states.float() for states in (query, key, value))
                self.good[name] = self._check(name, out, exact, layout, scaling=scaling)
            if self.good.get(name, True):
                return out
        return split_attention(query, key, value, layout, scaling=scaling)

    @torch.no_grad()
    def _check(
        self,
        name: str,
        out: Tensor,
        states: Iterable[Tensor],
        layout: GroupLayout,
        *,
        scaling: float,
    ) -> bool:
        """Compare a call with its plain twin in float32, and say in the log what came out."""
        query, key, value = states
        with torch.autocast(query.device.type, enabled=False):
            if query.shape[2] <= CHECKED_TOKENS:
                expected = dense_attention(query, key, value, layout, scaling=scaling)
            else:
                expected = fused_attention(query, key, value, layout, scaling=scaling)
        error = ((out.float() - expected).norm() / expected.norm()).item()
        if error <= TOLERANCE:
            log.info("attention: one fused call, by %s", name)
            return True
        log.warning(
            "attention: the first fused call by %s (torch %s, CUDA %s) is %.3g away from its plain "
            "twin, but rounding explains %.3g at most: two calls are made in its place, as with "
            "model.attention=split. Please report these versions.",
            *(name, torch.__version__, torch.version.cuda, error, TOLERANCE),
        )
        return False


fused_calls = FusedCalls()
"""A kernel is right or wrong on a machine, whichever model asks."""


def chosen(kind: AttentionKind, query: Tensor) -> AttentionKind:
    """Resolve `auto` for queries of this kind."""
    if kind != "auto":
        return kind
    return "fused" if has_kernel(query) else "split"


def language_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    group_layout: GroupLayout | None = None,
    kind: AttentionKind = "auto",
    **_: object,
) -> tuple[Tensor, None]:
    """Implement transformers' attention interface for the language model.

    The layout travels as a keyword of the model call, not in a global: gradient checkpointing runs
    attention again during `backward()`, when a context manager would be gone.

    Shapes: query (R, H, Q, E); key, value (R, K, S, E) -> (R, Q, H, E)
    """
    if group_layout is None:  # decoding with a cache, or a caller outside this project
        out = _attend(query, key, value, mask=attention_mask, scaling=scaling)
        return out.transpose(1, 2), None
    match chosen(kind, query):
        case "dense":
            return dense_attention(query, key, value, group_layout, scaling=scaling), None
        case "fused":
            return fused_calls.attend(query, key, value, group_layout, scaling=scaling), None
        case _:
            return split_attention(query, key, value, group_layout, scaling=scaling), None
