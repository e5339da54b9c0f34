"""A policy as a LightningModule: validation, checkpoints, optimizer and schedule."""

from abc import ABC
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from configs.schema import OptimConfig
from datamodules.batch import Batch
from datamodules.sample import Sample
from modules.grading import GradedGroup, answer
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from modules.step.metrics import StepMetrics
from modules.step.optimizer import build_optimizer, lr_factor
from modules.step.resuming import Same, check_checkpoint, optimizer_like


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How a policy is trained, whatever the stage."""

    optim: OptimConfig
    max_steps: int
    max_tokens: int = 0
    """Trained on, after which training ends; 0 sets no such end."""

    seed: int = 0
    evidence: Mapping[str, str] = field(default_factory=dict)
    """What questions need, by their id, where it is known: accuracies are logged by it. Other
    questions are grouped by the media that they have."""


class PolicyModule(L.LightningModule, ABC):
    """What Lightning needs of every stage beside its training step."""

    def __init__(
        self, policy: OmniModel, settings: FitSettings, *, max_completion_tokens: int
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.policy = policy
        self.settings = settings
        self.tokens_seen = 0
        """Tokens of prompts and completions that optimizer steps trained on, over all ranks."""
        self.greedy = Sampling(group_size=1, max_tokens=max_completion_tokens, temperature=0.0)
        self.metrics = StepMetrics()
        self.validated = StepMetrics()
        """Of the validation under way."""
        self.step_metrics: dict[str, float] = {}
        """Metrics of the last training step, which callbacks write down."""

    def transfer_batch_to_device(
        self, batch: list[Batch] | Batch | None, device: torch.device, dataloader_idx: int
    ) -> list[Batch] | Batch | None:
        """Leave a list where it is: its micro-batches are moved one by one."""
        return batch.to(device) if isinstance(batch, Batch) else batch

    def validation_step(self, batch: Batch | None, batch_idx: int) -> None:
        """Answer each question once, greedily, and record the share of right answers."""
        if batch is None:  # no sample of it could be read; the quarantine lists them
            return
        answered = self.greedy_answers(batch)
        for verdict in (verdict for answers in answered for verdict in answers.verdicts):
            read = {"accuracy": verdict.correct, "parsed": verdict.parsed}
            self.validated.record({name: float(value) for name, value in read.items()})
        accuracies = ((answers.sample, float(answers.n_correct)) for answers in answered)
        self.record_group_accuracies(accuracies, self.validated)

    def on_validation_epoch_end(self) -> None:
        """Log the means over the questions of all ranks, which need not have the same groups."""
        for name, value in self.validated.reduce().items():
            # All ranks hold the same number: the largest is it, and a mean of them may be rounded.
            self.log(f"val/{name}", value, logger=False, sync_dist=True, reduce_fx="max")

    def greedy_answers(self, batch: Batch) -> list[GradedGroup]:
        """Answer each question once, greedily, and grade the answers."""
        return list(answer(self.policy, batch, self.greedy, seed=0))

    def record_group_accuracies(
        self, accuracies: Iterable[tuple[Sample, float]], metrics: StepMetrics
    ) -> None:
        """Record the accuracy of each question by the evidence that it needs, and by source."""
        for sample, accuracy in accuracies:
            media = "+".join(sorted({item.modality for item in sample.media})) or "text"
            needed = self.settings.evidence.get(sample.id, media)
            metrics.record({f"accuracy_needs_{needed}": accuracy})
            metrics.record({f"accuracy_source_{sample.source}": accuracy})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out frozen weights, which the run can read where it read them before."""
        for name in self._frozen():
            del checkpoint["state_dict"][name]
        checkpoint["tokens_seen"] = self.tokens_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Check that this run wrote it, and add the frozen weights."""
        check_checkpoint(checkpoint, self._expected(checkpoint), path=str(self.trainer.ckpt_path))
        checkpoint["state_dict"] |= self._frozen()
        self.tokens_seen = checkpoint["tokens_seen"]

    def _expected(self, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        """List what this run would write into a checkpoint now, as far as it is read again."""
        frozen, optimizer = self._frozen(), build_optimizer(self.policy, self.settings.optim)
        schedule = LambdaLR(optimizer, self._lr_factor)
        loops: dict[str, Any] = self.trainer.fit_loop.state_dict()
        loops["epoch_loop.manual_optimization.optim_step_progress"]["total"]["completed"] = Same(
            checkpoint["global_step"]
        )
        return {
            "state_dict": {n: w for n, w in self.state_dict().items() if n not in frozen},
            "tokens_seen": 0,
            "loops": {**checkpoint["loops"], "fit_loop": loops},
            "optimizer_states": optimizer_like(checkpoint["optimizer_states"], optimizer),
            "lr_schedulers": [{**schedule.state_dict(), "base_lrs": Same(schedule.base_lrs)}],
        }

    def _frozen(self) -> dict[str, Tensor]:
        parameters = self.named_parameters(remove_duplicate=False)
        return {name: p.detach() for name, p in parameters if not p.requires_grad}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with a schedule by optimizer steps."""
        optimizer = build_optimizer(self.policy, self.settings.optim)
        schedule = LambdaLR(optimizer, self._lr_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _lr_factor(self, step: int) -> float:
        settings = self.settings
        done = self.tokens_seen / settings.max_tokens if settings.max_tokens else 0.0
        return lr_factor(step, settings.optim, max_steps=settings.max_steps, tokens_done=done)
