"""Every setting of a run: what it means, its unit, its default, and what is refused.

A default is safe and works on the toy data; what cannot have a safe default has none and is given
by the YAML files beside this one.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from configs.benchmark import BenchmarkConfig, CleanConfig
from configs.checks import at_least
from configs.comparing import CompareConfig
from configs.distill import DistillConfig
from configs.inputs import ContributionConfig, DataConfig, MediaConfig
from configs.policy import ModelConfig
from configs.prealign import PrealignConfig
from configs.previewing import PreviewConfig
from configs.probing import AuditConfig, ProbeConfig
from configs.pushing import PushConfig
from configs.rewards import RewardConfig
from configs.rlvr import RlvrConfig
from configs.running import OptimConfig, RunConfig, TrainerConfig, WandbConfig

__all__ = [
    "AuditConfig",
    "Config",
    "ContributionConfig",
    "DataConfig",
    "DistillConfig",
    "MediaConfig",
    "OptimConfig",
    "ProbeConfig",
    "RlvrConfig",
    "SftConfig",
    "TrainerConfig",
]

Stage = Literal[
    "sft",
    "rlvr",
    "distill",
    "prealign",
    "preview",
    "probe",
    "audit",
    "clean",
    "benchmark",
    "compare",
    "push",
    "runs",
]

SAMPLED: tuple[Stage, ...] = ("rlvr", "prealign")
"""Stages that learn from rounds of sampling, see `rlvr`."""


@dataclass(frozen=True, kw_only=True)
class SftConfig:
    """Imitation of completions."""

    max_completion_tokens: int = 64
    """Longest completion that is imitated, with the token that ends it."""

    too_long: Literal["refuse", "skip"] = "refuse"
    """What happens to longer ones, before training: `refuse` names them and stops, since leaving
    them out favors short answers; `skip` leaves them out and counts them. None is ever cut."""

    pack_tokens: int = 0
    """Most tokens in a micro-batch; 0 counts prompts instead. An optimizer step is cut into as many
    micro-batches as that takes, instead of `trainer.accumulate_grad_batches`: the gradient is the
    same, and memory follows the tokens."""

    loss_aggregation: Literal["prompt", "token"] = "prompt"
    """What a sum over tokens is divided by: the prompts of the optimizer step, so that long
    completions count for more; or its tokens."""

    traces: str = ""
    """File of traces, as stage=distill leaves one: what it holds is imitated, instead of the
    completions of the manifest. A question without a trace is left out."""

    def __post_init__(self) -> None:
        at_least("sft", 1, self, "max_completion_tokens")
        at_least("sft", 0, self, "pack_tokens")


@dataclass(frozen=True, kw_only=True)
class Config:
    """One run, resolved: everything that its numbers depend on, and where it writes them."""

    stage: Stage
    """Stage to run: train.py runs sft, rlvr, distill and prealign, eval.py preview, probe,
    audit, clean, benchmark, compare, push and runs."""

    seed: int = 0
    """Of data order, sampling and initial values."""

    init_from: str | None = None
    """Directory of weights to start from instead of `model.path`. Here and wherever weights are
    named, the directory of a run stands for its export."""

    logger: Literal["jsonl", "wandb"] = "jsonl"
    """`jsonl` writes metrics.jsonl; `wandb` also sends them to Weights & Biases, as it does the
    scores of a benchmark."""

    run: RunConfig = field(default_factory=RunConfig)
    wandb: WandbConfig = field(default_factory=WandbConfig)
    model: ModelConfig
    data: DataConfig
    optim: OptimConfig = field(default_factory=OptimConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    rlvr: RlvrConfig = field(default_factory=RlvrConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    prealign: PrealignConfig = field(default_factory=PrealignConfig)
    preview: PreviewConfig = field(default_factory=PreviewConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    audit: AuditConfig = field(default_factory=AuditConfig)
    clean: CleanConfig = field(default_factory=CleanConfig)
    benchmark: BenchmarkConfig = field(default_factory=BenchmarkConfig)
    compare: CompareConfig = field(default_factory=CompareConfig)
    push: PushConfig = field(default_factory=PushConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, but counts from 0: give seed=0 or more.")
        if self.run.clean and self.stage != "runs":
            raise ValueError(
                f"run.clean is true, but stage={self.stage} removes no directories of runs: leave "
                "it out, or clean up with stage=runs clean=true."
            )
        self._check_asking()
        self._check_push()
        if self.stage == "distill":
            self._check_distillation()
        if self.stage in SAMPLED:
            self._check_rounds()

    def _check_push(self) -> None:
        """Refuse pushes of a stage that leaves no weights, and of a run that is not named."""
        push, stage = self.push, self.stage
        evaluated = ("preview", "probe", "audit", "clean", "benchmark", "compare", "runs")
        if stage in evaluated and push.to is not None:
            raise ValueError(
                f"push.to is {push.to}, but stage={stage} leaves no weights: leave it out, or push "
                "those of a training run with stage=push push.run=DIRECTORY."
            )
        if stage in ("sft", "rlvr", "distill", "prealign") and (push.run or push.benchmark):
            raise ValueError(
                f"push.{'run' if push.run else 'benchmark'} is set, but stage={stage} pushes the "
                "weights that it trains itself, which no benchmark has scored yet: leave it out, "
                "or push afterwards with stage=push."
            )
        if stage != "push" and push.folder == "adapter" and not self.model.lora.rank:
            raise ValueError(
                "push.folder is adapter, but model.lora.rank=0 trains no adapters: leave it out, "
                "or train some with model.lora.rank=16."
            )

    def _check_asking(self) -> None:
        """Refuse a task that the stage cannot grade, and rewards that it would ignore."""
        asked, stage = self.data.task, self.stage
        if stage == "prealign" and asked != "describe":
            raise ValueError(
                f"data.task is {asked}, but stage=prealign pays for descriptions: set "
                "data.task=describe."
            )
        paid = _changed("rlvr.reward", asdict(self.rlvr.reward), asdict(RewardConfig()))
        if stage == "prealign" and paid:
            words = " ".join(f"{key}={value}" for key, value in paid.items())
            raise ValueError(
                f"{next(iter(paid))} pays answers, but stage=prealign pays descriptions, by "
                f"prealign.reward: set {words}, as they are unless an objective says otherwise."
            )
        if stage in ("rlvr", "distill", "probe") and asked == "describe":
            raise ValueError(
                f"data.task is describe, but stage={stage} has answers judged by the verifier, "
                "which cannot read descriptions: choose stage=prealign, or leave data.task=answer."
            )
        if stage == "benchmark" and asked == "describe" and self.benchmark.grade_by == "answer":
            raise ValueError(
                "data.task is describe, but benchmark.grade_by=answer judges answers, and a "
                "description is none: set benchmark.grade_by=description, or data.task=answer."
            )
        if stage == "sft" and asked == "describe" and self.trainer.val_check_interval:
            raise ValueError(
                f"trainer.val_check_interval is {self.trainer.val_check_interval}, but validation "
                "judges answers, and data.task=describe asks for descriptions: set "
                "trainer.val_check_interval=0, and score them with stage=benchmark "
                "benchmark.grade_by=description."
            )

    def _check_distillation(self) -> None:
        """Refuse settings that the chosen way of distilling would ignore, or cannot learn from."""
        distill, contribution = self.distill, self.data.contribution
        changed = _changed("distill", asdict(distill), asdict(DistillConfig()))
        changed |= _changed("sft", asdict(self.sft), asdict(SftConfig()))
        theirs = (
            *("distill.method", "distill.rejection_sampling."),
            *("sft.pack_tokens", "sft.loss_aggregation", "sft.too_long"),
        )
        if distill.method == "self":  # which imitates traces
            strays = [key for key in changed if not key.startswith(theirs)]
        else:
            unread = ("distill.rejection_sampling.", "sft.")
            imitates = distill.on_policy_share < 1
            admitted = ("sft.too_long",) if imitates else ()
            strays = [key for key in changed if key.startswith(unread) and key not in admitted]
        if strays:
            raise ValueError(
                f"{strays[0]} has no effect with distill.method={distill.method}, and nothing "
                "that is set goes unread: leave it out, or choose the other method."
            )
        if distill.method == "self" and (
            self.data.task != "answer" or contribution.curriculum_steps
        ):
            raise ValueError(
                f"distill.method is self with data.task={self.data.task} and "
                f"data.contribution.curriculum_steps={contribution.curriculum_steps}, but traces "
                "are answers to the questions that are kept: leave both at their defaults."
            )
        alike = distill.teacher == "reference" and distill.student_view == distill.teacher_view
        if distill.method == "on_policy" and alike and distill.on_policy_share:
            raise ValueError(
                "distill.teacher is reference and is shown what the student is shown, so that "
                "both begin alike and nothing is learned but rounding errors: name other weights "
                "with distill.teacher, or withhold something with "
                "distill.student_view.condition=no_audio."
            )

    @property
    def updates(self) -> int:
        """Optimizer steps per batch of the data loader."""
        return self.rlvr.updates if self.stage in SAMPLED else 1

    def _check_rounds(self) -> None:
        """Refuse intervals that are no multiple of a sampling round's optimizer steps."""
        trainer, updates = self.trainer, self.rlvr.updates
        counts = {
            f"trainer.{name}": vars(trainer)[name]
            for name in ("max_steps", "val_check_interval", "checkpoint_every", "log_every_n_steps")
        }
        counts["rlvr.log_rollouts_every"] = self.rlvr.log_rollouts_every
        counts["data.contribution.refresh_every"] = self.data.contribution.refresh_every
        uneven = {key: steps for key, steps in counts.items() if steps % updates}
        if uneven:
            key, steps = next(iter(uneven.items()))
            better = (f"{name}={-(-n // updates) * updates}" for name, n in uneven.items())
            raise ValueError(
                f"{key} is {steps}, but a round of sampling feeds rlvr.minibatches * "
                f"rlvr.num_iterations = {updates} optimizer steps, and nothing is looked at or "
                f"saved within one: give a multiple, such as {' '.join(better)}."
            )


# Any: a setting is of any type, and a section is a dictionary of them
def _changed(key: str, value: Any, default: Any) -> dict[str, Any]:
    """Changed settings at or below a key, with their defaults."""
    if not isinstance(value, dict):
        return {} if value == default else {key: default}
    return {
        place: was
        for name in value
        for place, was in _changed(f"{key}.{name}", value[name], default[name]).items()
    }
