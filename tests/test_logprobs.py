import math

import pytest
import torch

from modules.kernels.logprobs import fused_logprobs, plain_logprobs


def problem(dtype: torch.dtype) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    banned = torch.zeros(11, dtype=torch.bool)
    banned[[2, 7]] = True
    return {
        "hidden": torch.randn(7, 5, generator=generator).to(dtype).requires_grad_(),
        "weight": torch.randn(11, 5, generator=generator).to(dtype).requires_grad_(),
        "targets": torch.tensor([0, 1, 3, 10, 6, 6, 4]),
        "banned": banned,
    }


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_fused_equals_plain_forward_and_backward(chunk):
    inputs = problem(torch.float64)
    slopes = torch.linspace(-1, 2, 7, dtype=torch.float64)
    results = []
    for score in (fused_logprobs, plain_logprobs):
        out = score(**inputs, temperature=0.7, chunk=chunk)
        leaves = inputs["hidden"], inputs["weight"]
        results.append((out, *torch.autograd.grad((out * slopes).sum(), leaves)))
    for fused, plain in zip(*results, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-12, atol=1e-12)


def test_by_hand():
    """Logits 1 * (0, ln 3, banned): p = 1/4 and 3/4, so logp of token 1 is ln 0.75."""
    weight = torch.tensor([[0.0], [math.log(3)], [5.0]])
    banned = torch.tensor([False, False, True])
    out = fused_logprobs(torch.ones(1, 1), weight, torch.tensor([1]), banned=banned)
    assert out.item() == pytest.approx(math.log(0.75))


def test_low_precision_is_no_worse_than_the_plain_twin():
    """Against float64 truth, the fused bfloat16 gradient errs at most twice as much."""
    truth, low = problem(torch.float64), problem(torch.bfloat16)
    exact = torch.autograd.grad(plain_logprobs(**truth).sum(), truth["weight"])[0]
    errors = []
    for score in (fused_logprobs, plain_logprobs):
        gradient = torch.autograd.grad(score(**low, chunk=2).sum(), low["weight"])[0]
        errors.append((gradient.double() - exact).norm().item())
    assert errors[0] <= 2 * errors[1]


def test_a_frozen_head_gets_no_gradient():
    inputs = problem(torch.float32)
    inputs["weight"] = inputs["weight"].detach()
    fused_logprobs(**inputs).sum().backward()
    assert inputs["hidden"].grad is not None
    assert inputs["weight"].grad is None
