"""Every setting of a run: what it means, its unit, its default, and what is refused.

A default is safe and works on the toy data; what cannot have a safe default has none and is given
by the YAML files beside this one.
"""

from dataclasses import dataclass, field
from typing import Literal

from configs.checks import at_least, positive
from configs.inputs import ContributionConfig, DataConfig, MediaConfig, ModelConfig
from configs.probing import AuditConfig, ProbeConfig, ServerConfig
from configs.rlvr import RlvrConfig

__all__ = [
    "AuditConfig",
    "BenchmarkConfig",
    "Config",
    "ContributionConfig",
    "DataConfig",
    "MediaConfig",
    "ModelConfig",
    "OptimConfig",
    "ProbeConfig",
    "RlvrConfig",
    "RunConfig",
    "ServerConfig",
    "SftConfig",
    "Stage",
    "TrainerConfig",
]

Stage = Literal["sft", "rlvr", "probe", "audit", "benchmark"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where a run keeps what it writes."""

    name: str | None = None
    """Directory of the run inside `root`; None names it by stage, config and a free number."""

    root: str = "runs"
    """Directory that holds all run directories."""

    def __post_init__(self) -> None:
        if self.name is not None and (not self.name.strip(".") or set(self.name) & set("/\\")):
            raise ValueError(
                f"run.name is {self.name!r}, but names one directory inside run.root: give a plain "
                "name, and choose its parent with run.root=..."
            )


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
        positive("optim", lr=self.lr, max_grad_norm=self.max_grad_norm)
        at_least("optim", 0, weight_decay=self.weight_decay, warmup_steps=self.warmup_steps)


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How long, on what, and how often to look."""

    max_steps: int = 500
    """Optimizer steps after which the run is finished."""

    batch_size: int = 16
    """Prompts in one micro-batch of one device."""

    accumulate: int = 1
    """Micro-batches summed into one optimizer step."""

    devices: int = 1
    """Accelerators, or CPU processes, per node."""

    num_nodes: int = 1
    """Machines that train together."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    """`auto` takes a GPU where there is one."""

    strategy: str = "auto"
    """How devices share the work, in Lightning's words; stage=rlvr knows `ddp` only."""

    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Arithmetic of the forward and backward pass."""

    val_every: int = 0
    """Steps between validations; 0 never validates."""

    val_samples: int = 200
    """Questions of `data.val` that a validation asks, from its beginning."""

    checkpoint_every: int = 100
    """Steps between checkpoints; a killed run repeats at most this many."""

    log_every: int = 10
    """Steps between rows of metrics."""

    def __post_init__(self) -> None:
        counts = ("max_steps", "batch_size", "accumulate", "devices", "num_nodes")
        every = ("val_samples", "checkpoint_every", "log_every")
        at_least("trainer", 1, **{name: vars(self)[name] for name in counts + every})
        at_least("trainer", 0, val_every=self.val_every)


@dataclass(frozen=True, kw_only=True)
class SftConfig:
    """Imitation of completions."""

    max_completion_tokens: int = 64
    """Samples whose completion is longer are refused."""

    def __post_init__(self) -> None:
        at_least("sft", 1, **vars(self))


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Scores with intervals, of several checkpoints on the same questions."""

    split: str = "test"
    """Manifest to score, without `.jsonl`."""

    checkpoints: list[str] = field(default_factory=list)
    """Directories of weights that are compared with the model itself, the baseline."""

    max_completion_tokens: int = 32
    """Answers stop after this many tokens."""

    batch_size: int = 32
    """Prompts asked at once."""

    limit: int = 0
    """Questions to score, from the manifest's beginning; 0 scores all."""

    group_by: Literal["evidence", "family"] = "evidence"
    """Field of `truth/SPLIT.jsonl` that names the rows of the table, where there is such a file."""

    resamples: int = 2000
    """Bootstrap resamples behind an interval."""

    confidence: float = 0.95
    """Share of intervals that hold the true value, between 0 and 1."""

    def __post_init__(self) -> None:
        counts = ("max_completion_tokens", "batch_size", "resamples")
        at_least("benchmark", 1, **{name: vars(self)[name] for name in counts})
        at_least("benchmark", 0, limit=self.limit)
        if not 0 < self.confidence < 1:
            raise ValueError(
                f"benchmark.confidence is {self.confidence}, but is a share between 0 and 1: "
                "95 percent is 0.95."
            )


@dataclass(frozen=True, kw_only=True)
class Config:
    """One run, resolved: everything that its numbers depend on, and where it writes them."""

    stage: Stage
    """What to do; train.py runs sft and rlvr, eval.py runs probe, audit and benchmark."""

    seed: int = 0
    """Of data order, sampling and initial values."""

    init_from: str | None = None
    """Directory of weights to start from instead of `model.path`."""

    logger: Literal["jsonl", "wandb"] = "jsonl"
    """`wandb` shows the metrics there too; `metrics.jsonl` is written either way."""

    run: RunConfig = field(default_factory=RunConfig)
    model: ModelConfig
    data: DataConfig
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    rlvr: RlvrConfig = field(default_factory=RlvrConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, but counts from 0: give seed=0 or more.")
        if self.stage == "rlvr":
            self._check_rounds()

    def _check_rounds(self) -> None:
        """Let what happens every few steps happen between two rounds of sampling."""
        trainer, updates = self.trainer, self.rlvr.updates
        counts = {
            f"trainer.{name}": vars(trainer)[name]
            for name in ("max_steps", "val_every", "checkpoint_every", "log_every")
        }
        counts["rlvr.table_every"] = self.rlvr.table_every
        counts["data.contribution.refresh_every"] = self.data.contribution.refresh_every
        uneven = {key: steps for key, steps in counts.items() if steps % updates}
        if uneven:
            key, steps = next(iter(uneven.items()))
            better = (f"{name}={-(-n // updates) * updates}" for name, n in uneven.items())
            raise ValueError(
                f"{key} is {steps}, but a round of sampling feeds rlvr.minibatches * rlvr.epochs = "
                f"{updates} optimizer steps, and nothing is looked at or saved within one: give a "
                f"multiple, such as {' '.join(better)}."
            )
