"""A frozen model: identified by its weights, loaded when it is first used."""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import final

from configs.schema import Config
from datamodules.media.files import file_digest
from datamodules.prompts.encoder import PromptEncoder
from inference.generate import load_frozen
from inference.loading import build_encoder, weights_of
from modules.policy.omni import OmniModel

BESIDE = ("config.json", "preprocessor_config.json")
"""Files beside the weights that change what they compute."""


@final
class FrozenModel:
    """The model of a configuration, for inference only."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @cached_property
    def encoder(self) -> PromptEncoder:
        """Its tokenizer and processor."""
        return build_encoder(self.config)

    @cached_property
    def policy(self) -> OmniModel:
        """Its weights, loaded."""
        return load_frozen(self.config)

    @cached_property
    def digest(self) -> str:
        """Identity of its weights."""
        return weights_digest(weights_of(self.config), self.encoder)

    def unload(self) -> None:
        """Free the memory of the weights; the next use loads them again."""
        vars(self).pop("policy", None)


def weights_digest(path: str, encoder: PromptEncoder) -> str:
    """Identify weights by a hash of their bytes, or by their commit on the hub."""
    found = directory_digest(Path(path)) or encoder.commit
    if found is None:
        raise ValueError(
            f"{path} holds no *.safetensors and has no commit on the hub, so its scores could not "
            "be told from another model's: save the weights as safetensors."
        )
    return found


def directory_digest(path: Path) -> str | None:
    """Identify the weights of a directory by a hash of their bytes; None where it holds none."""
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else []
    if not files:
        return None
    files += [file for name in BESIDE if (file := path / name).exists()]
    return hashlib.blake2b("".join(map(file_digest, files)).encode()).hexdigest()
