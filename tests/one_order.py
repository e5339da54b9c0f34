"""Catch sums whose order is left to threads: their last digits differ from run to run."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
PUT = (aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index_put)
"""On CPUs with several threads; their backward counterpart is indexing by a tensor."""

ADD = (aten.index_add, aten.index_add_, aten.scatter_add, aten.scatter_add_)
"""On GPUs."""


class OneOrder(TorchDispatchMode):
    """Raise where several values other than 0 are added up in one place, in whatever order."""

    # Any: the interface of torch
    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        packet: Callable[..., Any] = func.overloadpacket
        if packet in PUT and (kwargs.get("accumulate") or any(arg is True for arg in args[3:4])):
            assert not _meet(_put(args[0], args[1], args[2] != 0)), (
                f"{func} has no order of its own"
            )
        if packet in ADD:
            none = torch.zeros_like(args[0], dtype=torch.float64)
            met = packet(none, args[1], args[2], (args[3] != 0).double())
            assert not _meet(met), f"{func} has no order of its own"
        return func(*args, **kwargs)


def _put(into: Tensor, places: Any, counted: Tensor) -> Tensor:
    zeros = torch.zeros_like(into, dtype=torch.float64)
    return aten.index_put(zeros, places, counted.double(), accumulate=True)


def _meet(counts: Tensor) -> bool:
    """Tell whether more than one value arrived anywhere."""
    return bool((counts > 1).any())
