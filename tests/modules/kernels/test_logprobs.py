import math
from functools import partial

import pytest
import torch
from torch import Tensor

from modules.kernels.logprobs import fused_scores, plain_scores


def problem(dtype: torch.dtype) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    suppressed = torch.zeros(11, dtype=torch.bool)
    suppressed[[2, 7]] = True
    return {
        "hidden": torch.randn(7, 5, generator=generator).to(dtype).requires_grad_(),
        "weight": torch.randn(11, 5, generator=generator).to(dtype).requires_grad_(),
        "targets": torch.tensor([0, 1, 3, 10, 6, 6, 4]),
        "suppressed": suppressed,
    }


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_fused_equals_plain_forward_and_backward(chunk):
    inputs = problem(torch.float64)
    slopes = torch.linspace(-1, 2, 7, dtype=torch.float64)
    results = []
    for score in (partial(fused_scores, chunk=chunk), plain_scores):
        logprobs, entropy = score(**inputs, temperature=0.7)
        loss = (logprobs * slopes + entropy * (slopes.flip(0) - 0.3)).sum()
        leaves = inputs["hidden"], inputs["weight"]
        results.append((logprobs, entropy, *torch.autograd.grad(loss, leaves)))
    for fused, plain in zip(*results, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("output", [0, 1])
def test_gradients_are_those_of_finite_differences(output):
    inputs = problem(torch.float64)

    def score(hidden: Tensor, weight: Tensor) -> Tensor:
        changed = {**inputs, "hidden": hidden, "weight": weight}
        return fused_scores(**changed, temperature=1.3, chunk=3)[output]

    assert torch.autograd.gradcheck(score, (inputs["hidden"], inputs["weight"]))


def test_by_hand():
    """Logits 1 * (0, ln 3, suppressed): p = 1/4 and 3/4, so logp of token 1 is ln 0.75, and the
    entropy is (1/4) ln 4 + (3/4) ln(4/3)."""
    weight = torch.tensor([[0.0], [math.log(3)], [5.0]])
    suppressed = torch.tensor([False, False, True])
    logprob, entropy = fused_scores(
        torch.ones(1, 1), weight, torch.tensor([1]), suppressed=suppressed
    )
    assert logprob.item() == pytest.approx(math.log(0.75))
    assert entropy.item() == pytest.approx(math.log(4) / 4 + 0.75 * math.log(4 / 3))


def test_the_entropy_of_equal_logits_counts_the_allowed_tokens():
    suppressed = torch.tensor([True, False, False, False, True])
    inputs = (torch.zeros(2, 3), torch.ones(5, 3), torch.tensor([1, 3]))
    _, entropy = fused_scores(*inputs, suppressed=suppressed)
    assert entropy.tolist() == pytest.approx([math.log(3)] * 2)


def test_a_certain_token_has_no_entropy_and_no_gradient():
    """One allowed token: p = 1, whatever its logit."""
    hidden = torch.tensor([[4.0]], requires_grad=True)
    suppressed = torch.tensor([True, False])
    _, entropy = fused_scores(
        hidden, torch.tensor([[9.0], [30.0]]), torch.tensor([1]), suppressed=suppressed
    )
    entropy.sum().backward()
    assert entropy.item() == 0
    assert hidden.grad is not None and hidden.grad.item() == 0


def test_small_entropies_survive_large_logits():
    """Logits 100 and 80: the second has p = e^-20, so H = 20 e^-20 + e^-20 to first order.

    float32 rounds the likelier token to p = 1 and drops the second term, a twentieth; of the
    difference of log-sum-exp and mean logit, both near 100, it would keep no digit.
    """
    weight = torch.tensor([[100.0], [80.0]])
    suppressed = torch.tensor([False, False])
    _, entropy = fused_scores(torch.ones(1, 1), weight, torch.tensor([0]), suppressed=suppressed)
    assert entropy.item() == pytest.approx(21 * math.exp(-20), rel=1 / 20)


@pytest.mark.parametrize("number", [0, 1])
def test_low_precision_is_no_worse_than_the_plain_twin(number):
    """Against float64 truth, the fused bfloat16 gradient errs at most twice as much."""
    truth, low = problem(torch.float64), problem(torch.bfloat16)
    exact = torch.autograd.grad(plain_scores(**truth)[number].sum(), truth["weight"])[0]
    errors = []
    for score in (fused_scores, plain_scores):
        gradient = torch.autograd.grad(score(**low)[number].sum(), low["weight"])[0]
        errors.append((gradient.double() - exact).norm().item())
    assert errors[0] <= 2 * errors[1]


def test_a_frozen_head_gets_no_gradient():
    inputs = problem(torch.float32)
    inputs["weight"] = inputs["weight"].detach()
    fused_scores(**inputs, with_entropy=False)[0].sum().backward()
    assert inputs["hidden"].grad is not None
    assert inputs["weight"].grad is None


def test_logprobs_without_entropy_are_the_same_to_the_bit():
    inputs = problem(torch.float32)
    leaves = inputs["hidden"], inputs["weight"]
    alone, none = fused_scores(**inputs, with_entropy=False)
    beside, _ = fused_scores(**inputs)
    gradients = [torch.autograd.grad(one.sum(), leaves) for one in (alone, beside)]
    assert torch.equal(alone, beside) and not len(none)
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))
