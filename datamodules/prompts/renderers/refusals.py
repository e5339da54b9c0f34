"""What a model is not given, for it has no sense that would take it."""

import logging
from functools import cache
from typing import Literal, NoReturn

log = logging.getLogger(__name__)

Sense = Literal["hear", "see"]

WITHHOLDING: dict[Sense, str] = {"hear": "no_audio", "see": "no_visual"}
"""The condition under which nothing is left for a sense."""


def refuse(path: str, sense: Sense, shown: str) -> NoReturn:
    """Stop where a question shows what the model cannot take: all others like it would too."""
    raise ValueError(
        f"{path} cannot {sense}, but a question shows it media ({shown}): leave such questions out "
        f"of the manifest, withhold that part where there is a condition ({WITHHOLDING[sense]}), "
        f"or choose a model that can {sense}."
    )


@cache
def leave_out(path: str, sense: Sense, what: str) -> None:
    """Say once that a part of all films is not shown."""
    log.warning("%s cannot %s: the %s of films is left out", path, sense, what)
