"""On-policy distillation: the student completes, the teacher gives its distribution per token."""

from functools import partial
from typing import final

from torch import Tensor

from configs.schema import DistillConfig
from datamodules.batch import Batch, Completions
from modules.base import PostTrainingModule
from modules.losses.supervised import distillation_loss
from modules.policy.omni import OmniModel
from modules.policy.reference import Reference
from modules.policy.sampling import SampledCompletions, Sampling
from modules.step.distributed import raise_on_all_ranks
from modules.step.micro_batch import CompletedBatch
from modules.step.policy_module import FitSettings
from modules.verifiers.verify import verify_all


@final
class DistillModule(PostTrainingModule):
    """Generalized knowledge distillation (GKD, arXiv 2306.13649) on media.

    Student and teacher may be shown different views of the same prompts. A teacher that sees and
    hears more is privileged: its distributions over the student's own tokens are those of a student
    that sees and hears as much.
    """

    def __init__(
        self,
        policy: OmniModel,
        settings: FitSettings,
        distill: DistillConfig,
        *,
        teacher: Reference,
    ) -> None:
        super().__init__(policy, settings, max_completion_tokens=distill.max_completion_tokens)
        self.distill = distill
        self.sampling = Sampling(
            group_size=1,
            max_tokens=distill.max_completion_tokens,
            temperature=distill.temperature,
        )
        self._teacher = [teacher]  # in a list, so that checkpoints do not hold it

    def on_fit_start(self) -> None:
        """Move the teacher to the student's device."""
        self._teacher[0].to(self.device)

    def training_step(self, batch: list[Batch], batch_idx: int) -> None:
        """Complete as the student, and bring it closer to the teacher token by token."""
        with raise_on_all_ranks():
            completed = [self.sample_completions(one.to(self.device)) for one in batch]
        counts = self.count_tokens(
            [self.student_view(one.batch) for one in completed],
            [one.loss_mask for one in completed],
        )
        self.optimize(completed, partial(self.compute_loss, denominator=counts.tokens), counts)
        self.log_step_metrics()

    def compute_loss(
        self, completed: CompletedBatch, *, denominator: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the divergence between student and teacher over the tokens of a micro-batch."""
        divergence = self.token_divergence(completed)  # (N, T)
        return distillation_loss(divergence, completed.loss_mask, denominator=denominator)

    def token_divergence(self, completed: CompletedBatch) -> Tensor:
        """Compare student and teacher in the place of each token. Shapes: -> (N, T)"""
        settings, batch = self.distill, completed.batch
        return self.policy.divergence(
            self.student_view(batch),
            completed.completions,
            self._teacher[0],
            batch.views.get("teacher", batch),
            kind=settings.divergence,
            jsd_weight=settings.jsd_weight,
            temperature=settings.temperature,
            top_k=settings.top_k,
        )

    def sample_completions(self, batch: Batch) -> CompletedBatch:
        """Sample the student's share of the completions; the others are those of the data."""
        on_policy = self.on_policy_prompts(batch)
        rows: dict[int, list[int]] = {}
        if len(on_policy) < len(batch):
            given = self.given_completions(batch, setting="distill.max_completion_tokens")
            rows = dict(enumerate(given))
        if on_policy:
            student = self.student_view(batch).select(on_policy)
            uniforms = student.uniforms(
                seed=self.settings.seed, group_size=1, length=self.sampling.max_tokens
            )
            sampled = self.policy.sample(student, self.sampling, uniforms=uniforms)
            self.record_sampled(student, sampled)
            ids, lens = sampled.completions.token_ids.tolist(), sampled.completions.lens
            own = [row[:length] for row, length in zip(ids, lens, strict=True)]
            rows |= dict(zip(on_policy, own, strict=True))
        prompts = range(len(batch))
        completions = Completions.of([rows[prompt] for prompt in prompts], prompts)
        return CompletedBatch(batch=batch, completions=completions.to(self.device))

    def student_view(self, batch: Batch) -> Batch:
        """Return these prompts as the student is shown them."""
        return batch.views.get("student", batch)

    def on_policy_prompts(self, batch: Batch) -> list[int]:
        """Draw the prompts that the student completes: its share of them, on average."""
        draws = batch.uniforms(seed=self.settings.seed, group_size=1, length=1, first=1)[:, 0]
        return (draws < self.distill.on_policy_share).nonzero().flatten().tolist()

    def record_sampled(self, batch: Batch, sampled: SampledCompletions) -> None:
        """Record the accuracy of the student's completions; the loss does not depend on it."""
        verdicts = verify_all(sampled.texts, batch.samples)
        correct = [float(verdict.correct) for verdict in verdicts]
        shares = {
            "accuracy": sum(correct) / len(correct),
            "eos_rate": sum(sampled.finished) / len(correct),
            "completion_tokens": sum(sampled.completions.lens) / len(correct),
        }
        self.metrics.record(shares, weight=float(len(correct)))
        self.record_group_accuracies(zip(batch.samples, correct, strict=True), self.metrics)
