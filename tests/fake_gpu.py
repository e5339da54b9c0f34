"""Tensors that say `cuda:0` and hold their values on the CPU: what would break or wait on a GPU.

    with FakeGpu() as gpu:
        model = gpu.moved(model)
        model(gpu.put(x))
    gpu.waits  # how often the host would have waited for the GPU, by operation

Mixing with tensors of the CPU raises, as it does on a GPU. Kernels are the CPU's.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda:0")

WAITS = {
    *("_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim"),
    *("bincount", "is_nonzero"),
}
"""Operations whose result has to reach the host, or whose size depends on values."""

INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}

ANY_DEVICE = {"copy_", "_to_copy"}
"""Operations that read from one device and write to another."""


class OnGpu(Tensor):
    """A tensor that says `cuda:0`."""

    held: Tensor

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "OnGpu":
        return Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device="cpu",
            requires_grad=held.requires_grad,
        )

    def __init__(self, held: Tensor) -> None:
        self.held = held.detach()

    @property
    def device(self) -> torch.device:
        return GPU

    @property
    def is_cuda(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"OnGpu({tuple(self.shape)}, {self.dtype})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = func._schema.name.removeprefix("aten::")
        tensors = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor)]
        foreign = [one for one in tensors if not isinstance(one, OnGpu) and one.ndim]
        if foreign and name not in ANY_DEVICE | INDEXING:
            raise RuntimeError(f"{name}: expected all tensors on {GPU}, but one is on the CPU")
        if name in WAITS or (name in INDEXING and _by_truth(args)):
            COUNTS[name] += 1
        held = tree_map(_held, args)
        if name == "histc":  # which CPUs have for floats alone
            return OnGpu(func(held[0].float(), *held[1:], **kwargs).to(held[0].dtype))
        out = func(*held, **tree_map(_held, kwargs))
        if name in ANY_DEVICE and not isinstance(args[0], OnGpu):
            return out
        return _like(func, args, out)


COUNTS: Counter[str] = Counter()


def _held(value: Any) -> Any:
    if isinstance(value, OnGpu):
        return value.held
    return torch.device("cpu") if isinstance(value, torch.device) else value


def _by_truth(args: tuple[Any, ...]) -> bool:
    """Whether a tensor is indexed by one of truth values, whose number has to be counted."""
    return any(
        isinstance(one, Tensor) and one.dtype in (torch.bool, torch.uint8)
        for one in tree_leaves(args[1])
    )


def _like(func: Any, args: tuple[Any, ...], out: Any) -> Any:
    """Wrap what comes out; what was changed in place stays the same object."""
    if func._schema.is_mutable and isinstance(args[0], OnGpu) and out is args[0].held:
        return args[0]
    return tree_map(lambda one: OnGpu(one) if isinstance(one, Tensor) else one, out)


@final
class _MadeBeside(TorchDispatchMode):
    """Within an operation on tensors of the GPU: what it makes for itself lies there too."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        given = any(isinstance(one, Tensor) for one in tree_leaves((args, kwargs or {})))
        return OnGpu(out) if isinstance(out, Tensor) and not given else out


@final
class FakeGpu(TorchFunctionMode):
    """A machine with one GPU, as far as Python can tell."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = COUNTS
        COUNTS.clear()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if func in (Tensor.tolist, Tensor.numpy, Tensor.cpu) and isinstance(args[0], OnGpu):
            COUNTS[name] += 1
            return func(args[0].detach().held, *args[1:], **kwargs)
        if func is torch.tensor:  # it reads each number of a list that is a tensor
            numbers = sum(isinstance(one, OnGpu) for one in tree_leaves(args))
            COUNTS[name] += numbers
            args = tree_map(_held, args)
        if func is Tensor.backward:
            return self._backward(args[0])
        if func is Tensor.to:
            return self._to(func, args, kwargs)
        if _is_gpu(kwargs.get("device")):
            kwargs["device"] = "cpu"
            return self.put(func(*args, **kwargs))
        if any(isinstance(one, OnGpu) for one in tree_leaves((args, kwargs))):
            with _MadeBeside():
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def _backward(self, loss: Tensor) -> None:
        """Run the engine with this mode on, for functions whose backward pass is Python."""
        first = (OnGpu(torch.ones_like(loss.detach().held)),)
        with self:
            torch.autograd.graph._engine_run_backward(
                *((loss,), first, False, False, ()), allow_unreachable=True, accumulate_grad=True
            )

    def _to(self, func: Callable[..., Tensor], args: tuple[Any, ...], kwargs: dict[str, Any]):
        """Move between host and GPU; to the host it waits."""
        one, *rest = args
        target = kwargs.get("device", next(iter(rest), None))
        if isinstance(target, Tensor):
            target, rest = target.device, [target.dtype, *rest[1:]]
            kwargs.pop("device", None)
            return self._to(func, (one, target, *rest), kwargs)
        if _is_gpu(target):
            rest = [one for one in rest if not _is_gpu(one)]
            kwargs.pop("device", None)
            put = one if isinstance(one, OnGpu) else self.put(one)
            return func(put, *rest, **kwargs) if rest or kwargs else put
        if isinstance(target, (str, torch.device)) and isinstance(one, OnGpu):
            COUNTS["to"] += 1
            return func(one.held, *rest, **kwargs)
        return func(*args, **kwargs)

    def put(self, value: Tensor) -> Tensor:
        """Put a tensor on the GPU."""
        return value if isinstance(value, OnGpu) else OnGpu(value)

    def moved(self, module: nn.Module) -> nn.Module:
        """Put all weights and buffers of a module on the GPU."""
        for part in module.modules():
            for name, weight in part._parameters.items():
                if weight is not None and not isinstance(weight.data, OnGpu):
                    put = OnGpu(weight.data)
                    part._parameters[name] = nn.Parameter(put, requires_grad=weight.requires_grad)
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = self.put(buffer)
        return module


def _is_gpu(target: object) -> bool:
    if isinstance(target, int) and not isinstance(target, bool):
        return True
    return isinstance(target, (str, torch.device)) and torch.device(target).type == "cuda"
