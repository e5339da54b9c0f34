"""Numbers that went wrong stop a run before the weights learn of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor

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


def require_finite(
    what: str, values: Tensor, samples: Sequence[Sample], *, rows: bool = False
) -> None:
    """Raise where a value is infinite or NaN, and name the samples behind it.

    Shapes: any, or with rows (R * len(samples), ...), so that samples can be told apart
    """
    finite = values.detach().isfinite()
    if bool(finite.all()):
        return
    if rows:
        bad = (~finite.view(len(samples), -1).all(1)).tolist()
        samples = [sample for sample, is_bad in zip(samples, bad, strict=True) if is_bad]
    ids = ", ".join(sample.id for sample in samples[:8])
    more = ", ..." if len(samples) > 8 else ""
    raise NonFinite(
        f"{what} is infinite or NaN in {len(samples)} samples ({ids}{more}), and nothing is "
        "learned from such a number. Look at these samples, or train with a smaller optim.lr."
    )


@contextmanager
def naming(samples: Sequence[Sample]) -> Iterator[None]:
    """Name the questions that a policy was asked when it could not be sampled from."""
    try:
        yield
    except NonFinite as error:
        asked = ", ".join(sample.id for sample in samples)
        raise NonFinite(f"{error} It was asked {asked}.", sound=False) from error
