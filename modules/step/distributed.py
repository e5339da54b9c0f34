"""Collectives between the processes of a run; all of them do nothing on a single process.

Gradients are summed here and not by a wrapper around the model: a denominator that counts all
ranks makes the sum of their losses the loss of one large batch, whatever a rank happened to sample,
and a parameter that one of them did not use is simply 0 there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from modules.step.nonfinite import NonFiniteError
from runtime.plugins import PluginError

Weighted = tuple[float, float]
"""A measurement and its weight, such as the questions or tokens that it is a mean of."""


def world_size() -> int:
    """Count the processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def all_reduce_sum(values: Tensor) -> Tensor:
    """Add up over all ranks. Shapes: any -> the same"""
    if world_size() == 1:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total


def all_reduce_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Add up the gradients of all ranks, in place; a missing gradient counts as 0."""
    if world_size() == 1:
        return
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in trained:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in trained if parameter.grad is not None]
    for work in [dist.all_reduce(gradient, async_op=True) for gradient in gradients]:
        assert work is not None, "asked for with async_op"
        work.wait()


def all_gather_metrics(values: Mapping[str, list[Weighted]]) -> dict[str, list[Weighted]]:
    """Collect what all ranks measured, by name."""
    gathered: list[Mapping[str, list[Weighted]]] = [dict(values)] * world_size()
    if world_size() > 1:
        dist.all_gather_object(gathered, dict(values))
    names = dict.fromkeys(name for one in gathered for name in one)
    return {name: [pair for one in gathered for pair in one.get(name, [])] for name in names}


@contextmanager
def raise_on_all_ranks() -> Iterator[None]:
    """Raise on every rank what any of them raises inside, if it is a `NonFiniteError` or of a
    function of the user's own: a rank that went on alone would wait for the others for ever."""
    found: NonFiniteError | None = None
    try:
        yield
    except NonFiniteError as error:
        found = error
    except PluginError as error:
        found = NonFiniteError(str(error))
    gathered = [found]
    if world_size() > 1:
        gathered *= world_size()
        dist.all_gather_object(gathered, found)
    errors = [error for error in gathered if error is not None]
    if errors:
        weights_good = all(error.weights_good for error in errors)
        raise NonFiniteError(" ".join(map(str, errors)), weights_good=weights_good) from found


def global_mean_std(values: Sequence[Tensor]) -> tuple[float, float]:
    """Compute mean and sample standard deviation of all values on all ranks."""
    flat = torch.cat([value.flatten() for value in values]).double()
    count, total = all_reduce_sum(torch.stack([flat.new_tensor(len(flat)), flat.sum()])).tolist()
    mean = total / count
    squares = float(all_reduce_sum((flat - mean).square().sum()))
    return mean, (squares / max(1.0, count - 1)) ** 0.5
