"""Stop on NaN or infinity before the update, and name the samples that cause it.

Prompts of a batch share one row, and a number that is infinite in one of them may spread to all:
so each is computed again by itself before it is named.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from datamodules.batch import PACKED, Batch
from datamodules.sample import Sample
from modules.step.micro_batch import LossOf, M


class NonFiniteError(ValueError):
    """A loss, gradient, reward or log-prob is infinite or NaN."""

    def __init__(self, message: str, *, weights_good: bool = True) -> None:
        """Take the message.

        Args:
            weights_good: whether the weights are as good as before; where they cannot even be
                sampled from, the last update may have spoiled them.
        """
        super().__init__(message)
        self.weights_good = weights_good

    def __reduce__(self) -> tuple[type["NonFiniteError"], tuple[str], dict[str, bool]]:
        """Pickle both, for other processes."""
        return type(self), (str(self),), {"weights_good": self.weights_good}


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
    raise NonFiniteError(_message(what, names, samples))


def blame_samples(
    what: str, micro_batches: Sequence[M], loss_of: LossOf[M], model: nn.Module
) -> NonFiniteError:
    """Find the samples whose own loss or gradient is infinite or NaN, and describe their media.

    The gradients that were accumulated are lost.
    """
    found = [name for one in micro_batches for name in _nonfinite_samples(one, loss_of, model)]
    samples = [sample for one in micro_batches for sample in one.batch.samples]
    return NonFiniteError(_message(what, found, samples))


def _nonfinite_samples(micro_batch: M, loss_of: LossOf[M], model: nn.Module) -> Iterator[str]:
    for prompt, sample in enumerate(micro_batch.batch.samples):
        model.zero_grad()
        with torch.enable_grad():
            loss, _ = loss_of(micro_batch.alone(prompt))
            if bool(loss.isfinite()):
                loss.backward()
        gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
        if not all(bool(number.isfinite().all()) for number in (loss, *gradients)):
            media = media_range(micro_batch.batch, prompt)
            yield f"{sample.id}: its loss is {loss.item():.6g}{media}"


def media_range(batch: Batch, prompt: int) -> str:
    """Describe the largest magnitude in each kind of media of a prompt; empty without media.

    Towers are used to numbers of a few units.
    """
    shown = vars(batch.select([prompt]))
    media = ((kind, shown[name]) for kind, (name, _, _) in PACKED.items())
    sizes = [f"{kind} {float(one.abs().max()):.3g}" for kind, one in media if one is not None]
    return f", its media reach {', '.join(sizes)}" if sizes else ""


def _message(what: str, names: Sequence[str], samples: Sequence[Sample]) -> str:
    """Name the samples at fault, or all of them where none is at fault by itself."""
    if names:
        where = f"in {len(names)} of {len(samples)} samples ({'; '.join(names[:8])}"
    else:
        ids = ", ".join(sample.id for sample in samples[:8])
        where = f"in {len(samples)} samples together, in none of them by itself ({ids}"
    more = "; ..." if max(len(names), len(samples) * (not names)) > 8 else ""
    return (
        f"{what} is infinite or NaN {where}{more}), and nothing is learned from such a number. "
        "Look at these samples, or train with a smaller optim.lr."
    )
