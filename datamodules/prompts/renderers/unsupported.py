"""Refuse, or warn about, modalities that a model does not support."""

import logging
from functools import cache
from typing import Literal, NoReturn

log = logging.getLogger(__name__)

Sense = Literal["hear", "see"]

WITHHOLDING: dict[Sense, str] = {"hear": "no_audio", "see": "no_visual"}
"""The condition that withholds all that a sense would take."""


def refuse_modality(path: str, sense: Sense, shown: str) -> NoReturn:
    """Raise where a question shows media that the model cannot take: it would fail on all others
    like it."""
    raise ValueError(
        f"{path} cannot {sense}, but a question shows it media ({shown}): leave such questions out "
        f"of the manifest, withhold that part where there is a condition ({WITHHOLDING[sense]}), "
        f"or choose a model that can {sense}."
    )


@cache
def warn_left_out(path: str, sense: Sense, what: str) -> None:
    """Warn once that a part of all videos is not shown."""
    log.warning("%s cannot %s: the %s of films is left out", path, sense, what)
