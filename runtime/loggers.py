"""Whether a run sends its figures somewhere, asked before what does so is imported."""

from importlib.util import find_spec

from configs.schema import Config


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
