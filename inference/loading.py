"""Build the encoder and the policy from a configuration."""

from functools import partial
from pathlib import Path

import torch

from configs.schema import Config
from datamodules.prompts.encoder import PromptEncoder
from datamodules.prompts.templates import target_text
from datamodules.sources.index.gold_check import GoldCheck
from modules.grading import HARNESS
from modules.policy.omni import OmniModel
from modules.verifiers.golds import wrong_golds
from pretrained.finding import check_weights
from runtime.devices import no_gpu


def weights_of(config: Config) -> str:
    """Path or hub id of the weights that the run starts from."""
    return config.init_from or config.model.path


def name_of_weights(path: str) -> str:
    """Name an export by its run, any other directory by its own name."""
    directory = Path(path)
    return directory.parent.name if directory.name == "export" else directory.name


def count_gpus(accelerator: str) -> int:
    """Count the GPUs that a run may take; raise where it asks for one and there is none."""
    found = torch.cuda.device_count() if accelerator != "cpu" else 0
    if accelerator == "gpu" and not found:
        raise no_gpu("torch finds no CUDA device")
    return found


def build_encoder(config: Config) -> PromptEncoder:
    """Load tokenizer and processor of the model that the run starts from."""
    check_weights(weights_of(config))
    return PromptEncoder(
        weights_of(config),
        system_prompt=config.model.system_prompt,
        answer_with=config.model.answer_with,
        audio_in_video=config.data.media.audio_in_video,
    )


def build_gold_check(config: Config) -> GoldCheck:
    """Build the check of gold answers that is run when a manifest is opened."""
    named = config.model.answer_with
    return GoldCheck(
        key=f"{HARNESS}-{named}",
        judge=partial(wrong_golds, answer_with=named, imitated=target_text),
    )


def compute_dtype(config: Config) -> torch.dtype:
    """Dtype of matrix products, and of the weights of frozen models."""
    low = config.model.dtype == "bfloat16" or config.trainer.precision != "32-true"
    return torch.bfloat16 if low else torch.float32


def build_policy(
    config: Config, encoder: PromptEncoder, *, dtype: torch.dtype | None = None
) -> OmniModel:
    """Load the model that the run starts from, in the configured dtype unless another is given.

    Adapters, if configured, are initialized alike in every process and every repetition.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        return OmniModel.load(
            weights_of(config),
            encoder.tokenizer,
            dtype=dtype
            or {"float32": torch.float32, "bfloat16": torch.bfloat16}[config.model.dtype],
            attention=config.model.attention,
            gradient_checkpointing=config.model.gradient_checkpointing,
            freeze_towers=config.model.freeze_towers,
            lora=config.model.lora if config.model.lora.rank else None,
            tower_cache=config.model.tower_cache,
            tower_cache_gigabytes=config.model.tower_cache_gigabytes,
        )
