"""Check that a checkpoint is one that this run would have written, before it is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Held = Any  # a file may hold anything


@dataclass(frozen=True)
class Same:
    """A value that does not change during a run."""

    value: object


def check_checkpoint(found: Mapping[str, Held], expected: Mapping[str, Held], *, path: str) -> None:
    """Raise at the first entry of a checkpoint that this run would not write.

    Args:
        expected: what the run would write now, by the same names: numbers are compared by type, and
            tensors by shape.
        path: of the checkpoint, for the error.
    """
    faults = (_fault(found.get(name, _ABSENT), expected[name], name) for name in expected)
    if fault := next(filter(None, faults), None):
        raise ValueError(
            f"{path} is whole, but {fault}, and a run goes on from what it wrote itself: delete "
            "that checkpoint and its checksum, and the one before it is taken, or start again "
            "under another run.name."
        )


def optimizer_like(found: Held, optimizer: torch.optim.Optimizer) -> list[dict[str, Held]]:
    """Return the state that an optimizer would write; parameters without gradient have no moments.

    Args:
        found: the state in the checkpoint, which shows the parameters that have moments.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    try:
        kept = {*found[0]["state"]}
    except (TypeError, LookupError):
        kept = set()
    state = {
        number: {"step": torch.zeros(()), "exp_avg": weight, "exp_avg_sq": weight}
        for number, weight in enumerate(weights)
        if number in kept
    }
    groups = optimizer.state_dict()["param_groups"]
    fixed = [{name: Same(value) for name, value in group.items()} for group in groups]
    return [{"state": state, "param_groups": [{**group, "lr": 0.0} for group in fixed]}]


_ABSENT = object()


def _fault(found: Held, expected: Held, place: str) -> str | None:
    """Return what is wrong with a value; None where it is of the expected kind."""
    if found is _ABSENT:
        return f"{place} is missing"
    if isinstance(expected, Tensor):
        return _tensor_fault(found, expected, place)
    if isinstance(expected, Same):
        return None if repr(found) == repr(expected.value) else f"{place} is {found!r:.80}"
    if isinstance(expected, float) and type(found) in (int, float):
        return None if abs(found) < float("inf") else f"{place} is {found}"
    alike = isinstance(found, dict) and isinstance(expected, dict)  # ordered or not
    if not alike and type(found) is not type(expected):
        return f"{place} is of type {type(found).__name__}, not {type(expected).__name__}"
    if isinstance(expected, int):
        return None if 0 <= found < 1 << 62 else f"{place} is {found}"
    if isinstance(expected, list | tuple):
        found, expected = dict(enumerate(found)), dict(enumerate(expected))
    if not isinstance(expected, dict):
        return None
    if strange := sorted(map(str, found.keys() ^ expected.keys())):
        return f"{place} differs in {len(strange)} of its names (first: {strange[0]})"
    faults = (_fault(found[name], expected[name], f"{place}.{name}") for name in expected)
    return next(filter(None, faults), None)


def _tensor_fault(found: Held, expected: Tensor, place: str) -> str | None:
    if not isinstance(found, Tensor):
        return f"{place} is of type {type(found).__name__}, not a tensor"
    kinds = [f"{tuple(one.shape)} in {one.dtype}" for one in (found, expected)]
    if kinds[0] != kinds[1] or found.layout != torch.strided:
        return f"{place} is of shape {kinds[0]}, not {kinds[1]}"
    values = found.sqrt() if place.endswith("_sq") else found
    return None if bool(values.isfinite().all()) else f"{place} holds NaN or infinite numbers"
