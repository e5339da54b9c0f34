"""Settings of the model."""

from dataclasses import dataclass, field
from typing import Literal

from configs.checks import a_name, at_least, positive
from configs.choices import AttentionKind


@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters beside frozen weights (arXiv 2106.09685), by peft."""

    rank: int = 0
    """Rank of the adapters; 0 trains the weights themselves."""

    alpha: float = 64.0
    """An adapter's product is scaled by `alpha / rank`."""

    targets: list[str] = field(
        default_factory=lambda: [
            *("q_proj", "k_proj", "v_proj", "o_proj"),
            *("gate_proj", "up_proj", "down_proj"),
        ]
    )
    """Linear layers of the language model that get one, by the last part of their name. Towers
    that are not frozen get one beside every linear layer."""

    def __post_init__(self) -> None:
        at_least("model.lora", 0, self, "rank")
        positive("model.lora", self, "alpha")
        if self.rank and not self.targets:
            raise ValueError(
                f"model.lora.rank is {self.rank}, but model.lora.targets is empty, so that nothing "
                "would be trained: name layers, such as [q_proj, v_proj]."
            )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The policy: weights, precision, adapters and caches."""

    name: str
    """Short name that reports and probe keys show."""

    path: str
    """Directory in Hugging Face format, or the id of a model on the hub."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the weights; logprobs and losses are float32 either way."""

    attention: AttentionKind = "auto"
    """How a prompt is read once for all that continues it: `fused` by one call of variable lengths,
    `split` by two calls of torch's attention, `dense` by one with a mask over the row, their plain
    and slower twin. `auto` takes `fused` on a GPU in half precision, and `split` elsewhere."""

    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    freeze_towers: bool = False
    """Train the language model only, not the audio and vision towers."""

    lora: LoraConfig = field(default_factory=LoraConfig)

    answer_with: Literal["letter", "text"] = "letter"
    """How a choice is asked for: options behind letters and the letter as answer (most
    benchmarks), or bare options and the text of one as answer (AudioMCQ)."""

    system_prompt: str = ""
    """First turn of every conversation; empty leaves the turn out."""

    tower_cache: str = ""
    """Directory of what frozen towers have made of media: each is then seen and heard once in all
    runs. Empty keeps none."""

    tower_cache_gigabytes: float = 100.0
    """The tower cache grows no further than this."""

    def __post_init__(self) -> None:
        a_name("model.name", self.name)  # a benchmark calls a file by it
        positive("model", self, "tower_cache_gigabytes")
        if self.tower_cache and not self.freeze_towers:
            raise ValueError(
                "model.tower_cache is set, but towers that are trained make something new of each "
                "medium at each step: set model.freeze_towers=true, or leave the cache out."
            )
