import logging
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from modules.kernels import attention, varlen
from modules.kernels.attention import (
    FusedCalls,
    chosen,
    dense_attention,
    fused_attention,
    split_attention,
)
from modules.kernels.layout import GroupLayout
from modules.kernels.varlen import flash_varlen, plain_varlen, torch_varlen

LAYOUTS = {
    "ragged": ([5, 2, 3], [4, 1, 2, 6], [0, 2, 2, 1], None),
    "regular": ([3, 3], [2, 2, 2, 2], [0, 0, 1, 1], None),
    "one token": ([1], [1], [0], None),
    "prefill": ([4, 2], [], [], None),
    "forked": (
        [3, 2],
        [6, 4, 2],
        [0, 1, 1],
        [[0, 0, 1, 1, 2, 3], [1, 1, 2, 2, 0, 0], [0, 0, 0, 0, 0, 0]],
    ),
}
"""The first forked completion has a trunk of two tokens, the second none; the third is a trunk."""


def layout_of(name: str) -> GroupLayout:
    prompts, completions, owner, branch = LAYOUTS[name]
    forks = None if branch is None else torch.tensor(branch)
    return GroupLayout.build(prompts, completions, owner, branch=forks)


def states(layout: GroupLayout, dtype: torch.dtype = torch.float64) -> tuple[Tensor, ...]:
    """Three query heads share a key head."""
    width = int(layout.prompt_lens.sum() + layout.completion_lens.sum())
    generator = torch.Generator().manual_seed(0)
    made = (torch.randn(1, heads, width, 8, generator=generator) for heads in (6, 2, 2))
    return tuple(one.to(dtype).requires_grad_() for one in made)


@pytest.mark.parametrize("name", LAYOUTS)
def test_all_three_are_equal_forward_and_backward(name):
    layout = layout_of(name)
    inputs = states(layout)
    generator = torch.Generator().manual_seed(1)
    shape = inputs[0].transpose(1, 2).shape
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    outputs, gradients = [], []
    for attend in (dense_attention, split_attention, fused_attention):
        out = attend(*inputs, layout, scaling=0.3)
        outputs.append(out)
        gradients.append(torch.autograd.grad((out * weight).sum(), inputs))
    for other, found in zip(outputs[1:], gradients[1:], strict=True):
        torch.testing.assert_close(other, outputs[0], rtol=1e-12, atol=1e-12)
        for one, dense in zip(found, gradients[0], strict=True):
            torch.testing.assert_close(one, dense, rtol=1e-12, atol=1e-12)


def test_segments_by_hand():
    """The row: p0 p0 p0 | p1 p1 | trunk trunk b1 b1 b2 b3 | b1 b1 b2 b2 | c c, at 0 to 16."""
    found = layout_of("forked").segments
    assert found.query_lens == (3, 2, 2, 2, 1, 1, 2, 2, 2)
    assert found.key_lens == (3, 2, 5, 7, 6, 6, 4, 4, 4)
    keys = [part.tolist() for part in found.key_index.split(found.key_lens)]
    assert keys == [
        [0, 1, 2],
        [3, 4],
        [0, 1, 2, 5, 6],
        [0, 1, 2, 5, 6, 7, 8],
        [0, 1, 2, 5, 6, 9],
        [0, 1, 2, 5, 6, 10],
        [3, 4, 11, 12],
        [3, 4, 13, 14],
        [3, 4, 15, 16],
    ]
    assert found.query_ends.tolist() == [0, 3, 5, 7, 9, 10, 11, 13, 15, 17]
    assert found.key_ends.tolist() == [0, 3, 5, 10, 17, 23, 29, 33, 37, 41]
    assert found.query_ends.dtype == found.key_ends.dtype == torch.int32


def as_flash(query, key, value, **given) -> tuple[Tensor, Tensor]:
    """Stand in for flash-attn's function: what it is called with, and what it gives."""
    assert given["causal"] is True and (given["max_seqlen_q"], given["max_seqlen_k"]) == (3, 7)
    assert key.shape[1] == 2  # grouped heads are its own business
    return plain(query, key, value, given["cu_seqlens_q"], given["cu_seqlens_k"],
                 given["softmax_scale"]), query  # fmt: skip


def as_torch_2_11(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size):
    """Stand in for torch's function before it took grouped heads."""
    assert (max_q, max_k, window_size, key.shape[1]) == (3, 7, (-1, 0), 6)
    return plain(query, key, value, cu_seq_q, cu_seq_k, scale)


def as_torch_2_12(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale, window_size, enable_gqa=False
):
    assert (max_q, max_k, window_size, enable_gqa, key.shape[1]) == (3, 7, (-1, 0), True, 2)
    return plain(query, key, value, cu_seq_q, cu_seq_k, scale)


def plain(query, key, value, query_ends, key_ends, scaling) -> Tensor:
    lens = (tuple(ends.diff().tolist()) for ends in (query_ends, key_ends))
    found = SimpleNamespace(**dict(zip(("query_lens", "key_lens"), lens, strict=True)))
    return plain_varlen(query, key, value, found, scaling)


@pytest.mark.parametrize(
    ("call", "function"),
    [(flash_varlen, as_flash), (torch_varlen, as_torch_2_11), (torch_varlen, as_torch_2_12)],
)
def test_kernels_are_called_as_they_want_it(call, function):
    layout = layout_of("forked")
    inputs = states(layout)
    found = fused_attention(
        *inputs, layout, scaling=0.3, kernel=lambda *given: call(function, *given)
    )
    expected = dense_attention(*inputs, layout, scaling=0.3)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def aligned_at_the_begin(query, key, value, segments, scaling):
    """Make the mistake of kernels that align causal segments at their begin."""
    heads = query.shape[1] // key.shape[1]
    parts = zip(*(x.split(n) for x, n in ((query, segments.query_lens), (key, segments.key_lens),
                  (value, segments.key_lens))), strict=True)  # fmt: skip
    return torch.cat([
        torch.nn.functional.scaled_dot_product_attention(
            q.transpose(0, 1),
            *(x.transpose(0, 1).repeat_interleave(heads, 0) for x in (k, v)),
            is_causal=True,
            scale=scaling,
        ).transpose(0, 1)
        for q, k, v in parts
    ])  # fmt: skip


@pytest.mark.parametrize("longest", [attention.CHECKED_TOKENS, 1])
def test_a_kernel_that_is_wrong_is_told_once_and_not_used(monkeypatch, caplog, longest):
    monkeypatch.setattr(attention, "CHECKED_TOKENS", longest)
    monkeypatch.setattr(attention, "kernel_for", lambda _: ("flash-attn 9.9", aligned_at_the_begin))
    layout = layout_of("ragged")
    inputs, calls = states(layout, torch.bfloat16), FusedCalls()
    expected = split_attention(*inputs, layout, scaling=0.3)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert torch.equal(calls.attend(*inputs, layout, scaling=0.3), expected)
    (told,) = caplog.messages
    assert "the first fused call by flash-attn 9.9 (torch " in told
    assert "two calls are made in its place" in told


def test_a_kernel_that_is_right_is_told_once_and_used(monkeypatch, caplog):
    def right(*given):
        return plain_varlen(*given)

    monkeypatch.setattr(attention, "kernel_for", lambda _: ("flash-attn 9.9", right))
    layout = layout_of("ragged")
    inputs, calls = states(layout, torch.bfloat16), FusedCalls()
    expected = fused_attention(*inputs, layout, scaling=0.3)
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            assert torch.equal(calls.attend(*inputs, layout, scaling=0.3), expected)
    assert caplog.messages == ["attention: one fused call, by flash-attn 9.9"]


def test_auto_takes_one_call_on_a_gpu_in_half_precision_alone():
    def query(cuda: bool, dtype: torch.dtype, width: int = 128):
        device = torch.device("cuda" if cuda else "cpu")
        return SimpleNamespace(is_cuda=cuda, device=device, dtype=dtype, shape=(1, 2, 3, width))

    assert chosen("auto", query(True, torch.bfloat16)) == "fused"
    assert chosen("auto", query(True, torch.float16)) == "fused"
    assert chosen("auto", query(True, torch.float32)) == "split"
    assert chosen("auto", query(True, torch.bfloat16, 512)) == "split"
    assert chosen("auto", query(False, torch.bfloat16)) == "split"
    assert chosen("dense", query(True, torch.bfloat16)) == "dense"


def test_under_autocast_kernels_get_its_precision_whatever_rotary_embeddings_made(monkeypatch):
    """Queries and keys are float32 then, and values are not."""
    layout, given = layout_of("ragged"), []
    query, key, value = states(layout, torch.float32)

    def kernel(*inputs):
        given.extend(one.dtype for one in inputs[:3])
        return plain_varlen(*inputs)

    with torch.autocast("cpu", torch.bfloat16):
        out = fused_attention(query, key, value.bfloat16(), layout, scaling=0.3, kernel=kernel)
    assert given == [torch.bfloat16] * 3 and out.dtype == torch.bfloat16
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: True)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda _: torch.bfloat16)
    there = SimpleNamespace(
        is_cuda=True, device=torch.device("cuda"), dtype=torch.float32, shape=(1, 2, 3, 128)
    )
    assert chosen("auto", there) == "fused"


def test_the_newest_flash_attn_is_taken_and_else_torch(monkeypatch):
    there = {"flash_attn": SimpleNamespace(flash_attn_varlen_func=as_flash)}

    def find(name: str):
        if name in there:
            return there[name]
        if name.startswith("flash_attn"):
            raise ImportError(name)
        return SimpleNamespace(varlen_attn=as_torch_2_11)

    monkeypatch.setattr(varlen.importlib, "import_module", find)
    varlen._installed.cache_clear()
    assert varlen._installed()[0] == "flash-attn"
    there["flash_attn_interface"] = there["flash_attn"]
    varlen._installed.cache_clear()
    assert varlen._installed()[0] == "flash-attn-3"
    there.clear()
    varlen._installed.cache_clear()
    assert varlen._installed()[0] == f"torch {torch.__version__}"
    varlen._installed.cache_clear()


def test_faulty_cudnn_is_switched_off(monkeypatch):
    """On H200 with torch 2.11 to 2.14 the gradient of queries is NaN."""
    told = []
    monkeypatch.setattr(torch.backends.cuda, "enable_cudnn_sdp", told.append)
    for version in (91900, 92600, None):
        monkeypatch.setattr(torch.backends.cudnn, "version", lambda found=version: found)
        attention.avoid_faulty_cudnn()
    assert told == [False]
