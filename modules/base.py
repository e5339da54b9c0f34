"""What every post-training stage shares: a policy, an optimizer, validation by verifier."""

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from configs.schema import OptimConfig
from datamodules.batch import Batch
from datamodules.sample import Sample
from modules.answering import answer
from modules.finite import require_finite
from modules.omni import OmniModel
from modules.ranks import Pair, pooled
from modules.rollouts import Sampling


class PostTrainingModule(L.LightningModule, ABC):
    """Own the policy and how it is stepped; a stage adds only what it learns from."""

    def __init__(
        self,
        policy: OmniModel,
        optim: OptimConfig,
        *,
        max_steps: int,
        max_completion_tokens: int,
        needs: Mapping[str, str] | None = None,
    ) -> None:
        """Take a policy and how it is trained.

        Args:
            needs: the evidence that questions need, by their id, where it is known; elsewhere
                they are told apart by the media that they have.
        """
        super().__init__()
        self.policy = policy
        self.optim = optim
        self.max_steps = max_steps
        self.greedy = Sampling(group_size=1, max_tokens=max_completion_tokens, temperature=0.0)
        self.needs = needs or {}
        self.measured: dict[str, list[Pair]] = defaultdict(list)
        self.published: dict[str, float] = {}
        """Metrics of the training step that ended last."""
        self.learned_from: list[Sample] = []
        """The questions behind the gradient that is being summed up."""

    @abstractmethod
    def training_step(self, batch: Any, batch_idx: int) -> Tensor | None:  # as the loader yields
        """Turn a batch into a loss: the algorithm of the stage."""

    def validation_step(self, batch: Batch | None, batch_idx: int) -> None:
        """Ask each question once, greedily, and let the verifier judge."""
        if batch is None:  # nothing in it could be read; the quarantine knows
            return
        asked = list(answer(self.policy, batch, self.greedy, seed=0))
        verdicts = [verdict for answers in asked for verdict in answers.verdicts]
        count = len(verdicts)
        correct = sum(verdict.correct for verdict in verdicts) / count
        parsed = sum(verdict.parsed for verdict in verdicts) / count
        self.log("val/accuracy", correct, batch_size=count, sync_dist=True, logger=False)
        self.log("val/parsed", parsed, batch_size=count, sync_dist=True, logger=False)
        right = ((answers.sample, float(answers.n_correct)) for answers in asked)
        for name, values in self.by_kind(right).items():
            self.log(f"val/{name}", fmean(values), batch_size=len(values), logger=False)

    def by_kind(self, right: Iterable[tuple[Sample, float]]) -> dict[str, list[float]]:
        """Sort shares of right answers by what their questions need, and by their source."""
        kinds: dict[str, list[float]] = defaultdict(list)
        for sample, share in right:
            media = "+".join(sorted({item.modality for item in sample.media})) or "text"
            kinds[f"accuracy_needs_{self.needs.get(sample.id, media)}"].append(share)
            kinds[f"accuracy_source_{sample.source}"].append(share)
        return kinds

    def note_kinds(self, right: Iterable[tuple[Sample, float]]) -> None:
        """Keep shares of right answers, one of each question, by its kinds."""
        for name, values in self.by_kind(right).items():
            self.measured[name] += [(value, 1.0) for value in values]

    def note(self, values: Mapping[str, Tensor | float], *, weight: float = 1.0) -> None:
        """Keep measurements of this training step; those of one name are averaged by weight, but
        of a `_max` the largest is taken."""
        for name, value in values.items():
            self.measured[name].append((float(torch.as_tensor(value).detach()), weight))

    def publish(self) -> None:
        """Hand the measurements of a training step to whoever watches; all ranks do so at once."""
        everything = pooled(self.measured)
        self.measured.clear()
        self.published = {f"train/{name}": _told(name, pairs) for name, pairs in everything.items()}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Refuse a gradient that would spoil the weights; the last look before they change."""
        if not self.automatic_optimization:
            return  # who steps by hand, has looked
        norms = [
            p.grad.norm()
            for group in optimizer.param_groups
            for p in group["params"]
            if p.grad is not None
        ]
        norm = torch.stack(norms).norm() if norms else torch.zeros(())
        require_finite("the gradient", norm, self.learned_from)
        self.learned_from = []

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen: it is where the run read it, and as it was."""
        for name in self._frozen():
            del checkpoint["state_dict"][name]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put in what was left out, so that everything else must be there."""
        checkpoint["state_dict"] |= self._frozen()

    def _frozen(self) -> dict[str, Tensor]:
        parameters = self.named_parameters(remove_duplicate=False)
        return {name: p.detach() for name, p in parameters if not p.requires_grad}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; vectors such as norms and biases do not decay.

        The schedule is a function of the configured `max_steps`: asking the trainer for its own
        estimate would build the loaders too early and lose their place on resume.
        """
        trained = [p for p in self.policy.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if p.ndim >= 2]},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(
            groups, lr=self.optim.lr, weight_decay=self.optim.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _lr_factor(self, step: int) -> float:
        """Scale the peak learning rate: linear warm-up, then the configured shape down to 0."""
        warmup = self.optim.warmup_steps
        if step < warmup:
            return (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, self.max_steps - warmup))
        if self.optim.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 1 - done if self.optim.schedule == "linear" else 1.0


def _told(name: str, pairs: list[Pair]) -> float:
    """Sum up the measurements of one name."""
    if name.endswith("_max"):
        return max(value for value, _ in pairs)
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else 0.0
