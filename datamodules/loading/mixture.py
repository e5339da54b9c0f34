"""Weight questions so that each source or modality gets its share of an epoch."""

import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from configs.inputs import MixtureConfig
from datamodules.sample import Sample

log = logging.getLogger(__name__)

SPARE = "for equal shares, leave data.mixture.shares empty."
"""The way out in errors about shares."""


def mixture_weights(
    samples: Sequence[Sample],
    mixture: MixtureConfig,
    *,
    output_tokens: NDArray[np.int64] | None,
    weights: NDArray[np.float64] | None,
) -> NDArray[np.float64] | None:
    """Weight questions so that each kind gets its share of an epoch, on average.

        w'_i = s_k w_i / Σ_{j in k} w_j u_j        of kind k, whose shares s sum to 1

    with the unit u = 1 to share out questions, or the tokens of each completion. Within a kind
    the ratios of the weights given stay.

    Args:
        output_tokens: of the completion to each question; None where none is imitated. (N,)
        weights: how often each question would be read, in proportion; None is all alike. (N,)
    """
    if mixture.by == "none":
        _check_nothing_asked(mixture)
        return weights
    kinds = np.array([_kind(sample, mixture) for sample in samples])
    given = np.ones(len(samples)) if weights is None else weights
    if mixture.unit == "questions":
        units = np.ones(len(samples))
    elif output_tokens is not None:
        units = output_tokens.astype(np.float64)
    else:
        raise ValueError(
            "data.mixture.unit is output_tokens, those of completions to imitate, but this stage "
            "imitates none, and how long its own will be nobody knows: set "
            "data.mixture.unit=questions."
        )
    mixed = np.zeros(len(samples))
    for name, share in _shares(mixture, sorted(set(kinds.tolist()))).items():
        members = kinds == name
        total = float((given * units)[members].sum())
        if share and not total:
            raise ValueError(
                f"data.mixture.shares gives {name} a share of {share:.3g}, but nothing of its "
                f"{members.sum()} questions can be read: they all have a contribution weight of 0 "
                "or no completion. Name the shares of the others only, or set "
                "data.contribution.weighted=false."
            )
        if share:
            mixed[members] = share * given[members] / total
    _log_mixture(kinds, mixed, output_tokens)
    return mixed


def media_kind(sample: Sample) -> str:
    """Name the kinds of media of a question, as in `audio+image`; `text` where there are none."""
    return "+".join(sorted({item.modality for item in sample.media})) or "text"


def _kind(sample: Sample, mixture: MixtureConfig) -> str:
    return sample.source if mixture.by == "source" else media_kind(sample)


def _check_nothing_asked(mixture: MixtureConfig) -> None:
    """Refuse settings that mean nothing without a mixture."""
    settings = {
        f"shares={mixture.shares}": bool(mixture.shares),
        f"unit={mixture.unit}": mixture.unit != "questions",
    }
    if asked := [setting for setting, matters in settings.items() if matters]:
        raise ValueError(
            f"data.mixture has {', '.join(asked)} with by=none, but nothing tells questions apart "
            "then: choose data.mixture.by=source or modality, or leave the rest out."
        )


def _shares(mixture: MixtureConfig, kinds: Sequence[str]) -> Mapping[str, float]:
    """Read the share of each kind and normalize them to a sum of 1."""
    if not mixture.shares:
        return dict.fromkeys(kinds, 1 / len(kinds))
    shares: dict[str, float] = {}
    for text in mixture.shares:
        name, share = _parsed(text)
        if name in shares:
            raise ValueError(
                f"data.mixture.shares names {name} twice, but each kind has one share: leave one "
                "of the two out."
            )
        if name not in kinds:
            close = get_close_matches(name, kinds, n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ValueError(
                f"data.mixture.shares names {name!r}, but the questions by {mixture.by} are "
                f"{', '.join(kinds)}: name some of these.{hint}"
            )
        shares[name] = share
    total = sum(shares.values())
    if not total:
        raise ValueError(
            f"data.mixture.shares is {mixture.shares}, but one share at least must be above 0: "
            f"raise one, or {SPARE}"
        )
    return {name: share / total for name, share in shares.items()}


def _parsed(text: str) -> tuple[str, float]:
    """Split NAME:SHARE; names may hold colons."""
    name, _, number = text.rpartition(":")
    try:
        share = float(number)
    except ValueError:
        share = -1.0
    if not name or not isfinite(share) or share < 0:
        raise ValueError(
            f"data.mixture.shares holds {text!r}, but each is NAME:SHARE with a number from 0 on, "
            f"such as audio:2 or image:0.5: mend it, or {SPARE}"
        )
    return name, share


def _log_mixture(
    kinds: NDArray[np.str_],
    weights: NDArray[np.float64],
    output_tokens: NDArray[np.int64] | None,
) -> None:
    """Log the share of each kind in an epoch."""
    parts = []
    for name in sorted(set(kinds.tolist())):
        members = kinds == name
        part = f"{name} {members.sum()} questions, {weights[members].sum() / weights.sum():.1%}"
        if output_tokens is not None:
            tokens = weights * output_tokens
            part += f" and {tokens[members].sum() / (tokens.sum() or 1.0):.1%} of output tokens"
        parts.append(part)
    log.info("mixture: %s", "; ".join(parts))
