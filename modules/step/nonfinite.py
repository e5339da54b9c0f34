"""Numbers that went wrong stop a run before the weights learn of them, and name who is at fault.

Prompts of a batch share one row, and a number that is infinite in one of them may spread to all:
so each is computed again by itself before anybody is blamed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from datamodules.batch import PACKED, Batch
from datamodules.sample import Sample


class NonFinite(ValueError):
    """A loss, gradient, reward or log-prob is infinite or NaN."""

    def __init__(self, message: str, *, sound: bool = True) -> None:
        """Say what went wrong.

        Args:
            sound: whether the weights are as good as before; where they cannot even be sampled
                from, it may be they that went wrong, a step ago.
        """
        super().__init__(message)
        self.sound = sound

    def __reduce__(self) -> tuple[type["NonFinite"], tuple[str], dict[str, bool]]:
        """Travel between processes with both."""
        return type(self), (str(self),), {"sound": self.sound}


@dataclass(frozen=True, kw_only=True)
class Term:
    """What a micro-batch adds to the loss."""

    batch: Batch
    alone: Callable[[int], Tensor]
    """Computes anew what one prompt of it adds, without the others."""


def require_finite(
    what: str,
    values: Tensor,
    samples: Sequence[Sample],
    *,
    alone: Callable[[int], Tensor] | None = None,
) -> None:
    """Raise where a value of a sample is infinite or NaN, and name the samples.

    Shapes: (R * len(samples), ...)

    Args:
        alone: computes the values of one sample by itself; None where samples are apart anyway.
    """
    finite = values.detach().isfinite()
    if bool(finite.all()):
        return
    if alone is None:
        bad = (~finite.view(len(samples), -1).all(1)).tolist()
    else:
        bad = [not bool(alone(row).isfinite().all()) for row in range(len(samples))]
    names = [sample.id for sample, is_bad in zip(samples, bad, strict=True) if is_bad]
    raise NonFinite(_told(what, names, samples))


def blamed(what: str, terms: Sequence[Term], model: nn.Module) -> NonFinite:
    """Find the samples whose own loss or gradient is infinite or NaN, and say what is odd in them.

    The gradients that are summed up are lost.
    """
    found = [name for term in terms for name in _guilty(term, model)]
    samples = [sample for term in terms for sample in term.batch.samples]
    return NonFinite(_told(what, found, samples))


def _guilty(term: Term, model: nn.Module) -> Iterator[str]:
    for row, sample in enumerate(term.batch.samples):
        model.zero_grad()
        with torch.enable_grad():
            loss = term.alone(row)
            if bool(loss.isfinite()):
                loss.backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        finite = all(bool(number.isfinite().all()) for number in (loss, *gradients))
        if not finite:
            yield f"{sample.id}: its loss is {loss.item():.6g}{oddity(term.batch, row)}"


def oddity(batch: Batch, row: int) -> str:
    """Say how large the numbers are that the media of a prompt became; nothing where it has none.

    Both ears and eyes are used to numbers of a few units.
    """
    shown = vars(batch.select([row]))
    media = ((kind, shown[name]) for kind, (name, _, _) in PACKED.items())
    sizes = [f"{kind} {float(one.abs().max()):.3g}" for kind, one in media if one is not None]
    return f", its media reach {', '.join(sizes)}" if sizes else ""


def _told(what: str, names: Sequence[str], samples: Sequence[Sample]) -> str:
    """Name those at fault; or everybody, where it takes more than one."""
    if names:
        who = f"in {len(names)} of {len(samples)} samples ({'; '.join(names[:8])}"
    else:
        ids = ", ".join(sample.id for sample in samples[:8])
        who = f"in {len(samples)} samples together, in none of them by itself ({ids}"
    more = "; ..." if max(len(names), len(samples) * (not names)) > 8 else ""
    return (
        f"{what} is infinite or NaN {who}{more}), and nothing is learned from such a number. Look "
        "at these samples, or train with a smaller optim.lr."
    )
