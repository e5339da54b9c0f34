"""Settings that all training stages share: run directory, optimizer and trainer."""

from dataclasses import dataclass
from typing import Literal

from configs.checks import a_name, at_least, positive


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where a run keeps what it writes."""

    name: str | None = None
    """Directory of the run inside `run.root`; null names it by stage, objective, model,
    settings and number."""

    root: str = "runs"
    """Directory that holds all run directories."""

    clean: bool = False
    """Of `stage=runs`, `clean=true` for short: remove the directories of runs that never began."""

    def __post_init__(self) -> None:
        if self.name is not None:
            a_name("run.name", self.name)


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW and the schedule of its step size."""

    lr: float = 1e-5
    """Peak learning rate."""

    weight_decay: float = 0.01
    """Decoupled decay of weight matrices."""

    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0 to `lr`."""

    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """Shape after warm-up; cosine and linear reach 0 at `trainer.max_steps`."""

    max_grad_norm: float = 1.0
    """Gradients with a larger norm are scaled down to it."""

    def __post_init__(self) -> None:
        positive("optim", self, "lr", "max_grad_norm")
        at_least("optim", 0, self, "weight_decay", "warmup_steps")


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Length, batches, devices and intervals of a training."""

    max_steps: int = 500
    """Optimizer steps after which the run is finished."""

    max_tokens: int = 0
    """Tokens to learn from, if that ends first; 0 sets no such end. Those of prompts and of
    completions count, over all processes."""

    batch_size: int = 16
    """Prompts in one micro-batch of one device."""

    accumulate_grad_batches: int = 1
    """Micro-batches summed into one optimizer step."""

    devices: int = 1
    """Accelerators, or CPU processes, per node."""

    num_nodes: int = 1
    """Machines that train together."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """`auto` takes a GPU where there is one."""

    strategy: str = "auto"
    """How devices share the work, in Lightning's words: `ddp`."""

    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Arithmetic of forward and backward pass: `32-true` or `bf16-mixed`."""

    val_check_interval: int = 0
    """Steps between validations; 0 never validates."""

    val_limit: int = 200
    """Questions of `data.val` that a validation asks, from its beginning."""

    checkpoint_every: int = 100
    """Steps between checkpoints; a killed run repeats at most this many."""

    log_every_n_steps: int = 10
    """Steps between rows of metrics."""

    def __post_init__(self) -> None:
        counts = ("max_steps", "batch_size", "accumulate_grad_batches", "devices", "num_nodes")
        every = ("val_limit", "checkpoint_every", "log_every_n_steps")
        at_least("trainer", 1, self, *counts, *every)
        at_least("trainer", 0, self, "val_check_interval", "max_tokens")
        if self.strategy not in ("auto", "ddp"):
            raise ValueError(
                f"trainer.strategy is {self.strategy}, but stages sum the gradients of their "
                "processes themselves, over whole copies of the model: use ddp, with "
                "model.lora.rank or model.freeze_towers where memory is short."
            )


@dataclass(frozen=True, kw_only=True)
class WandbConfig:
    """What is shown in Weights & Biases beside curves; nothing of it changes a result."""

    media_megabytes: float = 16.0
    """Most megabytes of sounds, pictures and films in one table; 0 sends none. Rows beyond it have
    the paths of their media alone."""

    questions: int = 32
    """Questions of each set that a benchmark shows there, evenly spread over the set; 0 shows none.
    Trainings show those of `rlvr.log_rollouts_prompts`."""

    def __post_init__(self) -> None:
        at_least("wandb", 0, self, "media_megabytes", "questions")
