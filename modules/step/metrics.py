"""Metrics of a training step or a validation, averaged over micro-batches and ranks."""

from collections import defaultdict
from collections.abc import Mapping
from typing import final

from torch import Tensor

from modules.step.distributed import Weighted, all_gather_metrics


@final
class StepMetrics:
    """Record measurements during a step, and reduce each name to one number.

    Not by torchmetrics, which exchanges a metric at a time and by its place: ranks that recorded
    other names, such as groups of questions, would average one group with another or wait for ever.
    Here all names are exchanged at once.
    """

    def __init__(self) -> None:
        self._recorded: dict[str, list[Weighted]] = defaultdict(list)

    def record(self, values: Mapping[str, Tensor | float], *, weight: float = 1.0) -> None:
        """Add measurements, such as means over the tokens or questions that `weight` counts."""
        for name, value in values.items():
            number = float(value.detach() if isinstance(value, Tensor) else value)
            self._recorded[name].append((number, weight))

    def reduce(self) -> dict[str, float]:
        """Reduce what all ranks recorded, and start anew: the weighted mean of each name, or the
        largest value where a name ends in `_max`."""
        gathered = all_gather_metrics(self._recorded)
        self._recorded.clear()
        return {name: _reduced(name, pairs) for name, pairs in gathered.items()}


def _reduced(name: str, pairs: list[Weighted]) -> float:
    if name.endswith("_max") and not name.startswith(("accuracy_", "reward_")):  # named by users
        return max(value for value, _ in pairs)
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else 0.0
