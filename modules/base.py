"""What the stages share: one optimizer step on the loss of several micro-batches."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from datamodules.batch import Batch
from modules.step.distributed import all_reduce_gradients, all_reduce_sum, raise_on_all_ranks
from modules.step.micro_batch import LossOf, M, StepCounts
from modules.step.nonfinite import blame_samples
from modules.step.policy_module import PolicyModule


class PostTrainingModule(PolicyModule):
    """A policy and its optimizer steps; a stage adds the loss.

    A training step receives a list of micro-batches and takes optimizer steps by hand. What sums
    over tokens are divided by is counted over all micro-batches and ranks before the first backward
    pass, so that accumulating gradients, or adding ranks, is the same as one larger batch, however
    its prompts are cut.
    """

    @abstractmethod
    def training_step(self, batch: list[Batch], batch_idx: int) -> Mapping[str, Any] | None:
        """Train on a list of micro-batches: the algorithm of the stage."""

    def optimize(self, micro_batches: Sequence[M], loss_of: LossOf[M], counts: StepCounts) -> None:
        """Take one optimizer step on the loss summed over micro-batches and ranks."""
        losses = []
        with raise_on_all_ranks():
            for micro_batch in micro_batches:
                loss, stats = loss_of(micro_batch)
                if not bool(loss.isfinite()):
                    raise blame_samples("the loss", [micro_batch], loss_of, self.policy)
                with torch.autocast(self.device.type, enabled=False):
                    loss.backward()
                losses.append(loss.detach())
                self.metrics.record(stats, weight=float(micro_batch.loss_mask.sum()))
        self.metrics.record({"loss": all_reduce_sum(torch.stack(losses).sum())})
        self.tokens_seen += counts.tokens + counts.prompt_tokens
        self.apply_gradients(micro_batches, loss_of)

    def apply_gradients(self, micro_batches: Sequence[M], loss_of: LossOf[M]) -> None:
        """Sum the gradients over ranks, clip their norm, and update the weights.

        Args:
            micro_batches, loss_of: what the gradients are of, to name samples at fault.
        """
        parameters = [p for p in self.policy.parameters() if p.requires_grad]
        all_reduce_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.settings.optim.max_grad_norm)
        if not bool(norm.isfinite()):  # alike on all ranks, whose gradients were summed
            with raise_on_all_ranks():
                raise blame_samples("the gradient", micro_batches, loss_of, self.policy)
        self.metrics.record({"grad_norm": norm})
        optimizer, schedule = self.optimizers(), self.lr_schedulers()
        optimizer.step()  # type: ignore[union-attr]  # one optimizer and one schedule, no lists
        optimizer.zero_grad()  # type: ignore[union-attr]
        schedule.step()  # type: ignore[union-attr, call-arg]
        self._stop_at_max_tokens()

    def count_tokens(self, batches: Sequence[Batch], loss_masks: Sequence[Tensor]) -> StepCounts:
        """Count what an optimizer step trains on, over micro-batches and ranks.

        Shapes: loss_masks (N, T) each
        """
        counts = [
            sum(map(len, loss_masks)),
            sum(int(mask.sum()) for mask in loss_masks),
            sum(sum(batch.prompt_lens) for batch in batches),
        ]
        return StepCounts(*all_reduce_sum(torch.tensor(counts, device=self.device)).tolist())

    def log_step_metrics(self) -> None:
        """Reduce the metrics of a training step over ranks; all of them call this at once."""
        reduced = {f"train/{name}": value for name, value in self.metrics.reduce().items()}
        self.step_metrics = reduced | {"train/tokens": float(self.tokens_seen)}

    def given_completions(self, batch: Batch, *, setting: str) -> list[list[int]]:
        """Return the completions of the data; raise where one is longer than the limit.

        Args:
            setting: the name of the limit, for the error.
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

    def on_train_start(self) -> None:
        """End at once where a resumed run has reached `max_tokens`."""
        self._stop_at_max_tokens()

    def _stop_at_max_tokens(self) -> None:
        if 0 < self.settings.max_tokens <= self.tokens_seen:
            self.trainer.should_stop = True
