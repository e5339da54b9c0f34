"""Products of matrices in half precision that are summed in float32."""

import torch
from torch import Tensor


def add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add a product to a sum in place, and round the sum alone.

    A product in half precision is rounded before it can be added; where many are, as for the
    gradient of a head that is computed in chunks, small ones are lost. A GPU keeps its sum in
    float32 anyway, and is asked for it (`out_dtype`, which CPUs do not have).

    Shapes: total (M, N), left (M, T), right (T, N), both of one dtype, at most as precise as total
    """
    if left.dtype == total.dtype:
        total += left @ right
    elif left.is_cuda:
        torch.addmm(total, left, right, out_dtype=total.dtype, out=total)
    else:
        total += left.to(total.dtype) @ right.to(total.dtype)
