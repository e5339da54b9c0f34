"""What the processes of one run tell each other; a single process talks to itself, for nothing.

Gradients are summed here and not by a wrapper around the model: a denominator that counts all
processes makes the sum of their losses the loss of one large batch, whatever a process happened to
sample, and a parameter that one of them did not use is simply 0 there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from modules.step.nonfinite import NonFinite

Pair = tuple[float, float]
"""A measurement and its weight, such as the questions or tokens that it is a mean of."""


def world() -> int:
    """Count the processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def summed(values: Tensor) -> Tensor:
    """Add up over all processes. Shapes: any -> the same"""
    if world() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the gradients of all processes, in place; what has none counts as 0."""
    if world() == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    for work in [dist.all_reduce(gradient, async_op=True) for gradient in gradients]:
        assert work is not None, "asked for with async_op"
        work.wait()


def pooled(values: Mapping[str, list[Pair]]) -> dict[str, list[Pair]]:
    """Put together what all processes measured."""
    everyone: list[Mapping[str, list[Pair]]] = [dict(values)] * world()
    if world() > 1:
        dist.all_gather_object(everyone, dict(values))
    names = dict.fromkeys(name for one in everyone for name in one)
    return {name: [pair for one in everyone for pair in one.get(name, [])] for name in names}


@contextmanager
def together() -> Iterator[None]:
    """Let no process go on where another met a number that went wrong: it would wait for ever."""
    found: NonFinite | None = None
    try:
        yield
    except NonFinite as error:
        found = error
    everyone = [found]
    if world() > 1:
        everyone *= world()
        dist.all_gather_object(everyone, found)
    errors = [error for error in everyone if error is not None]
    if errors:
        sound = all(error.sound for error in errors)
        raise NonFinite(" ".join(map(str, errors)), sound=sound) from found


def moments(values: Sequence[Tensor]) -> tuple[float, float]:
    """Compute mean and sample standard deviation of all values of all processes."""
    flat = torch.cat([value.flatten() for value in values]).double()
    count, total = summed(torch.stack([flat.new_tensor(len(flat)), flat.sum()])).tolist()
    mean = total / count
    squares = float(summed((flat - mean).square().sum()))
    return mean, (squares / max(1.0, count - 1)) ** 0.5
