import pytest
import torch
from torch import Tensor

from modules.kernels.divergence import fused_divergence
from modules.kernels.logprobs import fused_scores
from modules.kernels.products import add_product


def normal(*shape: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def distance(found: Tensor, exact: Tensor) -> float:
    return ((found.double() - exact).norm() / exact.norm()).item()


def test_many_products_in_bfloat16_are_summed_in_float32():
    left = normal(64, 512, dtype=torch.bfloat16)
    right = normal(512, 32, dtype=torch.bfloat16, seed=1)
    total, rounded = torch.zeros(64, 32), torch.zeros(64, 32)
    for part in torch.arange(512).split(2):
        add_product(total, left[:, part], right[part])
        rounded += (left[:, part] @ right[part]).float()
    exact = left.double() @ right.double()
    assert distance(total, exact) < 1e-6
    assert distance(rounded, exact) > 1e-3  # what rounding every product would cost


def test_a_view_is_added_to_in_place():
    total = torch.ones(3, 2)
    add_product(total[:2], torch.ones(2, 4), torch.ones(4, 2))
    assert total.tolist() == [[5, 5], [5, 5], [1, 1]]


@pytest.mark.parametrize("head", ["logprobs", "divergence"])
def test_the_gradient_of_a_head_in_bfloat16_does_not_depend_on_its_chunks(head):
    """But where the last rounding, to bfloat16, falls to another side."""
    hidden = normal(1024, 8, dtype=torch.bfloat16)
    suppressed = torch.zeros(40, dtype=torch.bool)
    targets = torch.arange(1024) % 40
    found = []
    for chunk in (1, 1024):
        weight = normal(40, 8, dtype=torch.bfloat16, seed=1).requires_grad_()
        if head == "logprobs":
            out, _ = fused_scores(hidden, weight, targets, suppressed=suppressed, chunk=chunk)
        else:
            teacher = normal(40, 8, dtype=torch.bfloat16, seed=2)
            out = fused_divergence(
                *(hidden, weight, hidden, teacher),
                suppressed=suppressed,
                kind="forward_kl",
                chunk=chunk,
            )
        found.append(torch.autograd.grad(out.sum(), weight)[0].double())
    assert distance(found[0], found[1]) < 2**-11
