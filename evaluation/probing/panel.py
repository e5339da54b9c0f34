"""Probes that vote on the same questions, and what to ask them next."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from configs.schema import Config, ProbeConfig
from datamodules.conditions import withholds
from datamodules.contribution.decide import Counts, is_decided, question_features
from datamodules.contribution.presets import (
    Rule,
    RuleQuery,
    SoftRule,
    Vote,
    VotingRule,
    queries,
)
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
from datamodules.prompts.wording import SUFFIXES
from evaluation.probing.probe import Asking, Probe, Tally

ROWS_PER_SHARD, SECONDS_PER_SHARD = 4096, 10.0
"""A killed probe repeats at most what fits in here."""


def share_of(
    shard: str, environ: Mapping[str, str], setting: str = "probe.shard"
) -> tuple[int, int]:
    """Read which of how many shares is this process's; `auto` looks for a SLURM array.

    Shapes no run directory and no key: any number of shares fills the same cache.
    """
    if shard != "auto":
        number, count = map(int, shard.split("/"))
        return number, count
    if "SLURM_ARRAY_TASK_COUNT" not in environ:
        return 1, 1
    task, first = int(environ["SLURM_ARRAY_TASK_ID"]), int(environ["SLURM_ARRAY_TASK_MIN"])
    step = int(environ.get("SLURM_ARRAY_TASK_STEP", "1"))
    number, count = (task - first) // step + 1, int(environ["SLURM_ARRAY_TASK_COUNT"])
    if number > count:
        raise ValueError(
            f"the tasks of this SLURM array are not numbered evenly: task {task} would have share "
            f"{number} of {count}. Name the share with {setting}=K/{count} in each task."
        )
    return number, count


@dataclass(frozen=True, kw_only=True)
class Seat:
    """One probe, and one thing that it is asked."""

    probe: Probe
    questions: QuestionSet
    ask: RuleQuery

    def votes(self) -> Iterator[tuple[bool, Vote, str]]:
        """What choices and open questions are asked, and the key that the answers go under."""
        for closed, vote in ((True, self.ask.choice), (False, self.ask.open)):
            yield closed, vote, self.probe.key(greedy=vote.answers == 1)


@final
class Panel:
    """Probes that vote on the same questions, until no further answer could change the outcome."""

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
        number, count = share_of(config.probe.shard, os.environ)
        self.shard = f"{number}/{count}"
        self.mine = np.arange(len(self.samples)) % count == number - 1
        self._read: dict[str, Scores] = {}
        wanted = _asks(config.probe) if rule is None else queries(rule)
        self.seats = [
            Seat(probe=probes[ask.voter], questions=sets[ask.voter], ask=ask) for ask in wanted
        ]

    def fill(self) -> None:
        """Ask seat after seat; later ones see what earlier ones have settled."""
        for probe in self._probes():
            planned = [
                (self._under(seat, indices, asking), asking)
                for seat in self.seats
                if seat.probe is probe
                for indices, asking in self._goes(seat, set(), whole=True)
            ]
            probe.prepare(planned)
        for seat in self.seats:
            tried: set[tuple[int, int, int]] = set()  # an unreadable question is asked only once
            while goes := self._goes(seat, tried):
                for indices, asking in goes:
                    tried |= {(i, asking.option_seed, asking.first) for i in indices}
                    asked = self._under(seat, indices, asking)
                    self._write(seat, asking, seat.probe.tallies(asked, asking))
        for probe in self._probes():
            probe.close()

    def summary(self) -> str:
        """Say what was asked and answered, and where to read what it means."""
        lines = []
        for probe in self._probes():
            seats = [seat for seat in self.seats if seat.probe is probe]
            keys = dict.fromkeys(key for seat in seats for _, _, key in seat.votes())
            lines += [f"{probe.name}: probe {', '.join(keys)} in {self.cache}", ""]
            lines.append(f"{'condition':<14}{'how':<12}{'asked':>8}{'answers':>9}{'right':>8}")
            for seat in seats:
                counted = self.counts(seat)
                asked, answers = int((counted.n > 0).sum()), int(counted.n.sum())
                right = counted.n_correct.sum() / max(1, answers)
                place = f"{seat.ask.condition:<14}{seat.ask.how:<12}"
                lines.append(f"{place}{asked:>8}{answers / max(1, asked):>9.2f}{right:>8.1%}")
            lines.append("")
        lines.append("answers: per question; right: of all answers.")
        if isinstance(self.rule, VotingRule) and len(self.rule.voters) > 1:
            named = ",".join("+".join(key[:8] for key in one.split("+")) for one in self.voters())
            lines.append(
                f"These vote: data.contribution.rule={self.rule.name} "
                f"'data.contribution.probes=[{named}]'"
            )
        if not any(self.counts(seat).n.any() for seat in self.seats):
            lines.append("Nothing was asked: no question could be changed by an answer.")
        lines.append(
            "What they say by every rule, with the same data and model settings: "
            f"python eval.py stage=audit audit.split={self.config.probe.split}"
        )
        return "\n".join(lines)

    def voters(self) -> list[str]:
        """Name the voters as data.contribution.probes does: `+` joins the keys of one voter."""
        known = probes(self.cache)
        keys: dict[int, dict[str, None]] = {}  # in place of sets, which have no order
        for seat in self.seats:
            asked = dict.fromkeys(key for _, _, key in seat.votes() if key in known)
            keys[seat.ask.voter] = keys.get(seat.ask.voter, {}) | asked
        return ["+".join(keys[voter]) for voter in sorted(keys)]

    def _probes(self) -> list[Probe]:
        return list(dict.fromkeys(seat.probe for seat in self.seats))

    def counts(self, seat: Seat) -> Counts:
        """Read what a seat has answered so far."""
        n, n_correct = np.zeros((2, len(self.samples)), dtype=np.int64)
        for closed, vote, key in seat.votes():
            counted = self._scores(key).counts(seat.ask.condition, seat.ask.how, orders=vote.orders)
            kind = self.closed == closed
            n[kind], n_correct[kind] = counted.n[kind], counted.n_correct[kind]
        return Counts(n=n, n_correct=n_correct)

    def _scores(self, key: str) -> Scores:
        """Read the answers of a probe, again only after it gave more."""
        if key not in self._read:
            self._read[key] = Scores.load(self.cache, key, self.hashes)
        return self._read[key]

    def _goes(
        self, seat: Seat, tried: set[tuple[int, int, int]], *, whole: bool = False
    ) -> list[tuple[list[int], Asking]]:
        """List what to ask next: questions that lack the same answers go together.

        Args:
            whole: list what may have to be asked in all, as if nothing could be settled early.
        """
        stepwise = not (self.rule is None or isinstance(self.rule, SoftRule) or whole)
        todo = self._unsettled() & self.mine & self._withheld(seat)
        goes: dict[Asking, list[int]] = {}
        for closed, vote, key in seat.votes():
            if self.config.probe.method == "options" and not closed:
                continue
            scores = self._scores(key)
            chosen = np.zeros(len(todo), dtype=bool)
            for order in range(vote.orders):
                done = scores.done(seat.ask.condition, seat.ask.how, order)
                lacking = todo & (self.closed == closed) & (done < vote.answers)
                if stepwise or self.config.probe.method == "options":
                    lacking &= ~chosen  # one order at a time may settle it; or one go has all
                for first in sorted({*done[lacking].tolist()}):
                    indices = np.flatnonzero(lacking & (done == first)).tolist()
                    indices = [i for i in indices if (i, order, first) not in tried]
                    chosen[indices] = True
                    if indices:
                        asking = self._asking(seat, vote, order, first, stepwise)
                        goes[asking] = sorted(goes.get(asking, []) + indices)
        return [(indices, asking) for asking, indices in goes.items()]

    def _asking(self, seat: Seat, vote: Vote, order: int, first: int, stepwise: bool) -> Asking:
        answers = vote.answers - first
        if stepwise:
            answers = min(answers, self.config.probe.round)
        label = f"{seat.probe.name} {seat.ask.condition}"
        if vote.orders > 1:
            label += f", order {order + 1}"
        if vote.answers > 1:
            label += f", answers {first + 1}-{first + answers}"
        greedy = vote.answers == 1
        return Asking(option_seed=order, first=first, answers=answers, greedy=greedy, label=label)

    def _unsettled(self) -> NDArray[np.bool_]:
        """Mark the questions whose band further answers could change."""
        if self.rule is None:
            return np.ones(len(self.samples), dtype=bool)
        items = question_features(self.samples, self.rule.condition, self.rule.how)
        return ~is_decided(self.rule, [self.counts(seat) for seat in self.seats], items)

    def _withheld(self, seat: Seat) -> NDArray[np.bool_]:
        """Mark the questions that the condition takes something from; `full` is asked of all."""
        condition, how = seat.ask.condition, seat.ask.how
        return np.array([withholds(sample.media, condition, how) for sample in self.samples])

    def _under(self, seat: Seat, indices: Sequence[int], asking: Asking) -> QuestionSet:
        settings, ask = self.config.probe, seat.ask
        under = seat.questions.under(
            ask.condition,
            ask.how,
            option_seed=asking.option_seed,
            suffix=SUFFIXES[settings.prompt],
            silence_seconds=settings.silence_seconds,
        )
        under.samples = [self.samples[i] for i in indices]
        return under

    def _write(self, seat: Seat, asking: Asking, tallies: Iterable[Tally]) -> None:
        """Keep answers as they come; those that came are kept whatever stops the rest."""
        key = seat.probe.key(greedy=asking.greedy)
        describe_probe(self.cache, key, seat.probe.facts(greedy=asking.greedy))
        rows: list[ProbeRow] = []
        since = time.monotonic()
        try:
            for tally in tallies:
                rows.append(self._row(tally, key, seat.ask))
                if len(rows) >= ROWS_PER_SHARD or time.monotonic() - since >= SECONDS_PER_SHARD:
                    self._keep(rows)
                    rows, since = [], time.monotonic()
        finally:
            if rows:
                self._keep(rows)
            self._read.pop(key, None)

    def _keep(self, rows: Sequence[ProbeRow]) -> None:
        write_shard(self.cache, date_after_last(self.cache, rows))

    def _row(self, tally: Tally, key: str, ask: RuleQuery) -> ProbeRow:
        return ProbeRow(
            sample_id=tally.sample.id,
            content_hash=tally.sample.content_hash,
            probe_key=key,
            condition=ask.condition,
            how=ask.how,
            option_seed=tally.option_seed,
            first=tally.first,
            n=tally.n,
            n_correct=tally.n_correct,
            n_unparsed=tally.n_unparsed,
            option_logprobs=tally.option_logprobs,
            shard=self.shard,
            time=time.time(),
        )


def _asks(settings: ProbeConfig) -> list[RuleQuery]:
    """Write the settings as a rule would ask; full withholds nothing, so it does not matter how."""
    choice = Vote(answers=settings.samples, orders=settings.orders)
    return [
        RuleQuery(
            condition=condition,
            how="absent" if condition == "full" else settings.how,
            voter=0,
            choice=choice,
            open=replace(choice, orders=1),
        )
        for condition in settings.conditions
    ]
