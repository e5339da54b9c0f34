"""Run the probes that vote on the same questions, asking only what is missing and undecided."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan
from typing import final

import numpy as np
from numpy.typing import NDArray

from configs.schema import Config, ProbeConfig
from datamodules.conditions import withholds
from datamodules.contribution.decide import Counts, is_decided, question_features
from datamodules.contribution.option_confidence import option_confidence
from datamodules.contribution.presets import Rule, RuleQuery, SoftRule, Vote, VotingRule, queries
from datamodules.contribution.probe_cache import (
    ProbeRow,
    date_after_last,
    describe_probe,
    probes,
    write_shard,
)
from datamodules.contribution.probe_scores import Scores
from datamodules.contribution.selection import probe_directory
from datamodules.loading.question_set import QuestionSet
from evaluation.probing.confidence import LEGEND as CALIBRATION
from evaluation.probing.confidence import calibration_error
from evaluation.probing.probe import Probe, ProbeCounts, ProbeRequest, as_probed
from evaluation.probing.scores import LEGEND, blind_scores, right_percent
from evaluation.shards import shard_of

ROWS_PER_SHARD, SECONDS_PER_SHARD = 4096, 10.0
"""A killed probe repeats at most as much."""


@dataclass(frozen=True, kw_only=True)
class ProbeTask:
    """One probe, and one query that it answers."""

    probe: Probe
    questions: QuestionSet
    query: RuleQuery

    def votes(self) -> Iterator[tuple[bool, Vote, str]]:
        """The votes for choices and for open questions, each with the key of its answers."""
        for closed, vote in ((True, self.query.choice), (False, self.query.open)):
            yield closed, vote, self.probe.key(greedy=vote.answers == 1)


@final
class ProbeRunner:
    """Asks the probes of one rule, until no further answer could change a band."""

    def __init__(
        self,
        probes: Sequence[Probe],
        sets: Sequence[QuestionSet],
        rule: Rule | None,
        config: Config,
    ) -> None:
        self.rule = rule
        self.config = config
        self.cache = probe_directory(config.data)
        self.samples = sets[0].samples
        self.hashes = [sample.content_hash for sample in self.samples]
        self.closed = np.array([bool(sample.options) for sample in self.samples])
        number, count = shard_of(config.probe.shard, os.environ)
        self.shard = f"{number}/{count}"
        self.mine = np.arange(len(self.samples)) % count == number - 1
        self._read: dict[str, Scores] = {}
        wanted = _queries_of(config.probe) if rule is None else queries(rule)
        self.tasks = [
            ProbeTask(probe=probes[query.voter], questions=sets[query.voter], query=query)
            for query in wanted
        ]

    def run(self) -> None:
        """Run task after task; later ones skip what earlier ones have decided."""
        for probe in self._probes():
            planned = [
                (self._questions(task, indices, request), request)
                for task in self.tasks
                if task.probe is probe
                for indices, request in self._pending(task, set(), whole=True)
            ]
            probe.prepare(planned)
        for task in self.tasks:
            tried: set[tuple[int, int, int]] = set()  # an unreadable question is asked only once
            while pending := self._pending(task, tried):
                for indices, request in pending:
                    tried |= {(i, request.option_seed, request.first) for i in indices}
                    questions = self._questions(task, indices, request)
                    self._write(task, request, task.probe.run(questions, request))
        for probe in self._probes():
            probe.close()

    def summary(self) -> str:
        """Write what was asked and answered, and which command interprets it."""
        lines = []
        for probe in self._probes():
            tasks = [task for task in self.tasks if task.probe is probe]
            keys = dict.fromkeys(key for task in tasks for _, _, key in task.votes())
            lines += [f"{probe.name}: probe {', '.join(keys)} in {self.cache}", ""]
            scored = self.config.probe.method == "options"
            head = f"{'condition':<14}{'how':<12}{'asked':>8}{'answers':>9}{'right %':>20}"
            lines.append(head + (f"{'ECE':>8}" if scored else ""))
            for task in tasks:
                counts = self.counts(task)
                asked, answers = int((counts.n > 0).sum()), int(counts.n.sum())
                place = f"{task.query.condition:<14}{task.query.how:<12}"
                line = f"{place}{asked:>8}{answers / max(1, asked):>9.2f}"
                line += f"{right_percent(counts, self.samples):>20}"
                error = self._calibration(task) if scored else nan
                lines.append(
                    line + (f"{'-' if isnan(error) else f'{error:.1%}':>8}" if scored else "")
                )
            lines.append("")
        lines += [LEGEND, blind_scores(self.samples)]
        if self.config.probe.method == "options":
            lines.append(CALIBRATION)
        if isinstance(self.rule, VotingRule) and len(self.rule.voters) > 1:
            named = ",".join("+".join(k[:8] for k in voter.split("+")) for voter in self.voters())
            lines.append(
                f"These vote: data.contribution.rule={self.rule.name} "
                f"'data.contribution.probes=[{named}]'"
            )
        if not any(self.counts(task).n.any() for task in self.tasks):
            lines.append("Nothing was asked: no question could be changed by an answer.")
        lines.append(
            "What they say by every rule, with the same data and model settings: "
            f"python eval.py stage=audit audit.split={self.config.probe.split}"
        )
        return "\n".join(lines)

    def voters(self) -> list[str]:
        """List the voters as in data.contribution.probes: `+` joins the keys of one voter."""
        known = probes(self.cache)
        keys: dict[int, dict[str, None]] = {}  # in place of sets, which have no order
        for task in self.tasks:
            own = dict.fromkeys(key for _, _, key in task.votes() if key in known)
            keys[task.query.voter] = keys.get(task.query.voter, {}) | own
        return ["+".join(keys[voter]) for voter in sorted(keys)]

    def _probes(self) -> list[Probe]:
        return list(dict.fromkeys(task.probe for task in self.tasks))

    def counts(self, task: ProbeTask) -> Counts:
        """Read the counts of a task so far."""
        n, n_correct = np.zeros((2, len(self.samples)), dtype=np.int64)
        for closed, vote, key in task.votes():
            query, kind = task.query, self.closed == closed
            counts = self._scores(key).counts(query.condition, query.how, orders=vote.orders)
            n[kind], n_correct[kind] = counts.n[kind], counts.n_correct[kind]
        return Counts(n=n, n_correct=n_correct)

    def _calibration(self, task: ProbeTask) -> float:
        """Compare how sure the probe is of its answers to a task with how often they are right."""
        query, (closed, *_) = task.query, task.votes()
        _, vote, key = closed
        confidence, right = option_confidence(
            self.cache, key, self.hashes, query.condition, query.how, orders=vote.orders
        )
        return calibration_error(confidence, right)

    def _scores(self, key: str) -> Scores:
        """Read the answers of a probe, cached until it gives more."""
        if key not in self._read:
            self._read[key] = Scores.load(self.cache, key, self.hashes)
        return self._read[key]

    def _pending(
        self, task: ProbeTask, tried: set[tuple[int, int, int]], *, whole: bool = False
    ) -> list[tuple[list[int], ProbeRequest]]:
        """List what to ask next: questions that lack the same answers share a request.

        Args:
            whole: list all that may be asked, as if nothing were decided early.
        """
        stepwise = not (self.rule is None or isinstance(self.rule, SoftRule) or whole)
        todo = self._undecided() & self.mine & self._affected(task)
        pending: dict[ProbeRequest, list[int]] = {}
        for closed, vote, key in task.votes():
            if self.config.probe.method == "options" and not closed:
                continue
            scores = self._scores(key)
            chosen = np.zeros(len(todo), dtype=bool)
            for order in range(vote.orders):
                done = scores.done(task.query.condition, task.query.how, order)
                lacking = todo & (self.closed == closed) & (done < vote.answers)
                if stepwise or self.config.probe.method == "options":
                    lacking &= ~chosen  # an order may decide it, or one request has all orders
                for first in sorted({*done[lacking].tolist()}):
                    indices = np.flatnonzero(lacking & (done == first)).tolist()
                    indices = [i for i in indices if (i, order, first) not in tried]
                    chosen[indices] = True
                    if indices:
                        request = self._request(task, vote, order, first, stepwise)
                        pending[request] = sorted(pending.get(request, []) + indices)
        return [(indices, request) for request, indices in pending.items()]

    def _request(
        self, task: ProbeTask, vote: Vote, order: int, first: int, stepwise: bool
    ) -> ProbeRequest:
        answers = vote.answers - first
        if stepwise:
            answers = min(answers, self.config.probe.samples_per_round)
        label = f"{task.probe.name} {task.query.condition}"
        if vote.orders > 1:
            label += f", order {order + 1}"
        if vote.answers > 1:
            label += f", answers {first + 1}-{first + answers}"
        greedy = vote.answers == 1
        return ProbeRequest(
            option_seed=order, first=first, answers=answers, greedy=greedy, label=label
        )

    def _undecided(self) -> NDArray[np.bool_]:
        """Mark the questions whose band further answers could change."""
        if self.rule is None:
            return np.ones(len(self.samples), dtype=bool)
        items = question_features(self.samples, self.rule.condition, self.rule.how)
        return ~is_decided(self.rule, [self.counts(task) for task in self.tasks], items)

    def _affected(self, task: ProbeTask) -> NDArray[np.bool_]:
        """Mark the questions that the condition withholds something from; under `full`, all."""
        condition, how = task.query.condition, task.query.how
        return np.array([withholds(sample.media, condition, how) for sample in self.samples])

    def _questions(
        self, task: ProbeTask, indices: Sequence[int], request: ProbeRequest
    ) -> QuestionSet:
        order = request.option_seed
        questions = as_probed(task.questions, task.query, self.config.probe, order=order)
        questions.samples = [self.samples[i] for i in indices]
        return questions

    def _write(self, task: ProbeTask, request: ProbeRequest, counts: Iterable[ProbeCounts]) -> None:
        """Cache counts as they arrive; they are kept whatever stops the rest."""
        key = task.probe.key(greedy=request.greedy)
        facts = task.probe.facts(greedy=request.greedy)
        rows: list[ProbeRow] = []
        since = time.monotonic()
        try:
            for count in counts:
                rows.append(self._row(count, key, task.query))
                if len(rows) >= ROWS_PER_SHARD or time.monotonic() - since >= SECONDS_PER_SHARD:
                    self._keep(key, facts, rows)
                    rows, since = [], time.monotonic()
        finally:
            if rows:
                self._keep(key, facts, rows)
            self._read.pop(key, None)

    def _keep(self, key: str, facts: Mapping[str, object], rows: Sequence[ProbeRow]) -> None:
        """Add rows to the cache; a probe that got no answer leaves nothing there."""
        describe_probe(self.cache, key, facts)
        write_shard(self.cache, date_after_last(self.cache, rows))

    def _row(self, counts: ProbeCounts, key: str, query: RuleQuery) -> ProbeRow:
        return ProbeRow(
            sample_id=counts.sample.id,
            content_hash=counts.sample.content_hash,
            probe_key=key,
            condition=query.condition,
            how=query.how,
            option_seed=counts.option_seed,
            first=counts.first,
            n=counts.n,
            n_correct=counts.n_correct,
            n_unparsed=counts.n_unparsed,
            option_logprobs=counts.option_logprobs,
            shard=self.shard,
            time=time.time(),
        )


def _queries_of(settings: ProbeConfig) -> list[RuleQuery]:
    """Turn the settings into queries; `full` withholds nothing, so that its `how` is fixed."""
    choice = Vote(answers=settings.samples, orders=settings.option_permutations)
    return [
        RuleQuery(
            condition=condition,
            how="absent" if condition == "full" else settings.replacement,
            voter=0,
            choice=choice,
            open=replace(choice, orders=1),
        )
        for condition in settings.conditions
    ]
