"""What both entry scripts do before torch is imported: check the command, set the environment."""

import logging
import os
import sys

from configs.command import main_config, main_recipe
from configs.recipes import Command
from configs.schema import Config

QUIET = ("lightning.pytorch", "lightning.fabric", "transformers", "httpx", "httpx2", "openai")
"""Libraries whose advice at every start would bury what this project says."""


def start(stages: tuple[str, ...]) -> Config:
    """Resolve the command line or leave with help or an error; then prepare the process."""
    config = main_config(sys.argv[1:], stages)
    _prepare()
    return config


def start_recipe() -> Command:
    """Do the same for a recipe, whose steps get the environment of this process."""
    command = main_recipe(sys.argv[1:])
    _prepare()
    return command


def _prepare() -> None:
    # Threads that spin while they wait make a run several times slower on cores shared with others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # its threads do not survive forks
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)


def quiet() -> None:
    """Silence those libraries, once their import has set up their own logging."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
        logging.getLogger(name).propagate = False


def leave(error: ValueError) -> None:
    """End with one readable sentence: a ValueError is something that the user can mend."""
    sys.exit(f"error: {error}")
