"""One round of sampling: completions for every prompt, their rewards, and better prompts for dull.

Everything drawn is keyed by (seed, round, sample, completion), so it does not matter how a round
is cut into micro-batches, nor what else was asked.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from statistics import fmean
from typing import TypeVar, final

import torch
from torch import Tensor

from configs.schema import RlvrConfig
from datamodules.batch import Batch, View
from modules.advantages import informative
from modules.experience import Experience, Sieve
from modules.finite import NonFinite
from modules.omni import OmniModel
from modules.rewards import Said, Setting, accuracy, parts_of, total, weights_at
from modules.rollouts import Rollout, Sampling
from modules.stopwatch import Stopwatch
from modules.verifiers import verify_all

Item = TypeVar("Item")

Refill = Callable[[int, int], Batch | None]
"""(round of sampling, attempt) -> fresh prompts, or None where none of them could be read"""


@final
class Collector:
    """Samples with a policy and pays for what it says."""

    def __init__(
        self,
        policy: OmniModel,
        rlvr: RlvrConfig,
        *,
        seed: int,
        refill: Refill | None,
        watch: Stopwatch,
    ) -> None:
        assert refill is not None or not rlvr.refill.tries, "refilling needs prompts"
        self.policy = policy
        self.rlvr = rlvr
        self.seed = seed
        self.refill = refill
        self.watch = watch
        self.sampling = Sampling(
            group_size=rlvr.group_size,
            max_tokens=rlvr.max_completion_tokens,
            temperature=rlvr.temperature,
            top_k=rlvr.top_k,
        )

    def collect(
        self, batches: Sequence[Batch], *, step: int
    ) -> tuple[list[Experience], list[Experience], dict[str, float]]:
        """Sample and judge a round: what to learn from, all that was tried, and what it took.

        Args:
            step: optimizer steps so far, which the weights of rewards go by.
        """
        # The towers' graph can serve the update as well if that is the only one, on these prompts.
        reused = len(batches) == self.rlvr.updates == 1 and not self.rlvr.refill.tries
        sampled = [self._experience(batch, step=step, reused=reused) for batch in batches]
        sieve = Sieve(wanted=sum(map(len, batches)), tried=list(sampled))
        attempts = 0
        if sieve.lacking and self.rlvr.refill.tries:
            attempts = self._refill(sieve, batches, step=step)
            sampled = sieve.deal([len(batch) for batch in batches])
        tried = sum(len(one.batch) for one in sieve.tried)
        tokens = sum(sum(one.rollout.completions.lens) for one in sieve.tried)
        alike = sum(int((~informative(one.reward)).sum()) for one in sieve.tried)
        stats = {"no_spread": alike / tried, "sampled_tokens": tokens}
        if self.rlvr.refill.tries:
            stats |= {
                "refills": attempts,
                "prompts_tried": tried,
                "prompts_lacking": sieve.lacking,
            }
        return sampled, sieve.tried, stats

    def _refill(self, sieve: Sieve, batches: Sequence[Batch], *, step: int) -> int:
        """Try fresh prompts until there are enough with spread, or the bound is met."""
        assert self.refill is not None
        number = batches[0].step
        tried = {sample.id for batch in batches for sample in batch.samples}
        for attempt in range(self.rlvr.refill.tries):
            with self.watch.lap("refill"):
                fresh = self.refill(number, attempt)
            if fresh is not None:
                new = [at for at, sample in enumerate(fresh.samples) if sample.id not in tried]
                tried |= {sample.id for sample in fresh.samples}
                if new:  # a prompt met twice in a round would say the same again
                    sieve.tried.append(self._experience(fresh.select(new), step=step, reused=False))
            if not sieve.lacking:
                return attempt + 1
        return self.rlvr.refill.tries

    def _experience(self, batch: Batch, *, step: int, reused: bool) -> Experience:
        """Ask every prompt of a micro-batch, and reward what was said."""
        batch = batch.to(self.policy.banned.device)
        with self.watch.lap("towers"), torch.set_grad_enabled(reused):
            encoded = self.policy.encode(batch)  # (sum of P, D)
        rollout = self._sample(batch, self.sampling, encoded=encoded)
        said = self._judged(batch, rollout)
        blind = self._accuracy(batch, "blind", self.rlvr.reward.blind_samples)
        shuffled = self._accuracy(batch, "shuffled", max(1, self.rlvr.group_size // 2))
        with self.watch.lap("reward"):
            weights = weights_at(step, self.rlvr.reward)
            columns: Mapping[str, list[float]] = defaultdict(list)
            rewards = []
            for sample, group in zip(
                batch.samples, _grouped(said, self.rlvr.group_size), strict=True
            ):
                setting = Setting(
                    step=step,
                    max_tokens=self.rlvr.max_completion_tokens,
                    shuffled_accuracy=shuffled.get(sample.id),
                    blind_accuracy=blind.get(sample.id),
                )
                for parts in parts_of(group, sample, self.rlvr.reward, setting):
                    rewards.append(total(parts, weights))
                    for name, value in parts.items():
                        columns[name].append(value)
        shape = (len(batch), self.rlvr.group_size)
        device = encoded.device
        return Experience(
            batch=batch,
            encoded=encoded,
            rollout=rollout,
            reward=torch.tensor(rewards, device=device).view(shape),
            parts={
                name: torch.tensor(values, device=device).view(shape)
                for name, values in columns.items()
            },
            correct=torch.tensor([one.verdict.correct for one in said], device=device).view(shape),
            parsed=torch.tensor([one.verdict.parsed for one in said], device=device).view(shape),
        )

    def _sample(
        self, batch: Batch, sampling: Sampling, *, encoded: Tensor | None = None, first: int = 0
    ) -> Rollout:
        """Draw completions, those of a prompt numbered from `first`."""
        uniforms = batch.uniforms(
            seed=self.seed,
            group_size=sampling.group_size,
            length=sampling.max_tokens,
            first=first,
        )  # (N, max_tokens)
        try:
            with self._precision():
                return self.policy.sample(
                    batch, sampling, uniforms=uniforms, encoded=encoded, watch=self.watch
                )
        except NonFinite as error:
            asked = ", ".join(sample.id for sample in batch.samples)
            raise NonFinite(f"{error} It was asked {asked}.", sound=False) from error

    def _precision(self) -> AbstractContextManager[object]:
        """Sample in bfloat16 where that is asked for, else as training computes."""
        if self.rlvr.rollout_precision == "trainer":
            return nullcontext()
        return torch.autocast(self.policy.banned.device.type, dtype=torch.bfloat16)

    def _accuracy(self, batch: Batch, view: View, samples: int) -> dict[str, float]:
        """Measure how often the policy is right with media withheld, by id.

        Only what the view shows otherwise is asked: elsewhere there is nothing to compare.
        """
        weight = {"blind": self.rlvr.reward.blind, "shuffled": self.rlvr.reward.temporal}[view]
        changed = batch.changed(view) if weight else []
        if not changed:
            return {}
        shown = batch.views[view].select(changed)
        sampling = Sampling(
            group_size=samples,
            max_tokens=self.sampling.max_tokens,
            temperature=self.sampling.temperature,
            top_k=self.sampling.top_k,
        )
        group = self.rlvr.group_size
        first = {"blind": group, "shuffled": group + self.rlvr.reward.blind_samples}[view]
        said = self._judged(shown, self._sample(shown, sampling, first=first))
        return {
            sample.id: fmean(accuracy(one, sample, self.rlvr.reward) for one in group)
            for sample, group in zip(shown.samples, _grouped(said, samples), strict=True)
        }

    def _judged(self, batch: Batch, rollout: Rollout) -> list[Said]:
        """Let the verifier judge what was said to each prompt, equally often."""
        times = len(rollout.texts) // len(batch)
        asked = [sample for sample in batch.samples for _ in range(times)]
        with self.watch.lap("reward"):
            verdicts = verify_all(rollout.texts, asked)
        said = zip(rollout.texts, rollout.completions.lens, rollout.finished, verdicts, strict=True)
        return [
            Said(text=text, tokens=tokens, finished=finished, verdict=verdict)
            for text, tokens, finished, verdict in said
        ]


def _grouped(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Cut into runs of one prompt each."""
    return (items[start : start + size] for start in range(0, len(items), size))
