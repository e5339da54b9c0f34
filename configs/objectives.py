"""What a run learns by, told from its settings: an objective, or a way of distilling."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

from configs.files import read_yaml
from configs.load import choices
from configs.names import flatten
from configs.paths import FOLDER
from configs.rlvr import RlvrConfig
from configs.schema import SAMPLED

OWN = "own"
"""Stands for settings that no file of configs/objective has."""


def learns_by(settings: Mapping[str, Any]) -> str | None:  # Any: as below
    """Name what a stage that has a choice learns by; None of other stages."""
    if settings.get("stage") in SAMPLED:
        return objective_of(settings)
    return str(settings.get("distill.method")) if settings.get("stage") == "distill" else None


def objective_of(settings: Mapping[str, Any]) -> str:  # Any: a setting is of any type
    """Name the objective whose settings these are, whatever is rewarded."""
    return next(
        (
            name
            for name, own in _objectives().items()
            if all(settings.get(key) == value for key, value in own.items())
        ),
        OWN,
    )


@cache
def _objectives() -> dict[str, dict[str, Any]]:
    """Read all that any objective sets, as each of them has it."""
    files = {
        name: flatten(read_yaml(FOLDER / f"objective/{name}.yaml")) for name in choices("objective")
    }
    keys = {key for own in files.values() for key in own if not key.startswith("rlvr.reward.")}
    plain = flatten(asdict(RlvrConfig()), "rlvr.")
    return {name: {key: own.get(key, plain[key]) for key in keys} for name, own in files.items()}
