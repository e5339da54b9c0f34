"""Whether a run sends its figures somewhere, asked before what does so is imported."""

import logging
from importlib.util import find_spec

from configs.schema import Config

log = logging.getLogger(__name__)

UNSENT = ("preview", "probe", "audit", "clean", "compare")
"""Stages whose results are files alone."""


def sends_to_wandb(config: Config) -> bool:
    """Whether Weights & Biases is configured; raise where its package is missing."""
    if config.logger != "wandb":
        return False
    if find_spec("wandb") is None:
        raise ValueError(
            "logger is wandb, but the package wandb is not installed: run `pip install wandb`, or "
            "leave logger=wandb out."
        )
    return True


def tell_unsent(config: Config) -> None:
    """Say where Weights & Biases is configured for a stage that sends nothing there."""
    if config.logger == "wandb" and config.stage in UNSENT:
        log.warning(
            "logger is wandb, but stage=%s leaves files alone, and sends nothing: trainings and "
            "stage=benchmark do.",
            config.stage,
        )
