"""On-policy distillation: the student completes, the teacher has an opinion on every token."""

from collections.abc import Mapping
from functools import partial
from typing import final

import torch
from torch import Tensor

from configs.schema import DistillConfig, OptimConfig
from datamodules.batch import Batch, Completions
from modules.base import PostTrainingModule
from modules.losses.supervised import distillation_loss
from modules.policy.omni import OmniModel
from modules.policy.reference import Reference
from modules.policy.sampling import Rollout, Sampling
from modules.step.distributed import summed, together
from modules.verifiers.verify import verify_all


@final
class DistillModule(PostTrainingModule):
    """Generalized knowledge distillation (GKD, arXiv 2306.13649) on media.

    Student and teacher may be shown different views of the same prompts. A teacher that sees and
    hears more is privileged: what it makes of the student's own words tells the student, token by
    token, what it would say if it saw and heard as much.
    """

    def __init__(
        self,
        policy: OmniModel,
        optim: OptimConfig,
        distill: DistillConfig,
        *,
        teacher: Reference,
        max_steps: int,
        max_tokens: int = 0,
        seed: int,
        needs: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(
            policy,
            optim,
            max_steps=max_steps,
            max_tokens=max_tokens,
            max_completion_tokens=distill.max_completion_tokens,
            needs=needs,
        )
        self.distill = distill
        self.seed = seed
        self.sampling = Sampling(
            group_size=1,
            max_tokens=distill.max_completion_tokens,
            temperature=distill.temperature,
        )
        self._teacher = [teacher]  # in a list, so that checkpoints do not hold it

    def on_fit_start(self) -> None:
        """Bring the teacher to where the student is."""
        self._teacher[0].to(self.device)

    def training_step(self, batch: list[Batch], batch_idx: int) -> None:
        """Complete as the student, and bring the student closer to the teacher in every place."""
        shown = [one.to(self.device) for one in batch]
        with together():
            completed = [self.complete(one) for one in shown]
        _, tokens = self.count(
            [self.seen_by_student(one) for one in shown],
            [completions.valid for completions in completed],
        )
        losses = []
        with together():
            for one, completions in zip(shown, completed, strict=True):
                loss, stats = self.loss(one, completions, tokens)
                alone = partial(self.alone, one, completions, tokens)
                losses.append(self.differentiate(loss, one, alone))
                self.note(stats, weight=float(sum(completions.lens)))
        self.note({"loss": summed(torch.stack(losses).sum())})
        self.step()
        self.publish()

    def loss(
        self, batch: Batch, completions: Completions, tokens: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Add up how far student and teacher are apart."""
        apart = self.compare(batch, completions)  # (N, T)
        return distillation_loss(apart, completions.valid, denominator=tokens)

    def alone(self, batch: Batch, completions: Completions, tokens: int, row: int) -> Tensor:
        """Compute what one prompt adds to the loss, for who looks for a fault."""
        return self.loss(batch.select([row]), completions.select([row]), tokens)[0]

    def seen_by_student(self, batch: Batch) -> Batch:
        """Choose what the student is shown of these prompts."""
        return batch.views.get("student", batch)

    def complete(self, batch: Batch) -> Completions:
        """Let the student complete its share of the prompts; take the data's words for the rest."""
        asked = self.on_policy(batch)
        rows: dict[int, list[int]] = {}
        if len(asked) < len(batch):
            rows = dict(enumerate(self.given(batch, setting="distill.max_completion_tokens")))
        if asked:
            student = self.seen_by_student(batch).select(asked)
            uniforms = student.uniforms(
                seed=self.seed, group_size=1, length=self.sampling.max_tokens
            )
            rollout = self.policy.sample(student, self.sampling, uniforms=uniforms)
            self.note_accuracy(student, rollout)
            ids, lens = rollout.completions.token_ids, rollout.completions.lens
            said = [row[:length] for row, length in zip(ids.tolist(), lens, strict=True)]
            rows |= dict(zip(asked, said, strict=True))
        places = range(len(batch))
        return Completions.of([rows[place] for place in places], places).to(self.device)

    def on_policy(self, batch: Batch) -> list[int]:
        """Draw the prompts that the student completes: its share of them, on average."""
        draws = batch.uniforms(seed=self.seed, group_size=1, length=1, first=1)[:, 0]
        return (draws < self.distill.on_policy_share).nonzero().flatten().tolist()

    def note_accuracy(self, batch: Batch, rollout: Rollout) -> None:
        """Note how right the student was by itself; the loss does not look at it."""
        verdicts = verify_all(rollout.texts, batch.samples)
        right = [float(verdict.correct) for verdict in verdicts]
        shares = {
            "accuracy": sum(right) / len(right),
            "eos_rate": sum(rollout.finished) / len(right),
            "completion_tokens": sum(rollout.completions.lens) / len(right),
        }
        self.note(shares, weight=float(len(right)))
        self.note_kinds(zip(batch.samples, right, strict=True))

    def compare(self, batch: Batch, completions: Completions) -> Tensor:
        """Measure student against teacher in the place of every token. Shapes: -> (N, T)"""
        settings = self.distill
        return self.policy.divergence(
            self.seen_by_student(batch),
            completions,
            self._teacher[0],
            batch.views.get("teacher", batch),
            kind=settings.divergence,
            jsd_weight=settings.jsd_weight,
            temperature=settings.temperature,
            top_k=settings.top_k,
        )
