"""Low-rank adapters (LoRA, arXiv 2106.09685) beside frozen weights, by peft.

They are injected into the thinker, not wrapped around it: module names stay, and code that knows
the thinker's parts still finds them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig as PeftConfig
from peft import get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from configs.policy import LoraConfig
from modules.backbones.base import LanguageModel

NAME = "default"
"""Of the one adapter, in peft."""


def add_adapters(parts: LanguageModel, lora: LoraConfig, *, towers: bool) -> None:
    """Freeze the weights and add adapters, in float32 whatever the weights are.

    They begin as no change at all: A is drawn from torch's global generator, B is 0. There is no
    dropout, for each completion would need other masks over the prompt, which is read only once.
    """
    config = PeftConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # typed int, but any number scales
        lora_dropout=0.0,
        target_modules=_targets(parts, lora.targets, towers=towers),
        base_model_name_or_path=parts.whole.name_or_path,
        inference_mode=False,
    )
    inject_adapter_in_model(config, parts.whole, NAME)
    for layer in _layers(parts.whole).values():
        layer.lora_A.float()
        layer.lora_B.float()


def _targets(parts: LanguageModel, endings: list[str], *, towers: bool) -> list[str]:
    """List full names of layers to adapt: by their endings alone peft would adapt towers, too."""
    names = {module: name for name, module in parts.whole.named_modules()}

    def linears(part: nn.Module) -> list[str]:
        return [names[module] for module in part.modules() if isinstance(module, nn.Linear)]

    language = linears(parts.language)
    known = {name.rpartition(".")[2] for name in language}
    if strange := sorted(set(endings) - known):
        raise ValueError(
            f"model.lora.targets names {', '.join(strange)}, but the language model has no such "
            f"linear layer: choose from {', '.join(sorted(known))}."
        )
    chosen = [name for name in language if name.rpartition(".")[2] in endings]
    if towers:
        chosen += [name for tower in parts.towers for name in linears(tower)]
    return chosen


def _layers(thinker: nn.Module) -> dict[str, LoraLayer]:
    """Return the layers that have an adapter, by name."""
    return {name: part for name, part in thinker.named_modules() if isinstance(part, LoraLayer)}


def adapted(thinker: nn.Module) -> bool:
    """Return whether there are adapters."""
    return bool(_layers(thinker))


@contextmanager
def adapters_off(thinker: nn.Module) -> Iterator[None]:
    """Disable the adapters inside; afterwards the same parameters train as before."""
    layers = _layers(thinker).values()
    trained = [p for p in thinker.parameters() if p.requires_grad]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
        thinker.requires_grad_(False)
        for parameter in trained:
            parameter.requires_grad_(True)


@torch.no_grad()
def merged_weights(thinker: nn.Module) -> dict[str, Tensor]:
    """Merge the adapters into their weights: W + scale * B A.

    In float32 and on the CPU, where products have no shortened mantissa, then in the precision of
    W. The live weights are read only: adding and taking away again would not restore their bits.
    """
    weights = {
        name.replace(".base_layer.", "."): value
        for name, value in thinker.state_dict().items()
        if ".lora_" not in name
    }
    for name, layer in _layers(thinker).items():
        base = weights[f"{name}.weight"]
        precise = torch.promote_types(base.dtype, torch.float32)
        linears = (layer.lora_A[NAME], layer.lora_B[NAME])
        # a ModuleDict types no more than Module
        down, up = (cast(nn.Linear, part).weight.to("cpu", precise) for part in linears)
        merged = base.to("cpu", precise) + layer.scaling[NAME] * (up @ down)
        weights[f"{name}.weight"] = merged.to(base.dtype)
    return weights


def save_adapters(thinker: PreTrainedModel, path: Path, *, base: str) -> None:
    """Write the adapters alone, as `PeftModel.from_pretrained` reads them beside the weights that
    the run started from. Module names are those of the installed transformers.

    Args:
        base: what these weights are called, which is not where this machine keeps them.
    """
    layers = _layers(thinker)
    assert layers, "there are no adapters, and the weights themselves are trained"
    path.mkdir(parents=True, exist_ok=True)
    # peft leaves its configuration on the model, which transformers does not type
    config: PeftConfig = thinker.peft_config[NAME]  # type: ignore[operator, index, assignment]
    weights = {
        f"base_model.model.{name}": value.contiguous()
        for name, value in get_peft_model_state_dict(thinker, adapter_name=NAME).items()
    }
    save_file(weights, path / "adapter_model.safetensors", metadata={"format": "pt"})
    config = copy(config)
    config.inference_mode, config.base_model_name_or_path = True, base
    config.save_pretrained(str(path))
