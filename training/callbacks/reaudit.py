"""Probe the policy again during training: it may learn to answer without media."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import final

import lightning as L
import numpy as np
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray

from configs.inputs import ContributionConfig
from configs.probing import ProbeConfig
from datamodules.contribution.decide import Counts, QuestionFeatures, apply_rule, question_features
from datamodules.contribution.presets import Rule, RuleQuery, Vote, VotingRule, queries, rule_of
from datamodules.contribution.probe_matching import with_rule_defaults
from datamodules.draws import draw_seed, random_order
from datamodules.loading.question_set import QuestionSet, SequentialBatches
from datamodules.questions import QuestionData
from evaluation.probing.probe import as_probed
from modules.base import PostTrainingModule
from modules.grading import GradedGroup, answer
from modules.policy.omni import OmniModel
from modules.policy.sampling import Sampling
from runtime.metrics_log import MetricsLog
from training.callbacks.metrics import log_row
from untrusted.json_text import json_of


@final
class Reaudit(Callback):
    """Apply the run's rule to the same questions again, every few optimizer steps.

    They are drawn from the whole manifest, kept or not, except those that the rule cannot decide
    on. The policy answers as often as the rule requires, as its only voter: fewer answers would be
    another rule. `refresh_samples` bounds the cost.

    Training is unaffected: draws are keyed and not taken from a stream, and an audit leaves no
    state but its rows, which a resumed run cuts back to its checkpoint.
    """

    def __init__(
        self, contribution: ContributionConfig, probe: ProbeConfig, *, seed: int, run_dir: Path
    ) -> None:
        self.rule = _sole_voter(rule_of(contribution))
        self.every = contribution.refresh_every
        self.count = contribution.refresh_samples
        self.probe = with_rule_defaults(probe, self.rule)
        self.seed = seed
        self.rows = MetricsLog(run_dir / "reaudit.jsonl")
        self.metrics = MetricsLog(run_dir / "metrics.jsonl")

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the questions."""
        data = trainer.datamodule  # type: ignore[attr-defined]  # which fit() attaches
        assert isinstance(data, QuestionData), "the data module of train.py"
        everything, bands = data.train_questions.samples, data.selected.bands
        decidable = np.flatnonzero(~np.isin(bands, ("undefined", "unstable")))
        if not len(decidable):
            raise ValueError(
                f"data.contribution.refresh_every is {self.every}, but {self.rule.name} can decide "
                f"on none of {len(bands)} questions: choose another rule, or refresh_every=0."
            )
        drawn = random_order(self.seed, "reaudit", size=len(decidable))[: self.count]
        places = np.sort(decidable[drawn])
        self.questions = data.train_questions.with_condition("full", "absent")
        self.questions.samples = [everything[place] for place in places]
        self.items = _items_at(
            question_features(everything, self.rule.condition, self.rule.how), places
        )
        self.cached = dict(zip(self._ids(), bands[places].tolist(), strict=True))

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        """Audit a due step."""
        if trainer.global_step % self.every == 0:
            assert isinstance(pl_module, PostTrainingModule), "a stage of train.py"
            self._audit(trainer, pl_module.policy)

    def _audit(self, trainer: L.Trainer, policy: OmniModel) -> None:
        """Answer, decide and write; every rank does so, so that none waits for another."""
        modes = [(module, module.training) for module in policy.modules()]
        with trainer.precision_plugin.forward_context():
            counts = [self._counts(policy, ask) for ask in queries(self.rule)]
        for module, training in modes:  # one by one: a frozen part may be in another mode
            module.training = training
        bands = apply_rule(self.rule, counts, self.items)
        if not trainer.is_global_zero:
            return
        before = self._before()
        step = trainer.global_step
        for id_, band, was in zip(self._ids(), bands.tolist(), before, strict=True):
            if band != "missing":  # which no question is that could be read
                self.rows.append(step, {"id": id_, "band": band, "before": was})
        log_row(trainer, self.metrics, _shares(bands, np.array(before), counts[-1]))

    def _counts(self, policy: OmniModel, ask: RuleQuery) -> Counts:
        """Count the right answers under one condition of the rule."""
        number = {id_: at for at, id_ in enumerate(self._ids())}
        n, n_correct = np.zeros((2, len(number)), dtype=np.int64)
        for closed, vote in ((True, ask.choice), (False, ask.open)):
            kind = np.flatnonzero(self.items.closed == closed).tolist()
            for order in range(vote.orders):
                asked = as_probed(self.questions, ask, self.probe, order=order)
                asked.samples = [self.questions.samples[at] for at in kind]
                for answers in self._answers(policy, asked, vote, order):
                    at = number[answers.sample.id]
                    n[at] += len(answers.verdicts)
                    n_correct[at] += answers.n_correct
        return Counts(n=n, n_correct=n_correct)

    def _answers(
        self, policy: OmniModel, questions: QuestionSet, vote: Vote, order: int
    ) -> Iterator[GradedGroup]:
        """Answer with the draws of a probe with this seed.

        Batches are made here and not by a loader, which would draw from the random stream that
        training may use.
        """
        sampling = Sampling(
            group_size=vote.answers,
            max_tokens=self.probe.max_completion_tokens,
            temperature=self.probe.temperature if vote.answers > 1 else 0.0,
        )
        withheld = questions.ablation
        seed = draw_seed(self.probe.seed, withheld.condition, withheld.how, order)
        batch_size = max(1, self.probe.batch_size // vote.answers)
        batches = SequentialBatches(questions, batch_size=batch_size)
        for number in range(len(batches)):
            batch = batches[number]
            if batch is not None:  # no sample of it could be read; the quarantine lists them
                yield from answer(policy, batch, sampling, seed=seed)

    def _ids(self) -> list[str]:
        return [sample.id for sample in self.questions.samples]

    def _before(self) -> list[str]:
        """Return the bands of the last audit on disk, or else those of the cache."""
        bands = dict(self.cached)
        if self.rows.path.exists():
            rows = map(json_of, self.rows.path.read_text().splitlines())
            bands |= {row["id"]: row["band"] for row in rows}
        return [bands[id_] for id_ in self._ids()]


def _sole_voter(rule: Rule) -> Rule:
    """Make the policy the only voter, without the minimum of questions per source."""
    if isinstance(rule, VotingRule):
        rule = replace(rule, voters=rule.voters[:1], votes_needed=1)
    return replace(rule, min_questions=0)


def _items_at(items: QuestionFeatures, places: NDArray[np.int64]) -> QuestionFeatures:
    """Select some questions, with the chance levels that they have among all."""
    return QuestionFeatures(**{name: values[places] for name, values in vars(items).items()})


def _shares(bands: NDArray[np.str_], before: NDArray[np.str_], ablated: Counts) -> dict[str, float]:
    """Compute shares of bands among readable questions, and of moves among those decided before."""
    read = bands != "missing"
    shares = {name: bands[read] == name for name in ("weak", "strong", "undetermined")}
    judged = read & (before != "missing")
    shares["moved"] = bands[judged] != before[judged]
    values = {f"audit/{name}": float(share.mean()) for name, share in shares.items() if len(share)}
    if ablated.n.any():
        values["audit/ablated_accuracy"] = float(ablated.n_correct.sum() / ablated.n.sum())
    return values
