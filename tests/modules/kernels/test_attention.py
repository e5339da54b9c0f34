import pytest
import torch

from modules.kernels.attention import dense_attention, split_attention
from modules.kernels.layout import GroupLayout

LAYOUTS = {
    "ragged": ([5, 2, 3], [4, 1, 2, 6], [0, 2, 2, 1]),
    "regular": ([3, 3], [2, 2, 2, 2], [0, 0, 1, 1]),
    "one token": ([1], [1], [0]),
    "prefill": ([4, 2], [], []),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_split_equals_dense_forward_and_backward(name):
    layout = GroupLayout.build(*LAYOUTS[name])
    width = int(layout.prompt_lens.sum() + layout.completion_lens.sum())
    generator = torch.Generator().manual_seed(0)

    def states(heads: int) -> torch.Tensor:
        shape = (1, heads, width, 8)
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    inputs = states(6), states(2), states(2)  # three query heads share a key head
    weight = torch.randn(1, width, 6, 8, generator=generator, dtype=torch.float64)
    outputs, gradients = [], []
    for attend in (split_attention, dense_attention):
        out = attend(*inputs, layout, scaling=0.3)
        outputs.append(out)
        gradients.append(torch.autograd.grad((out * weight).sum(), inputs))
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)
    for split, dense in zip(*gradients, strict=True):
        torch.testing.assert_close(split, dense, rtol=1e-12, atol=1e-12)
