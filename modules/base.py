"""What every post-training stage shares: a policy, an optimizer, validation by verifier."""

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
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
from modules.step.distributed import Pair, pooled, sum_gradients, summed, together
from modules.step.nonfinite import Term, blamed
from modules.step.resuming import Same, check_checkpoint, optimizer_like


class PostTrainingModule(L.LightningModule, ABC):
    """Own the policy and how it is stepped; a stage adds only what it learns from.

    A training step is handed a list of micro-batches and takes optimizer steps by hand. What sums
    over tokens are divided by is counted over all micro-batches and ranks before the first is
    differentiated, so that accumulating gradients, or adding ranks, is the same as one larger
    batch, however its prompts are cut.
    """

    def __init__(
        self,
        policy: OmniModel,
        optim: OptimConfig,
        *,
        max_steps: int,
        max_tokens: int = 0,
        max_completion_tokens: int,
        needs: Mapping[str, str] | None = None,
    ) -> None:
        """Take a policy and how it is trained.

        Args:
            max_tokens: learned from, after which training ends; 0 sets no such end.
            needs: the evidence that questions need, by their id, where it is known; elsewhere
                they are told apart by the media that they have.
        """
        super().__init__()
        self.automatic_optimization = False
        self.policy = policy
        self.optim = optim
        self.max_steps = max_steps
        self.max_tokens = max_tokens
        self.tokens_seen = 0
        """Tokens of prompts and completions that optimizer steps learned from, over all ranks."""
        self.greedy = Sampling(group_size=1, max_tokens=max_completion_tokens, temperature=0.0)
        self.needs = needs or {}
        self.measured: dict[str, list[Pair]] = defaultdict(list)
        self.published: dict[str, float] = {}
        """Metrics of the training step that ended last."""
        self.summed: list[Term] = []
        """What the gradient that is being summed up is of."""

    @abstractmethod
    def training_step(self, batch: list[Batch], batch_idx: int) -> None:
        """Learn from a list of micro-batches: the algorithm of the stage."""

    def transfer_batch_to_device(
        self, batch: list[Batch] | Batch | None, device: torch.device, dataloader_idx: int
    ) -> list[Batch] | Batch | None:
        """Leave a list where it is: its micro-batches are moved one by one."""
        return batch.to(device) if isinstance(batch, Batch) else batch

    def on_train_start(self) -> None:
        """End at once where a resumed run has learned from all it may."""
        self._end_by_tokens()

    def given(self, batch: Batch, *, setting: str) -> list[list[int]]:
        """Take the completions that the data give, refusing what could never be sampled again.

        Args:
            setting: the one that bounds them, for the error.
        """
        assert batch.targets is not None, "the data module was built without with_targets"
        lengths = [len(target) for target in batch.targets]
        if max(lengths) > self.greedy.max_tokens:
            longest = batch.samples[lengths.index(max(lengths))]
            raise ValueError(
                f"the completion of {longest.id} has {max(lengths)} tokens, more than "
                f"{setting}={self.greedy.max_tokens}. Completions are never cut: raise the limit, "
                "or take the sample out."
            )
        return batch.targets

    def count(self, batches: Sequence[Batch], masks: Sequence[Tensor]) -> tuple[int, int]:
        """Count the completions of an optimizer step and their tokens that train, over all ranks,
        and note how much has been learned from.

        Shapes: masks (N, T) each
        """
        prompt_tokens = sum(sum(batch.prompt_lens) for batch in batches)
        counts = [sum(map(len, masks)), sum(int(mask.sum()) for mask in masks), prompt_tokens]
        completions, tokens, prompts = summed(torch.tensor(counts, device=self.device)).tolist()
        self.tokens_seen += tokens + prompts
        return completions, tokens

    def differentiate(self, loss: Tensor, batch: Batch, alone: Callable[[int], Tensor]) -> Tensor:
        """Add a micro-batch's gradient to what is summed up; return the loss without its graph.

        Args:
            alone: computes what one prompt of the batch adds to the loss, without the others.
        """
        term = Term(batch=batch, alone=alone)
        if not bool(loss.isfinite()):
            raise blamed("the loss", [term], self.policy)
        self.summed.append(term)
        with torch.autocast(self.device.type, enabled=False):
            loss.backward()
        return loss.detach()

    def step(self) -> None:
        """Sum the gradients over ranks, bound their norm, and apply them."""
        parameters = [p for p in self.policy.parameters() if p.requires_grad]
        sum_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.optim.max_grad_norm)
        if not bool(norm.isfinite()):  # alike in all processes, whose gradients were summed
            with together():
                raise blamed("the gradient", self.summed, self.policy)
        self.summed = []
        self.note({"grad_norm": norm})
        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        optimizer.step()  # type: ignore[union-attr]  # one optimizer and one schedule, no lists
        optimizer.zero_grad()  # type: ignore[union-attr]
        schedule.step()  # type: ignore[union-attr, call-arg]
        self._end_by_tokens()

    def _end_by_tokens(self) -> None:
        if self.max_tokens and self.tokens_seen >= self.max_tokens:
            self.trainer.should_stop = True

    def validation_step(self, batch: Batch | None, batch_idx: int) -> None:
        """Ask each question once, greedily, and count what was right."""
        if batch is None:  # nothing in it could be read; the quarantine knows
            return
        asked = self.answers(batch)
        verdicts = [verdict for answers in asked for verdict in answers.verdicts]
        count = len(verdicts)
        correct = sum(verdict.correct for verdict in verdicts) / count
        parsed = sum(verdict.parsed for verdict in verdicts) / count
        self.log("val/accuracy", correct, batch_size=count, sync_dist=True, logger=False)
        self.log("val/parsed", parsed, batch_size=count, sync_dist=True, logger=False)
        right = ((answers.sample, float(answers.n_correct)) for answers in asked)
        for name, values in self.by_kind(right).items():
            self.log(f"val/{name}", fmean(values), batch_size=len(values), logger=False)

    def answers(self, batch: Batch) -> list[GradedGroup]:
        """Ask each question once, greedily, and let the verifier judge."""
        return list(answer(self.policy, batch, self.greedy, seed=0))

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
        told = {f"train/{name}": _told(name, pairs) for name, pairs in everything.items()}
        self.published = told | {"train/tokens": float(self.tokens_seen)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen: it is where the run read it, and as it was."""
        for name in self._frozen():
            del checkpoint["state_dict"][name]
        checkpoint["tokens_seen"] = self.tokens_seen

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Look whether this run wrote it, and put in what was left out."""
        check_checkpoint(checkpoint, self._expected(checkpoint), path=str(self.trainer.ckpt_path))
        checkpoint["state_dict"] |= self._frozen()
        self.tokens_seen = checkpoint["tokens_seen"]

    def _expected(self, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        """Say what this run would write into a checkpoint now, as far as anybody reads it."""
        frozen, optimizer = self._frozen(), self._optimizer()
        schedule = self._schedule(optimizer)
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
        """AdamW; vectors such as norms and biases do not decay.

        The schedule is a function of the configured `max_steps`: asking the trainer for its own
        estimate would build the loaders too early and lose their place on resume.
        """
        optimizer = self._optimizer()
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self._schedule(optimizer), "interval": "step"},
        }

    def _optimizer(self) -> torch.optim.Optimizer:
        trained = [p for p in self.policy.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in trained if p.ndim >= 2]},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.optim.lr, weight_decay=self.optim.weight_decay)

    def _schedule(self, optimizer: torch.optim.Optimizer) -> LambdaLR:
        return LambdaLR(optimizer, self._lr_factor)

    def _lr_factor(self, step: int) -> float:
        """Scale the peak learning rate: linear warm-up, then the configured shape down to 0 where
        training ends, by steps or by tokens."""
        warmup = self.optim.warmup_steps
        if step < warmup:
            return (step + 1) / warmup
        done = (step - warmup) / max(1, self.max_steps - warmup)
        if self.max_tokens:
            done = max(done, self.tokens_seen / self.max_tokens)
        done = min(1.0, done)
        if self.optim.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return 1 - done if self.optim.schedule == "linear" else 1.0


def _told(name: str, pairs: list[Pair]) -> float:
    """Sum up the measurements of one name."""
    if name.endswith("_max"):
        return max(value for value, _ in pairs)
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else 0.0
